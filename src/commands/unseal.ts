import { relative } from 'node:path';
import type { PeerSurvey } from '../ceremony/survey.ts';
import { isQuorateError, EXIT } from '../errors.ts';
import { wrapLines } from '../layout.ts';
import { acceptOptions, apartOption, conductValues } from './ceremony-setting.ts';
import { clusterChoice, clusterOptions, namespaceOption } from './cluster-options.ts';
import { placeName } from './ceremony/place.ts';
import { defineCommand } from './command.ts';
import { namespaceSurveys } from './namespace-surveys.ts';
import { progressTable } from './progress-table.ts';
import { shareOptions, shareSources } from './share-sources.ts';

interface Shown {
  readonly name: string;
  readonly state: string;
  readonly detail: string;
}

const isOpen = ({ state }: Shown): boolean => state === 'active' || state === 'standby';

function stateLines(peers: readonly Shown[], label: string): readonly string[] {
  const rows = peers.map((peer) => ({ name: peer.name, status: isOpen(peer) ? 'unsealed' : peer.detail }));
  return ['', ...progressTable(rows, label)];
}

/** `quorate unseal`: every share to every sealed peer, checked before it is sent. */
export const command = defineCommand({
  options: {
    ...clusterOptions,
    ...namespaceOption,
    ...shareOptions,
    'unlisted-share': { description: 'let a share through that is not in the roster, after a typed confirmation' },
    'reset': { description: 'drop the shares that somebody else has given before' },
    'records': { value: 'DIR', description: 'where the record goes (default: as quorate.yaml says, else ./records)' },
    ...acceptOptions,
    ...apartOption,
  },
  examples: [
    { command: 'quorate unseal', text: 'custodians give their shares at this terminal, hidden' },
    { command: 'quorate unseal --peer vault-3', text: 'only the peer that was away' },
    { command: 'quorate unseal --namespace team/a', text: 'only this namespace, by the custodians of its own seal' },
    {
      command: 'quorate unseal --share-file alice.pgp',
      text: "Alice's issued share, decrypted by her gpg; then the others are asked",
    },
    {
      command: 'quorate unseal --address https://127.0.0.1:8200 --ca ca.pem',
      text: 'a single server that no quorate.yaml describes',
    },
  ],
  async run(context, values) {
    const sources = shareSources(values);
    const [cluster, { loadScript }, { renderYaml }, { conduct }, { describeState, surveyPeers }] = await Promise.all([
      context.cluster(clusterChoice(values)),
      import('../ceremony/load.ts'),
      import('../document.ts'),
      import('./ceremony/conduct.ts'),
      import('../ceremony/survey.ts'),
    ]);
    const shown = (survey: PeerSurvey): Shown => ({
      name: survey.peer.name,
      state: survey.state,
      detail: describeState(survey),
    });
    const text = renderYaml({
      'ceremony': 'unseal',
      'title': `Unseal of ${placeName(cluster.name, cluster.namespace)}`,
      'cluster': cluster.name,
      'namespace': cluster.namespace,
      'peers': values.peer,
      'unlisted-share': values['unlisted-share'] ?? false,
    });
    let record: string | undefined;
    let left: { readonly why: string; readonly next: string } | undefined;
    try {
      await conduct(context, {
        loaded: await loadScript(text, 'quorate unseal'),
        scriptFile: 'quorate unseal',
        scriptFolder: context.cwd,
        cluster,
        sources,
        ...conductValues(values),
        onFolder: (folder) => {
          record = folder;
        },
      });
    } catch (error) {
      if (!isQuorateError(error, 'sealed')) throw error;
      left = { why: error.message, next: error.hint ?? '' };
    }
    const outer = cluster.namespace === undefined ? await surveyPeers(cluster.peers, { signal: context.signal }) : [];
    const peers = outer.map(shown);
    const named = values.peer === undefined ? (cluster.config?.namespaces ?? []).map(({ path }) => path) : [];
    const namespaces = await namespaceSurveys(
      context,
      cluster,
      cluster.namespace === undefined ? named : [cluster.namespace],
    );
    const inner = namespaces.map(({ namespace, surveys }) => ({ name: namespace, peers: surveys.map(shown) }));
    const all = [...peers, ...inner.flatMap((one) => one.peers)];
    const open = peers.filter(isOpen).length;
    const unsealed =
      cluster.namespace === undefined
        ? `${open.toString()} of ${peers.length.toString()} peers unsealed.`
        : `${cluster.namespace}: ${all.every(isOpen) ? 'unsealed' : 'sealed'}.`;
    // Whatever this has opened may have gone down again meanwhile.
    left ??= all.every(isOpen)
      ? undefined
      : {
          why: unsealed,
          next: `For the rest, when it is ready: quorate unseal${cluster.namespace === undefined ? '' : ` --namespace ${cluster.namespace}`}`,
        };
    context.output.result(
      {
        cluster: cluster.name,
        unsealed: open,
        peers,
        ...(inner.length === 0 ? {} : { namespaces: inner }),
        ...(left ?? {}),
        ...(record === undefined ? {} : { record }),
      },
      () => [
        ...(cluster.namespace === undefined ? stateLines(peers, 'state') : []),
        ...inner.flatMap((one) => stateLines(one.peers, one.name)),
        '',
        ...(left === undefined ? [unsealed] : [...wrapLines(left.why), ...wrapLines(left.next)]),
        ...(record === undefined ? [] : [`record  ${relative(context.cwd, record) || record}`]),
      ],
    );
    return left === undefined ? EXIT.done : EXIT.sealed;
  },
});
