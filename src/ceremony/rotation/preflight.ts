import { isQuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import type { Finding, PreflightRun } from '../kind.ts';
import { electedPeer, Leadership } from '../leadership.ts';
import { lockFinding } from '../lock.ts';
import { clocksAgree, reachable, sameVersion } from '../preflight.ts';
import { shareCount } from '../roster/schema.ts';
import { describeState, type PeerSurvey, surveyPeers } from '../survey.ts';
import { RotationOperation, type RotationPurpose } from './operation.ts';
import { payloadOf, type RotationStatus } from './replies.ts';
import { underWayFindings } from './under-way.ts';
import { votersHealthy } from './voters.ts';

const LEADER_LOOKS = 3;

/** Which key's shares a cluster has: those of the root key, or under an auto-unseal seal those of the recovery key. */
export function purposeOf(surveys: readonly PeerSurvey[]): RotationPurpose {
  const seal = surveys.find((one) => one.seal !== undefined)?.seal;
  return seal !== undefined && seal.type !== 'shamir' ? 'rotate-recovery-key' : 'rotate-root-key';
}

export interface RotationPreflight {
  /** Undefined: whichever the cluster's shares are of. */
  readonly purpose?: RotationPurpose;
  /** A rotation that takes effect needs more rights than a drill. */
  readonly takesEffect: boolean;
  /** Whose shares authorise it, where they are not of the key itself: the root key under an auto-unseal seal. */
  readonly shares?: RotationPurpose;
  /** What the login must be allowed beside it. */
  readonly also?: readonly Right[];
}

/** Everything that can be known before people are asked. Changes nothing. */
export async function rotationPreflight(run: PreflightRun, options: RotationPreflight): Promise<readonly Finding[]> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const findings: Finding[] = [
    ...reachable(surveys),
    ...unsealed(surveys),
    ...sameVersion(surveys),
    ...clocksAgree(surveys, run.policy),
    ...(await oneLeader(run)),
  ];
  const purpose = options.purpose ?? purposeOf(surveys);
  const shares = options.shares ?? purpose;
  if (shares !== purposeOf(surveys)) {
    findings.push({
      code: 'seal',
      ok: false,
      ...(shares === 'rotate-root-key'
        ? {
            finding: 'the cluster is opened by a seal of its own: its people hold shares of the recovery key',
            mend: 'rotate-recovery-key gives them new ones; rotate-root-key with `seal: auto` makes a new root key.',
          }
        : {
            finding: 'the cluster is opened by shares: it has no recovery key',
            mend: 'Use rotate-root-key, without `seal: auto`.',
          }),
    });
    return findings;
  }
  if (findings.some(({ ok, code }) => !ok && code === 'leader')) return findings;
  return [...findings, ...(await withLogin(run, purpose, options, surveys))];
}

/** What only a login can see. */
async function withLogin(
  run: PreflightRun,
  purpose: RotationPurpose,
  options: RotationPreflight,
  surveys: readonly PeerSurvey[],
): Promise<readonly Finding[]> {
  let leadership: Leadership;
  try {
    leadership = await Leadership.find(run);
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    const mend = error.hint ?? 'Mend the login in quorate.yaml.';
    return [{ code: 'login', ok: false, finding: error.message.slice(0, 390), mend }];
  }
  try {
    const { session } = leadership;
    const operation = await RotationOperation.on(session, purpose);
    const findings: Finding[] = [
      await lockFinding(session),
      ...(await rights(session, rightsFor(operation.path, options, surveys))),
      ...(await votersHealthy(run, session)),
      ...(await audit(session)),
    ];
    const status = await operation.status().catch((error: unknown) => {
      if (isQuorateError(error, 'denied')) return undefined;
      throw error;
    });
    const seal = surveys.find(({ state }) => state === 'active')?.seal;
    if (status !== undefined && seal !== undefined)
      findings.push(rosterFits(run, options.shares ?? purpose, status, seal.shares));
    return [...findings, ...(await underWayFindings(run))];
  } finally {
    leadership.close();
  }
}

function unsealed(surveys: readonly PeerSurvey[]): Finding[] {
  const sealed = surveys.filter(({ state }) => state === 'sealed' || state === 'uninitialised');
  if (sealed.length === 0) return [{ code: 'unsealed', ok: true, finding: 'all peers are unsealed' }];
  return sealed.map((survey) => ({
    code: 'unsealed',
    ok: false,
    finding: `${survey.peer.name} is ${describeState(survey)}`,
    mend: 'Unseal it first: a peer that is sealed through a rotation opens only with the old shares afterwards.',
  }));
}

/** The peers agree, each time they are asked, on one leader: behind a load balancer they would not. */
async function oneLeader(run: PreflightRun): Promise<Finding[]> {
  // Peers that were just unsealed elect one first; sealed ones do not.
  await electedPeer(run, (surveys) => surveys.some(({ state }) => state === 'standby'));
  const seen = new Set<string>();
  for (let look = 0; look < LEADER_LOOKS; look += 1) {
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    const active = surveys.filter(({ state }) => state === 'active').map(({ peer }) => peer.name);
    const told = new Set(surveys.flatMap(({ leader }) => leader?.leaderAddress ?? []));
    seen.add(
      `${active.join(' and ') || 'nobody'}${told.size > 1 ? `, while they name ${[...told].sort().join(' and ')}` : ''}`,
    );
  }
  const [first = ''] = seen;
  const one = seen.size === 1 && run.cluster.peers.some(({ name }) => name === first);
  if (one) return [{ code: 'leader', ok: true, finding: `${first} leads` }];
  return [
    {
      code: 'leader',
      ok: false,
      finding: `not one leader: ${[...seen].join('; ')}`.slice(0, 390),
      mend: 'Each address in quorate.yaml must be that of one peer, not of a load balancer; and one must lead.',
    },
  ];
}

