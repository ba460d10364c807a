import * as v from 'valibot';
import { QuorateError } from '../../errors.ts';
import type { Peer } from '../../vault/peer.ts';
import type { Finding, Kind, Run, Step } from '../kind.ts';
import { clocksAgree, sameVersion } from '../preflight.ts';
import { shareCount } from '../roster/schema.ts';
import { COMMON, namespace, participantFaults } from '../script.ts';
import { describeState, type PeerSurvey, surveyPeers } from '../survey.ts';
import { assertOneCluster } from '../unseal/identity.ts';
import { type Left, takersOf, waitForFollowers } from '../unseal/takers.ts';
import { named } from '../unseal/target.ts';
import { type SealedPeer, unsealPeers } from '../unseal/unsealing.ts';
import type { Wants } from '../unseal/waiting.ts';
import { JOIN_TIMEOUT } from './init/unseal.ts';
import { allOpen, openNamespaces } from './unseal/namespaces.ts';

export const unsealScript = v.strictObject({
  'ceremony': v.literal('unseal'),
  ...COMMON,
  /** Only these peers, by name; all of the cluster's when left out. */
  'peers': v.optional(v.pipe(v.array(v.string()), v.minLength(1))),
  /** After the cluster these namespaces, parents first; those that quorate.yaml names when left out. */
  'namespaces': v.optional(v.array(namespace)),
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

  faults(script) {
    const faults = participantFaults(script);
    if (script.namespace === undefined) return faults;
    for (const entry of ['peers', 'namespaces'] as const) {
      if (script[entry] !== undefined) faults.push(`${entry} is of no use with namespace: its peers follow the leader`);
    }
    return faults;
  },

  async preflight(script, { cluster, policy, signal }) {
    const surveys = await surveyPeers(chosen(script, cluster.peers), { signal });
    const mute = surveys.filter(({ state }) => state === 'unreachable');
    const why = mute
      .map((survey) => named(survey.peer.name, describeState(survey)))
      .join('; ')
      .slice(0, 360);
    const count = `${(surveys.length - mute.length).toString()} of ${surveys.length.toString()} peers answer`;
    return [
      mute.length < surveys.length
        ? { code: 'reachable', ok: true, finding: mute.length === 0 ? count : `${count}; ${why}` }
        : {
            code: 'reachable',
            ok: false,
            finding: why,
            mend: 'Start the servers, or mend their addresses, CA or pins.',
            ...(mute.every(({ fault }) => fault?.code === 'server-identity') ? { error: 'server-identity' } : {}),
          },
      ...[...sameVersion(surveys), ...clocksAgree(surveys, policy)].map(noted),
    ];
  },

  steps: (script): readonly Step[] => [collectStep(script)],
};

/**
 * A cluster is unsealed in the middle of an upgrade, or with clocks that are off, as well: refusing would only keep
 * it shut. The record says what was found.
 */
function noted(finding: Finding): Finding {
  return finding.ok ? finding : { code: finding.code, ok: true, finding: `${finding.finding}; unsealing goes on` };
}

function collectStep(script: UnsealScript): Step {
  return {
    id: 'collect',
    title:
      script.namespace === undefined
        ? 'each share goes to every sealed peer, until all are open; then its namespaces'
        : `shares go to the active peer, until ${script.namespace} is open there; the others follow`,
    who: 'custodians',
    async done(run) {
      const surveys = await surveyPeers(chosen(script, run.cluster.peers), { signal: run.signal });
      const open = surveys.every(({ state }) => state === 'active' || state === 'standby');
      return open && (await allOpen(run, innerNamespaces(script, run)));
    },
    async run(run) {
      const peers = chosen(script, run.cluster.peers);
      const left = await openPeers(run, peers, script);
      // Where no peer is open nobody can ask for a namespace.
      const inner = left.length < peers.length ? innerNamespaces(script, run) : [];
      const shut = await openNamespaces(run, inner, (inside) => openPeers(inside, inside.cluster.peers, script));
      if (left.length > 0) throw stillSealed(run, [...left, ...shut], peers.length - left.length, peers.length);
      if (shut.length > 0) throw namespacesSealed(shut);
    },
  };
}

/** The namespaces that are unsealed after the cluster. Those that ask for some peers only mean nothing else. */
function innerNamespaces(script: UnsealScript, run: Run): readonly string[] {
  if (script.namespace !== undefined || run.enter === undefined) return [];
  return script.namespaces ?? (script.peers === undefined ? (run.cluster.namespaces ?? []) : []);
}

/** @returns the peers that are not open, and why. */
async function openPeers(run: Run, peers: readonly Peer[], script: UnsealScript): Promise<readonly Left[]> {
  const surveys = await surveyPeers(peers, { signal: run.signal });
  const { sealed, away } = await takersOf(run, surveys);
  refuseWhatSharesCannotOpen(surveys, sealed);
  refuseAnother(sealed, run.roster);
  const wants = wantsOf(sealed, run.roster);
  const odd = sealed.flatMap(({ peer, seal }) => {
    const why = wants(seal);
    return why === undefined ? [] : [{ peer, why }];
  });
  const { left } = await unsealPeers(
    run,
    sealed.filter(({ seal }) => wants(seal) === undefined),
    {
      ...(run.roster === undefined ? {} : { roster: run.roster }),
      unlistedShare: script['unlisted-share'],
      joinTimeout: JOIN_TIMEOUT,
      absent: [...odd, ...away],
      wants,
    },
  );
  const behind = left.length > 0 ? [] : await waitForFollowers(run, JOIN_TIMEOUT);
  await assertOneCluster(run, peers, run.roster?.['cluster-id']);
  return [...left, ...behind];
}

/**
 * A sealed peer does not tell its cluster's id, a sealed namespace does.
 * @throws QuorateError `cluster-mismatch`.
 */
function refuseAnother(sealed: readonly SealedPeer[], roster: Run['roster']): void {
  const id = roster?.['cluster-id'];
  for (const { peer, seal } of sealed) {
    if (id === undefined || seal.clusterId === undefined || seal.clusterId === id) continue;
    throw new QuorateError('cluster-mismatch', `${peer.name} is another one than the roster is of: ${seal.clusterId}`, {
      hint: 'It was deleted and created again, or the roster is of another. Its shares were given out when it was created.',
    });
  }
}

/** @throws QuorateError `not-initialised`, `not-ready` (an auto-unseal seal), `cluster-mismatch` (two flavours). */
function refuseWhatSharesCannotOpen(surveys: readonly PeerSurvey[], sealed: readonly SealedPeer[]): void {
  const answering = surveys.filter(({ state }) => state !== 'unreachable');
  if (answering.length > 0 && answering.every(({ state }) => state === 'uninitialised')) {
    const what = answering.some(({ peer }) => peer.namespace !== '')
      ? 'the namespace does not exist'
      : 'the cluster is not initialised';
    throw new QuorateError('not-initialised', `${what}: there is nothing to unseal`, {
      hint: 'Initialise it with: quorate init SCRIPT.',
    });
  }
  const auto = sealed.filter(({ seal }) => seal.type !== 'shamir');
  if (auto.length > 0) throw openedBySeal(auto);
  const flavours = new Set(answering.flatMap(({ seal }) => (seal === undefined ? [] : [seal.flavour])));
  if (flavours.size > 1) {
    throw new QuorateError('cluster-mismatch', `the peers are of ${[...flavours].sort().join(' and ')}`, {
      hint: 'They cannot be one cluster. Check the addresses in quorate.yaml, or name the right peers with --peer.',
    });
  }
}

const WANTS = 'wants ';

/**
 * Shares go only to peers that want what the roster says, or, without a roster, that all want the same:
 * a sealed peer does not tell its cluster id, so n and threshold are what can be compared beforehand.
 * @returns what says why a peer does not fit, or undefined when it does.
 * @throws QuorateError `cluster-mismatch` when there is no roster and the peers do not agree.
 */
export function wantsOf(sealed: readonly SealedPeer[], roster: Run['roster']): Wants {
  const size = (threshold: number, shares: number): string => `${threshold.toString()} of ${shares.toString()}`;
  const kinds = new Set(sealed.map(({ seal }) => size(seal.threshold, seal.shares)));
  if (roster === undefined && kinds.size > 1) {
    throw new QuorateError('cluster-mismatch', `the peers want different shares: ${[...kinds].sort().join(', ')}`, {
      hint: 'Without a roster nobody can tell which is right. Unseal one peer at a time with --peer.',
    });
  }
  const expected = roster === undefined ? [...kinds][0] : size(roster.threshold, shareCount(roster));
  return ({ threshold, shares }) => {
    const wanted = size(threshold, shares);
    if (expected === undefined || wanted === expected) return undefined;
    return `${WANTS}${wanted} shares, not ${expected}: given none`;
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

function openedBySeal(peers: readonly SealedPeer[]): QuorateError {
  const names = peers.map(({ peer }) => peer.name).join(', ');
  const types = [...new Set(peers.map(({ seal }) => seal.type))].sort().join(', ');
  return new QuorateError('not-ready', `sealed, and opened by the seal (${types}) and not by shares: ${names}`, {
    hint:
      'Recovery shares cannot unseal: a server opens itself once its seal has the right key, or its HSM or key ' +
      "service answers. Look at the seal stanza and at the server's log.",
  });
}

/**
 * What a sealed peer says it wants is what it read when it started or last led (OpenBao 2.7.2): after a rotation of n or
 * threshold it is wrong until a restart, also on a peer that has the new shares long since.
 */
function stale(left: readonly Left[]): string {
  const odd = left.filter(({ why }) => why.startsWith(WANTS)).map(({ peer }) => peer);
  if (odd.length === 0) return '';
  return `If the shares were rotated since ${odd.join(', ')} started, restart ${odd.length === 1 ? 'its server' : 'their servers'} first. `;
}

function stillSealed({ cluster }: Run, left: readonly Left[], open: number, peers: number): QuorateError {
  const { namespace: inside } = cluster;
  const ours = left.filter(({ peer }) => cluster.peers.some(({ name }) => name === peer));
  const flags = open === 0 ? '' : ours.map(({ peer }) => ` --peer ${peer}`).join('');
  const again = inside === undefined ? `quorate unseal${flags}` : `quorate unseal --namespace ${inside}`;
  return new QuorateError(
    'sealed',
    inside !== undefined && left.some(({ peer }) => peer === inside)
      ? whyLeft(left)
      : `${open.toString()} of ${peers.toString()} peers are unsealed; ${whyLeft(left)}`,
    { hint: `${stale(ours)}For the rest, when ${left.length === 1 ? 'it is' : 'they are'} ready: ${again}` },
  );
}

function namespacesSealed(left: readonly Left[]): QuorateError {
  const [first, ...more] = new Set(left.map(({ peer }) => peer));
  return new QuorateError('sealed', `the cluster is unsealed; ${whyLeft(left)}`, {
    hint: `When their custodians are there: quorate unseal${more.length === 0 ? ` --namespace ${first ?? ''}` : ''}`,
  });
}

function whyLeft(left: readonly Left[]): string {
  return left.map((one) => named(one.peer, one.why)).join('; ');
}
