import { dirname, join, resolve } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { acceptOptions, apartOption, conductValues } from '../ceremony-setting.ts';
import { clusterChoice, clusterOptions } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { shareOptions, shareSources } from '../share-sources.ts';
import { closingLines } from './closing.ts';

/** `quorate ceremony resume`: asks the servers what is so, and goes on from there. */
export const command = defineCommand({
  arguments: [{ name: 'RECORD', description: "the ceremony's folder, or its record.jsonl" }],
  options: {
    ...shareOptions,
    ...clusterOptions,
    'longest-wait': acceptOptions['longest-wait'],
    ...apartOption,
    'script-folder': { value: 'DIR', description: 'where the files are that the script names, if it was moved since' },
  },
  examples: [
    {
      command: 'quorate ceremony resume records/2027-01-12-init-19fe',
      text: 'after a crash, a lost connection, or Ctrl-C',
    },
  ],
  async run(context, values, [record = '']) {
    const [{ loadScript }, { locateRecord, SCRIPT_FILE }, { readRecord }, { conduct, placeRoster }] = await Promise.all(
      [
        import('../../ceremony/load.ts'),
        import('../../ceremony/record/folder.ts'),
        import('../../ceremony/record/read.ts'),
        import('./conduct.ts'),
      ],
    );
    const place = await locateRecord(resolve(context.cwd, record));
    const { lines } = await readRecord(place.record);
    const opened = lines[0];
    if (opened?.event !== 'ceremony.opened') {
      throw new QuorateError('record-invalid', 'this record does not begin with a ceremony', {
        hint: 'quorate ceremony verify says what is wrong with it.',
      });
    }
    const loaded = await loadScript(await readText(join(place.folder, SCRIPT_FILE)), SCRIPT_FILE);
    // A single server was not called by a name of quorate.yaml.
    const choice = clusterChoice(values);
    const cluster = await context.cluster(Object.keys(choice).length > 0 ? choice : { cluster: opened.cluster });
    const named = values['script-folder'];
    const scriptFile = opened.scriptFile ?? SCRIPT_FILE;
    const outcome = await conduct(context, {
      loaded,
      scriptFile,
      scriptFolder: named === undefined ? dirname(resolve(context.cwd, scriptFile)) : resolve(context.cwd, named),
      cluster,
      sources: shareSources(values),
      ...conductValues(values),
      resume: place.folder,
    });
    const roster = loaded.kind.name === 'init' ? await placeRoster(cluster, loaded, outcome.folder) : undefined;
    context.output.result({ ...outcome, ...(roster === undefined ? {} : { roster }) }, () =>
      closingLines(outcome, roster),
    );
    return undefined;
  },
});
