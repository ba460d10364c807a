import { dirname, resolve } from 'node:path';
import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';
import { readBounded, readText } from '../files.ts';
import { acceptOptions, apartOption, conductValues } from './ceremony-setting.ts';
import { closingLines } from './ceremony/closing.ts';
import { namespaceOption } from './cluster-options.ts';
import { defineCommand } from './command.ts';

/** `quorate init`: the init ceremony from a script, or from flags that make one. */
export const command = defineCommand({
  arguments: [
    { name: 'SCRIPT', optional: true, description: 'a reviewed init script; without one the flags below make it' },
  ],
  options: {
    'cluster': { value: 'NAME', description: 'which cluster of quorate.yaml' },
    ...namespaceOption,
    'custodian': {
      value: 'NAME=KEYFILE',
      repeat: true,
      description: 'who gets a share, with their OpenPGP public key; once for each',
    },
    'threshold': { value: 'N', description: 'how many custodians together unseal' },
    'administrator': { value: 'NAME=KEYFILE', description: 'who the root token is encrypted to' },
    'records': { value: 'DIR', description: 'where the record goes (default: as quorate.yaml says, else ./records)' },
    'insecure-plain-shares': { description: 'for a lab: no keys, shares and root token in clear in files' },
    ...acceptOptions,
    ...apartOption,
  },
  examples: [
    {
      command: 'quorate init ceremonies/init.yaml',
      text: 'from a reviewed script (quorate ceremony new init writes one)',
    },
    {
      command:
        'quorate init --threshold 2 --administrator Erin=erin.asc \\\n      --custodian Alice=alice.asc --custodian Bo=bo.asc --custodian Chris=chris.asc',
      text: 'the same from flags; the script that they make is kept in the record',
    },
    {
      command:
        'quorate init --namespace team/a --threshold 2 \\\n      --custodian Alice=alice.asc --custodian Bo=bo.asc',
      text: 'a namespace with a seal of its own, by a login in its parent',
    },
    {
      command: 'quorate init --insecure-plain-shares --threshold 2 --custodian A --custodian B --custodian C',
      text: 'a lab',
    },
  ],
  async run(context, values, [file]) {
    const [{ loadScript }, { conduct, placeRoster }] = await Promise.all([
      import('../ceremony/load.ts'),
      import('./ceremony/conduct.ts'),
    ]);
    const { cluster: wanted, namespace } = values;
    const choice = {
      ...(wanted === undefined ? {} : { cluster: wanted }),
      ...(namespace === undefined ? {} : { namespace }),
    };
    const script =
      file === undefined
        ? await scriptOfFlags(context, values, (await context.cluster(choice)).namespace)
        : await readText(resolve(context.cwd, file));
    const loaded = await loadScript(script, file ?? 'quorate init');
    const named = values.cluster ?? loaded.script.cluster;
    if (named !== loaded.script.cluster) {
      throw new QuorateError('usage', `the script is for ${loaded.script.cluster}, not for ${named}`);
    }
    const cluster = await context.cluster({ ...choice, cluster: named });
    const outcome = await conduct(context, {
      loaded,
      scriptFile: file ?? 'quorate init',
      scriptFolder: file === undefined ? context.cwd : dirname(resolve(context.cwd, file)),
      cluster,
      ...conductValues(values),
    });
    const roster = await placeRoster(cluster, loaded, outcome.folder);
    context.output.result({ ...outcome, ...(roster === undefined ? {} : { roster }) }, () =>
      closingLines(outcome, roster),
    );
    return undefined;
  },
});

interface Flags {
  readonly 'cluster'?: string;
  readonly 'custodian'?: readonly string[];
  readonly 'threshold'?: string;
  readonly 'administrator'?: string;
  readonly 'insecure-plain-shares'?: boolean;
}

/** The script that flags stand for: the shipped one's writes and login, with these people. */
async function scriptOfFlags(context: Context, flags: Flags, namespace: string | undefined): Promise<string> {
  const { custodian: custodians = [], threshold, administrator } = flags;
  const plain = flags['insecure-plain-shares'] === true;
  const rootless = plain || namespace !== undefined;
  if (custodians.length === 0 || threshold === undefined || (administrator === undefined && !rootless)) {
    throw new QuorateError(
      'usage',
      'without a script, init needs --custodian (once for each), --threshold and --administrator',
      {
        hint: '`quorate ceremony new init` writes a script to edit and review, which is the better way.',
      },
    );
  }
  const [{ renderYaml, parseDocument }, { readTemplate }, { chooseCluster }] = await Promise.all([
    import('../document.ts'),
    import('../templates.ts'),
    import('../config.ts'),
  ]);
  // By its name, lest the bundle hold the whole package for every command that reads a document.
  const { looseObject } = await import('valibot');
  const config = await context.config();
  const cluster = config === undefined ? 'server' : chooseCluster(config, flags.cluster).name;
  const { text, file } = await readTemplate('init');
  const template = parseDocument(text, looseObject({}), { file });
  if (namespace !== undefined) {
    return renderYaml({
      'ceremony': 'init',
      'title': `Creation of ${cluster}/${namespace}`,
      cluster,
      namespace,
      'shares': custodians.length,
      'threshold': Number(threshold),
      'custodians': await Promise.all(custodians.map((one) => personOf(context, one, plain))),
      'insecure-plain-shares': plain ? true : undefined,
    });
  }
  const admin = administrator === undefined ? undefined : await personOf(context, administrator, plain);
  return renderYaml({
    ...template,
    'title': `Initialisation of ${cluster}`,
    cluster,
    'shares': custodians.length,
    'threshold': Number(threshold),
    'administrator': admin === undefined ? undefined : { name: admin.name },
    'custodians': await Promise.all(custodians.map((one) => personOf(context, one, plain))),
    'witnesses': [],
    'people': [],
    'root-token': admin?.pgp === undefined ? undefined : { pgp: admin.pgp },
    'insecure-plain-shares': plain ? true : undefined,
  });
}

async function personOf(
  context: Context,
  flag: string,
  plain: boolean,
): Promise<{ readonly name: string; readonly pgp?: { readonly file: string; readonly fingerprint: string } }> {
  const [, name, file] = /^([^=]+)=(.+)$/.exec(flag) ?? [];
  if (plain && !flag.includes('=')) return { name: flag };
  if (name === undefined || file === undefined) {
    throw new QuorateError('usage', 'a person is given as NAME=KEYFILE, such as "Alice Example=keys/alice.asc"');
  }
  const openpgp = await context.openpgp();
  const path = resolve(context.cwd, file);
  const { fingerprint } = await openpgp.checkPublicKey(await readBounded(path), {
    now: new Date(),
    minimumValidityDays: 0,
  });
  return { name, pgp: { file: path, fingerprint } };
}
