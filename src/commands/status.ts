import { ERROR_CODES, EXIT, QuorateError } from '../errors.ts';
import { clockSkew, type PeerSurvey, surveyPeers } from '../ceremony/survey.ts';
import { named } from '../ceremony/unseal/target.ts';
import { tableLines, wrapLines } from '../layout.ts';
import { clusterChoice, clusterOptions, namespaceOption } from './cluster-options.ts';
import { defineCommand } from './command.ts';
import { namespaceSurveys } from './namespace-surveys.ts';

/** `quorate status`: what every peer says of itself, and of the namespaces in quorate.yaml; 3 while any is sealed. */
export const command = defineCommand({
  options: { ...clusterOptions, ...namespaceOption },
  examples: [
    { command: 'quorate status', text: 'all peers of the only cluster in quorate.yaml' },
    { command: 'quorate status --cluster prod-eu --format json', text: 'for scripts; exit 3 while any peer is sealed' },
  ],
  async run(context, values) {
    const cluster = await context.cluster(clusterChoice(values));
    const { name, peers, config, namespace } = cluster;
    const surveys = await surveyPeers(peers, { signal: context.signal });
    refuseMisuse(surveys);
    const listed = (config?.namespaces ?? []).map(({ path }) => path);
    const wanted = namespace === undefined || listed.includes(namespace) ? listed : [...listed, namespace];
    const inner = await namespaceSurveys(context, cluster, wanted);
    const { paint } = context.output;
    const namespaces = inner.map((one) => ({ name: one.namespace, peers: one.surveys.map(toJson) }));
    const result = { cluster: name, peers: surveys.map(toJson), ...(inner.length === 0 ? {} : { namespaces }) };
    context.output.result(result, () => {
      const colour = (survey: PeerSurvey): string => {
        const word = stateWord(survey);
        if (survey.state === 'active' || survey.state === 'standby') return paint.good(word);
        return survey.state === 'unreachable' ? paint.bad(word) : paint.warn(word);
      };
      const rows = surveys.map((survey) => [
        survey.peer.name,
        colour(survey),
        progressWord(survey),
        survey.seal?.type ?? '',
        survey.seal === undefined ? '' : `${survey.seal.flavour} ${survey.seal.version}`,
        survey.peer.address,
      ]);
      const innerRows = inner.flatMap((one) =>
        one.surveys.map((survey) => [
          one.namespace,
          survey.peer.name,
          colour(survey),
          progressWord(survey),
          survey.fault?.message ?? '',
        ]),
      );
      return [
        ...tableLines(rows, ['peer', 'state', 'progress', 'seal', 'version', 'address']),
        ...faultLines(surveys),
        ...(innerRows.length === 0
          ? []
          : ['', ...tableLines(innerRows, ['namespace', 'peer', 'state', 'progress', ''])]),
      ];
    });
    const all = [...surveys, ...inner.flatMap((one) => one.surveys)];
    const ready = all.every(({ state }) => state === 'active' || state === 'standby');
    return ready ? EXIT.done : EXIT.sealed;
  },
});

/** A file that is not there, say, is no state of a server's. @throws QuorateError what all peers have in common. */
function refuseMisuse(surveys: readonly PeerSurvey[]): void {
  const [first] = surveys;
  const fault = first?.fault;
  if (fault === undefined || ERROR_CODES[fault.code] !== EXIT.usage) return;
  if (surveys.some((one) => one.fault?.code !== fault.code)) return;
  throw new QuorateError(fault.code, fault.message, fault.hint === undefined ? {} : { hint: fault.hint });
}

/** Why peers gave no answer, and what to do: equal advice once. */
function faultLines(surveys: readonly PeerSurvey[]): string[] {
  const faults = surveys.flatMap(({ peer, fault }) => (fault === undefined ? [] : [{ peer, fault }]));
  if (faults.length === 0) return [];
  const hints = new Set(faults.flatMap(({ fault }) => fault.hint ?? []));
  return [
    '',
    ...faults.flatMap(({ peer, fault }) => wrapLines(named(peer.name, fault.message))),
    ...[...hints].flatMap((hint) => wrapLines(hint, 80, '  ')),
  ];
}

function progressWord({ seal }: PeerSurvey): string {
  return seal === undefined
    ? ''
    : `${seal.progress.toString()}/${seal.threshold.toString()} of ${seal.shares.toString()}`;
}

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
