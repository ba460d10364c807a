import { relative } from 'node:path';
import { isQuorateError, EXIT } from '../errors.ts';
import { acceptOptions, conductValues } from './ceremony-setting.ts';
import { clusterChoice, clusterOptions } from './cluster-options.ts';
import { defineCommand } from './command.ts';
import { progressTable } from './progress-table.ts';
import { shareOptions, shareSources } from './share-sources.ts';

/** `quorate unseal`: every share to every sealed peer, checked before it is sent. */
export const command = defineCommand({
  options: {
    ...clusterOptions,
    ...shareOptions,
    'unlisted-share': { description: 'let a share through that is not in the roster, after a typed confirmation' },
    'reset': { description: 'drop the shares that somebody else has given before' },
    'records': { value: 'DIR', description: 'where the record goes (default: as quorate.yaml says, else ./records)' },
    ...acceptOptions,
  },
  examples: [
    { command: 'quorate unseal', text: 'custodians give their shares at this terminal, hidden' },
    { command: 'quorate unseal --peer vault-3', text: 'only the peer that was away' },
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
    const text = renderYaml({
      'ceremony': 'unseal',
      'title': `Unseal of ${cluster.name}`,
      'cluster': cluster.name,
      'unlisted-share': values['unlisted-share'] ?? false,
    });
    let record: string | undefined;
    let left: string | undefined;
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
      left = error.hint ?? error.message;
    }
    const surveys = await surveyPeers(cluster.peers, { signal: context.signal });
    const peers = surveys.map((survey) => ({
      name: survey.peer.name,
      state: survey.state,
      detail: describeState(survey),
    }));
    const isOpen = ({ state }: { readonly state: string }): boolean => state === 'active' || state === 'standby';
    const open = peers.filter(isOpen).length;
    context.output.result(
      {
        cluster: cluster.name,
        unsealed: open,
        peers,
        ...(left === undefined ? {} : { next: left }),
        ...(record === undefined ? {} : { record }),
      },
      () => [
        '',
        ...progressTable(
          peers.map((peer) => ({ name: peer.name, status: isOpen(peer) ? 'unsealed' : peer.detail })),
          'state',
        ),
        '',
        `${open.toString()} of ${peers.length.toString()} peers unsealed.${left === undefined ? '' : ` ${left}`}`,
        ...(record === undefined ? [] : [`record  ${relative(context.cwd, record) || record}`]),
      ],
    );
    return left === undefined && open === peers.length ? EXIT.done : EXIT.sealed;
  },
});
