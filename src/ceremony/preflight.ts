import type { Policy } from '../config.ts';
import { clockSkew, type PeerSurvey } from './survey.ts';
import type { Finding } from './kind.ts';

/** Findings that every kind shares, from one survey of the peers. */

/** Every peer answers. */
export function reachable(surveys: readonly PeerSurvey[]): Finding[] {
  const lost = surveys.filter((survey) => survey.state === 'unreachable');
  if (lost.length === 0) {
    return [
      {
        code: 'reachable',
        ok: true,
        finding: `${surveys.length.toString()} of ${surveys.length.toString()} peers answer`,
      },
    ];
  }
  const nobodyProved = lost.length === surveys.length && lost.every(({ fault }) => fault?.code === 'server-identity');
  return lost.map(({ peer, fault }) => ({
    code: 'reachable',
    ...(nobodyProved ? { error: 'server-identity' as const } : {}),
    ok: false,
    finding: `${peer.name} at ${peer.address}: ${fault?.message ?? 'no answer'}`,
    mend: 'Start it, or mend its address, CA or pin in quorate.yaml.',
  }));
}

/** All peers that answer run the same flavour and version. */
export function sameVersion(surveys: readonly PeerSurvey[]): Finding[] {
  const versions = new Set(
    surveys.flatMap(({ seal }) => (seal === undefined ? [] : [`${seal.flavour} ${seal.version}`])),
  );
  if (versions.size === 0) return [];
  const list = [...versions].sort().join(', ');
  return versions.size === 1
    ? [{ code: 'version', ok: true, finding: `one version: ${list}` }]
    : [
        {
          code: 'version',
          ok: false,
          finding: `several versions: ${list}`,
          mend: 'Bring all peers to one version first.',
        },
      ];
}

/** The peers' clocks agree with this machine's, and so with each other. */
export function clocksAgree(surveys: readonly PeerSurvey[], policy: Policy): Finding[] {
  const limit = policy['largest-clock-skew-seconds'] * 1000;
  const skews = surveys.flatMap(({ peer, health }) =>
    health === undefined ? [] : [{ name: peer.name, skew: clockSkew(health) }],
  );
  const off = skews.filter(({ skew }) => Math.abs(skew) > limit);
  if (skews.length === 0) return [];
  if (off.length === 0)
    return [{ code: 'clock', ok: true, finding: `clocks agree within ${(limit / 1000).toString()} s` }];
  return off.map(({ name, skew }) => ({
    code: 'clock',
    ok: false,
    finding: `the clock of ${name} is ${Math.round(Math.abs(skew) / 1000).toString()} s ${skew > 0 ? 'ahead of' : 'behind'} this machine's`,
    mend: 'Set the clocks by NTP, here and there: times in the record and token lifetimes depend on them.',
  }));
}

/** n and threshold are within what the policy in quorate.yaml allows. */
export function withinPolicy(shares: number, threshold: number, policy: Policy): Finding[] {
  const smallest = policy['smallest-threshold'];
  return threshold >= smallest
    ? [{ code: 'threshold', ok: true, finding: `threshold ${threshold.toString()} of ${shares.toString()}` }]
    : [
        {
          code: 'threshold',
          ok: false,
          finding: `a threshold of ${threshold.toString()} is under the smallest that the policy allows, ${smallest.toString()}`,
          mend: 'Raise the threshold in the script; the limit is policy.smallest-threshold in quorate.yaml.',
        },
      ];
}
