import * as v from 'valibot';
import { QuorateError } from '../../errors.ts';
import type { Peer } from '../../vault/peer.ts';
import type { Kind, Run, Step } from '../kind.ts';
import { clocksAgree, sameVersion } from '../preflight.ts';
import { shareCount } from '../roster/schema.ts';
import { COMMON, participantFaults } from '../script.ts';
import { describeState, surveyPeers } from '../survey.ts';
import { assertOneCluster } from '../unseal/identity.ts';
import { type SealedPeer, unsealPeers } from '../unseal/unsealing.ts';
import { JOIN_TIMEOUT } from './init/unseal.ts';

export const unsealScript = v.strictObject({
  'ceremony': v.literal('unseal'),
  ...COMMON,
  /** Only these peers, by name; all of the cluster's when left out. */
  'peers': v.optional(v.pipe(v.array(v.string()), v.minLength(1))),
  /** Lets a share through that is in no roster, after a typed confirmation that the record keeps. */
  'unlisted-share': v.optional(v.boolean(), false),
});

export type UnsealScript = v.InferOutput<typeof unsealScript>;

/**
 * Unseals every sealed peer. Peers that are down or wrong do not stop the others: the ceremony says what is left,
 * and is incomplete (exit 3) until nothing is.
 */
export const unseal: Kind<UnsealScript> = {
  name: 'unseal',
  summary: 'give shares to every sealed peer, each checked before it is sent',

  faults: (script) => participantFaults(script),

  async preflight(script, { cluster, policy, signal }) {
    const surveys = await surveyPeers(chosen(script, cluster.peers), { signal });
    const answering = surveys.filter(({ state }) => state !== 'unreachable');
    return [
      answering.length > 0
        ? {
            code: 'reachable',
            ok: true,
            finding: `${answering.length.toString()} of ${surveys.length.toString()} peers answer`,
          }
        : {
            code: 'reachable',
            ok: false,
            finding: surveys.map((survey) => `${survey.peer.name}: ${describeState(survey)}`).join('; '),
            mend: 'Start the servers, or mend their addresses in quorate.yaml.',
          },
      ...sameVersion(surveys),
      ...clocksAgree(surveys, policy),
    ];
  },

  steps: (script): readonly Step[] => [collectStep(script)],
};

function collectStep(script: UnsealScript): Step {
  return {
    id: 'collect',
    title: 'custodians give their shares to every sealed peer until all are unsealed',
    who: 'custodians',
    async done(run) {
      const surveys = await surveyPeers(chosen(script, run.cluster.peers), { signal: run.signal });
      return surveys.every(({ state }) => state === 'active' || state === 'standby');
    },
    async run(run) {
      const peers = chosen(script, run.cluster.peers);
      const surveys = await surveyPeers(peers, { signal: run.signal });
      const sealed = surveys.flatMap(({ state, peer, seal }) =>
        state === 'sealed' && seal !== undefined ? [{ peer, seal }] : [],
      );
      const auto = sealed.find(({ seal }) => seal.type !== 'shamir');
      if (auto !== undefined) throw openedBySeal(auto.peer.name, auto.seal.type);
      const { fitting, odd } = compareSeals(sealed, run.roster);
      const { left } = await unsealPeers(run, fitting, {
        ...(run.roster === undefined ? {} : { roster: run.roster }),
        unlistedShare: script['unlisted-share'],
        joinTimeout: JOIN_TIMEOUT,
      });
      await assertOneCluster(run, peers, run.roster?.['cluster-id']);
      const away = surveys.flatMap((survey) =>
        survey.state === 'unreachable' || survey.state === 'uninitialised'
          ? [{ peer: survey.peer.name, why: describeState(survey) }]
          : [],
      );
      const remaining = [...left, ...odd, ...away];
      if (remaining.length > 0) throw stillSealed(remaining, peers.length);
    },
  };
}

interface Odd {
  readonly peer: string;
  readonly why: string;
}

/**
 * Shares go only to peers that want what the roster says, or, without a roster, that all want the same:
 * a sealed peer does not tell its cluster id, so n and threshold are what can be compared beforehand.
 */
export function compareSeals(
  sealed: readonly SealedPeer[],
  roster: Run['roster'],
): { readonly fitting: readonly SealedPeer[]; readonly odd: readonly Odd[] } {
  const wants = ({ seal }: SealedPeer): string =>
    `${seal.threshold.toString()} of ${seal.shares.toString()} (${seal.flavour})`;
  if (roster === undefined) {
    const kinds = new Set(sealed.map(wants));
    if (kinds.size <= 1) return { fitting: sealed, odd: [] };
    throw new QuorateError('cluster-mismatch', `the peers want different shares: ${[...kinds].sort().join(', ')}`, {
      hint: 'Without a roster nobody can tell which is right. Unseal one peer at a time with --peer.',
    });
  }
  const fits = ({ seal }: SealedPeer): boolean =>
    seal.threshold === roster.threshold && seal.shares === shareCount(roster);
  const expected = `${roster.threshold.toString()} of ${shareCount(roster).toString()}`;
  return {
    fitting: sealed.filter(fits),
    odd: sealed
      .filter((one) => !fits(one))
      .map((one) => ({
        peer: one.peer.name,
        why: `wants ${wants(one)} shares, the roster has ${expected}; not given any`,
      })),
  };
}

function chosen(script: UnsealScript, peers: readonly Peer[]): readonly Peer[] {
  const names = script.peers;
  if (names === undefined) return peers;
  const unknown = names.filter((name) => !peers.some((peer) => peer.name === name));
  if (unknown.length > 0) {
    throw new QuorateError('cluster-unknown', `no peer is called ${unknown.join(', ')}`, {
      hint: `The cluster has: ${peers.map((peer) => peer.name).join(', ')}.`,
    });
  }
  return peers.filter((peer) => names.includes(peer.name));
}

function openedBySeal(peer: string, type: string): QuorateError {
  return new QuorateError('not-ready', `${peer} is opened by its seal (${type}), not by shares`, {
    hint:
      'Recovery shares cannot unseal: the server opens itself once its HSM or key service answers. ' +
      'Look at the seal and at the log of the server.',
  });
}

function stillSealed(left: readonly Odd[], peers: number): QuorateError {
  const [first] = left;
  return new QuorateError(
    'sealed',
    `${(peers - left.length).toString()} of ${peers.toString()} peers are unsealed; ${left.map(({ peer, why }) => `${peer}: ${why}`).join('; ')}`,
    { hint: `Unseal the rest with: quorate unseal --peer ${first?.peer ?? 'NAME'}, when it is back.` },
  );
}
