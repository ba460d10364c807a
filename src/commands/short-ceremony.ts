import { dirname, resolve } from 'node:path';
import type { CeremonyOutcome } from '../ceremony/engine.ts';
import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import { acceptOptions, apartOption, conductValues } from './ceremony-setting.ts';
import { clusterChoice, clusterOptions, namespaceOption } from './cluster-options.ts';
import { placeName } from './ceremony/place.ts';
import { shareOptions, shareSources } from './share-sources.ts';

/** The options of short commands that run a ceremony on the whole cluster, without and with custodians. */
export const ceremonyOptions = {
  cluster: clusterOptions.cluster,
  address: clusterOptions.address,
  ca: clusterOptions.ca,
  pin: clusterOptions.pin,
  ...namespaceOption,
  records: { value: 'DIR', description: 'where the record goes (default: as quorate.yaml says, else ./records)' },
  ...acceptOptions,
} as const;

export const quorumOptions = { ...ceremonyOptions, ...shareOptions, ...apartOption } as const;

type Values = Parameters<typeof clusterChoice>[0] &
  Parameters<typeof shareSources>[0] &
  Parameters<typeof conductValues>[0];

/**
 * Runs a reviewed script, or the one that `flags` make for the cluster that is meant, which is then kept in the record.
 * @throws QuorateError `usage` when the script is for another cluster; whatever the ceremony throws.
 */
export async function conductShort(
  context: Context,
  verb: string,
  values: Values,
  script: { readonly file?: string; readonly flags: (cluster: string) => Readonly<Record<string, unknown>> },
): Promise<CeremonyOutcome> {
  const [{ loadScript }, { renderYaml }, { conduct }] = await Promise.all([
    import('../ceremony/load.ts'),
    import('../document.ts'),
    import('./ceremony/conduct.ts'),
  ]);
  const path = script.file === undefined ? undefined : resolve(context.cwd, script.file);
  const reviewed = path === undefined ? undefined : await loadScript(await readText(path), path);
  if (reviewed !== undefined && reviewed.kind.name !== verb) {
    throw new QuorateError('usage', `that is a script of kind ${reviewed.kind.name}`, {
      hint: `Run it with: quorate ceremony run ${script.file ?? ''}`,
    });
  }
  const choice = clusterChoice(values);
  const named =
    Object.keys(choice).length > 0 || reviewed === undefined ? choice : { cluster: reviewed.script.cluster };
  const cluster = await context.cluster(named);
  if (reviewed !== undefined && reviewed.script.cluster !== cluster.name) {
    throw new QuorateError('usage', `the script is for ${reviewed.script.cluster}, not for ${cluster.name}`);
  }
  const name = `quorate ${verb}`;
  const loaded =
    reviewed ??
    (await loadScript(
      renderYaml({
        ceremony: verb,
        cluster: cluster.name,
        namespace: cluster.namespace,
        ...script.flags(placeName(cluster.name, cluster.namespace)),
      }),
      name,
    ));
  return conduct(context, {
    loaded,
    scriptFile: script.file ?? name,
    scriptFolder: path === undefined ? context.cwd : dirname(path),
    cluster,
    sources: shareSources(values),
    ...conductValues(values),
  });
}
