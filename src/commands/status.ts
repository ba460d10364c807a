import { EXIT } from '../errors.ts';
import { clockSkew, type PeerSurvey, surveyPeers } from '../ceremony/survey.ts';
import { tableLines } from '../layout.ts';
import { clusterChoice, clusterOptions } from './cluster-options.ts';
import { defineCommand } from './command.ts';

/** `quorate status`: what every peer says of itself; 3 while any is sealed or cannot be reached. */
export const command = defineCommand({
  options: clusterOptions,
  examples: [
    { command: 'quorate status', text: 'all peers of the only cluster in quorate.yaml' },
    { command: 'quorate status --cluster prod-eu --format json', text: 'for scripts; exit 3 while any peer is sealed' },
  ],
  async run(context, values) {
    const { name, peers } = await context.cluster(clusterChoice(values));
    const surveys = await surveyPeers(peers, { signal: context.signal });
    const { paint } = context.output;
    context.output.result({ cluster: name, peers: surveys.map(toJson) }, () => {
      const colour = (survey: PeerSurvey): string => {
        const word = stateWord(survey);
        if (survey.state === 'active' || survey.state === 'standby') return paint.good(word);
        return survey.state === 'unreachable' ? paint.bad(word) : paint.warn(word);
      };
      const rows = surveys.map((survey) => [
        survey.peer.name,
        colour(survey),
        survey.seal === undefined
          ? ''
          : `${survey.seal.progress.toString()}/${survey.seal.threshold.toString()} of ${survey.seal.shares.toString()}`,
        survey.seal?.type ?? '',
        survey.seal === undefined ? '' : `${survey.seal.flavour} ${survey.seal.version}`,
        survey.fault?.message ?? survey.peer.address,
      ]);
      return tableLines(rows, ['peer', 'state', 'progress', 'seal', 'version', 'address']);
    });
    const ready = surveys.every(({ state }) => state === 'active' || state === 'standby');
    return ready ? EXIT.done : EXIT.sealed;
  },
});

function stateWord({ state, seal }: PeerSurvey): string {
  return seal?.migration === true ? `${state}, migrating` : state;
}

function toJson({ peer, state, seal, health, leader, fault }: PeerSurvey): Record<string, unknown> {
  return {
    name: peer.name,
    address: peer.address,
    state,
    ...(peer.certificate === undefined ? {} : { certificate: `sha256:${peer.certificate}` }),
    ...(seal === undefined ? {} : { seal }),
    ...(health === undefined ? {} : { clockSkewMilliseconds: clockSkew(health) }),
    ...(leader === undefined ? {} : { leader }),
    ...(fault === undefined ? {} : { fault }),
  };
}
