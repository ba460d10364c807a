import { isQuorateError, EXIT } from '../errors.ts';
import { tableLines } from '../layout.ts';
import { acceptOptions, conductValues } from './ceremony-setting.ts';
import { clusterChoice, clusterOptions } from './cluster-options.ts';
import { defineCommand } from './command.ts';
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
      const outcome = await conduct(context, {
        loaded: await loadScript(text, 'quorate unseal'),
        scriptFile: 'quorate unseal',
        scriptFolder: context.cwd,
        cluster,
        sources,
        ...conductValues(values),
      });
      record = outcome.folder;
    } catch (error) {
      if (!isQuorateError(error, 'sealed')) throw error;
      left = error.hint;
    }
    const surveys = await surveyPeers(cluster.peers, { signal: context.signal });
    const open = surveys.filter(({ state }) => state === 'active' || state === 'standby').length;
    const rows = surveys.map((survey) => [survey.peer.name, describeState(survey)]);
    context.output.result(
      {
        cluster: cluster.name,
        unsealed: open,
        peers: surveys.map((survey) => ({
          name: survey.peer.name,
          state: survey.state,
          detail: describeState(survey),
        })),
        ...(record === undefined ? {} : { record }),
      },
      () => [
        '',
        ...tableLines(rows.map(([name = '', state = '']) => [`  ${name}`, state])),
        '',
        `${open.toString()} of ${surveys.length.toString()} peers unsealed.${left === undefined ? '' : ` ${left}`}`,
        ...(record === undefined ? [] : [`record  ${record}`]),
      ],
    );
    return left === undefined && open === surveys.length ? EXIT.done : EXIT.sealed;
  },
});
