import { dirname, resolve } from 'node:path';
import { readText } from '../../files.ts';
import { acceptOptions, apartOption, conductValues } from '../ceremony-setting.ts';
import { defineCommand } from '../command.ts';
import { shareOptions, shareSources } from '../share-sources.ts';
import { closingLines } from './closing.ts';

/** `quorate ceremony run`: a reviewed script, with the people at this terminal. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', description: 'the script' }],
  options: {
    ...shareOptions,
    records: { value: 'DIR', description: 'where the record goes (default: as quorate.yaml says, else ./records)' },
    ...acceptOptions,
    ...apartOption,
  },
  examples: [
    { command: 'quorate ceremony run ceremonies/init.yaml', text: 'prints each step as it comes to it' },
    {
      command: 'quorate ceremony run init.yaml --accept clock --reason "NTP is down, clocks compared by eye"',
      text: 'in an emergency: a failing check is accepted, and the record says why',
    },
  ],
  async run(context, values, [file = '']) {
    const path = resolve(context.cwd, file);
    const [{ loadScript }, { conduct, placeRoster }] = await Promise.all([
      import('../../ceremony/load.ts'),
      import('./conduct.ts'),
    ]);
    const loaded = await loadScript(await readText(path), file);
    const cluster = await context.cluster({ cluster: loaded.script.cluster });
    const outcome = await conduct(context, {
      loaded,
      scriptFile: file,
      scriptFolder: dirname(path),
      cluster,
      sources: shareSources(values),
      ...conductValues(values),
    });
    const roster = loaded.kind.name === 'init' ? await placeRoster(cluster, loaded, outcome.folder) : undefined;
    context.output.result({ ...outcome, ...(roster === undefined ? {} : { roster }) }, () =>
      closingLines(outcome, roster),
    );
    return undefined;
  },
});