interface Right {
  /** From the root on. */
  readonly path: string;
  readonly needs: readonly string[];
}

function rightsFor(
  path: string,
  { takesEffect, shares, also = [] }: RotationPreflight,
  surveys: readonly PeerSurvey[],
): readonly Right[] {
  const [peer] = surveys.map((survey) => survey.peer);
  const namespace = peer?.namespace ?? '';
  const within = namespace === '' ? path : `${namespace}/${path}`;
  const rotate: Right[] = [
    { path: `${within}/init`, needs: ['read', 'update', 'delete'] },
    { path: `${within}/update`, needs: ['update'] },
    { path: 'sys/storage/raft/autopilot/state', needs: ['read'] },
    ...also,
  ];
  if (!takesEffect) return rotate;
  const openbao = surveys.some(({ seal }) => seal?.flavour === 'openbao');
  const backup = path === 'sys/rekey-recovery-key' ? 'sys/rekey/recovery-key-backup' : `${within}/backup`;
  return [
    ...rotate,
    ...(shares === undefined
      ? [
          { path: `${within}/verify`, needs: ['read', 'update', 'delete'] },
          { path: backup, needs: ['read', 'delete'] },
        ]
      : []),
    { path: 'sys/storage/raft/snapshot', needs: ['read'] },
    // The last repair of a write that tore.
    ...(openbao && path === 'sys/rotate/root' ? [{ path: within, needs: ['update', 'sudo'] }] : []),
    // The cold proof.
    ...(peer === undefined || namespace === ''
      ? []
      : [peer.sealPath, peer.unsealPath].map((one) => ({ path: one, needs: ['update'] }))),
  ];
}

/** What the token may do, as the server itself says. */
async function rights(session: Session, wanted: readonly Right[]): Promise<Finding[]> {
  const body = { paths: wanted.map(({ path }) => path) };
  const reply = await session.inNamespace('').request('POST', 'sys/capabilities-self', body);
  const has = payloadOf(reply);
  if (reply.status !== 200) {
    const finding = `the login cannot ask what it may do (status ${reply.status.toString()})`;
    return [{ code: 'rights', ok: false, finding, mend: 'It needs update on sys/capabilities-self.' }];
  }
  const missing = wanted.flatMap(({ path, needs }) => {
    const list = has[path];
    const granted = Array.isArray(list) ? list.map(String) : [];
    if (granted.includes('root')) return [];
    const lacks = needs.filter((need) => !granted.includes(need));
    return lacks.length === 0 ? [] : [`${lacks.join(', ')} on ${path}`];
  });
  if (missing.length === 0) return [{ code: 'rights', ok: true, finding: 'the login may do all that is needed' }];
  return missing.map((what) => ({
    code: 'rights',
    ok: false,
    finding: `the login lacks ${what}`,
    mend: 'Add it to the policy of the ceremony login.',
  }));
}

/** That this is answered at all shows that an audit device took the entry: with a broken one every call fails. */
async function audit(session: Session): Promise<Finding[]> {
  const reply = await session.inNamespace('').request('GET', 'sys/audit');
  const devices = reply.status === 200 ? Object.keys(payloadOf(reply)).filter((name) => name.endsWith('/')) : [];
  if (devices.length > 0) {
    return [{ code: 'audit', ok: true, finding: `audit devices that take entries: ${devices.join(', ')}` }];
  }
  const denied = reply.status === 403;
  return [
    {
      code: 'audit',
      ok: false,
      finding: denied ? 'the login may not list audit devices' : 'the server has no audit device that answers',
      mend: denied ? 'Its policy needs read and sudo on sys/audit.' : 'Enable one on every peer, with the same stanza.',
    },
  ];
}

function rosterFits(run: PreflightRun, purpose: RotationPurpose, status: RotationStatus, shares: number): Finding {
  const { roster } = run;
  const mend = 'Have the custodians enroll (quorate custodian enroll), and name the roster in quorate.yaml.';
  if (roster === undefined) return { code: 'roster', ok: false, finding: 'there is no roster of this cluster', mend };
  const kind = purpose === 'rotate-recovery-key' ? 'recovery' : 'shamir';
  const server = `${status.required.toString()} of ${shares.toString()}`;
  const own = `${roster.threshold.toString()} of ${shareCount(roster).toString()}`;
  if (roster.seal !== kind) {
    return { code: 'roster', ok: false, finding: `the roster is of a ${roster.seal} seal, the cluster's is not`, mend };
  }
  if (server !== own) {
    const finding = `the roster says ${own}, the servers say ${server}`;
    return { code: 'roster', ok: false, finding, mend: 'Find out which is right; a drill with the roster tells.' };
  }
  if ((roster.unlisted ?? 0) > 0) {
    const finding = `${(roster.unlisted ?? 0).toString()} shares are not in the roster`;
    return { code: 'roster', ok: false, finding, mend };
  }
  return { code: 'roster', ok: true, finding: `the roster fits: ${own}, generation ${roster.generation.toString()}` };
}
