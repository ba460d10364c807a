import { QuorateError } from '../../../errors.ts';
import type { Session } from '../../../vault/peer.ts';
import { custodiansOf } from '../../load.ts';
import { readAttempt } from '../../root-generation/attempt.ts';
import { RotationOperation } from '../../rotation/operation.ts';
import { payloadOf } from '../../rotation/replies.ts';
import { describeState, type PeerSurvey } from '../../survey.ts';
import type { Task } from '../task.ts';
import { type Joining, onActive, voidInvitation } from './surroundings.ts';

/**
 * What the servers say of the operation that a custodian is invited to, compared with the script that they read.
 * @returns lines for the custodian.
 * @throws QuorateError `not-ready` when there is no such operation; `invitation-invalid` when it is not the script's.
 */
export async function lookAtTask(joining: Joining, surveys: readonly PeerSurvey[]): Promise<readonly string[]> {
  const { task } = joining.invitation;
  switch (task.give) {
    case 'unseal':
      return surveys
        .filter(({ peer }) => peer.namespace !== '' || task.peers.includes(peer.name))
        .map((survey) => `${survey.peer.name}   ${describeState(survey)}`);
    case 'rotation':
      return onActive(joining, (session) => lookAtRotation(joining, task, session));
    case 'verification':
      return onActive(joining, (session) => lookAtVerification(joining, task, session));
    case 'root-token':
      return onActive(joining, (session) => lookAtGeneration(task, session));
    case 'nothing':
      return ['nothing is sent: your share is compared with the roster on this machine'];
    case 'proof':
      return ['nothing is sent: your new share is decrypted on this machine'];
  }
}

async function lookAtRotation(
  { loaded }: Joining,
  task: Extract<Task, { give: 'rotation' }>,
  session: Session,
): Promise<readonly string[]> {
  const operation = await RotationOperation.on(session, task.purpose);
  const status = await operation.status();
  if (!status.started || status.nonce !== task.nonce) {
    throw voidInvitation(`${operation.peer} holds no operation with nonce ${task.nonce}`);
  }
  const raw = payloadOf(await session.request('GET', `${operation.path}/init`));
  const { shares, threshold, seal } = loaded.script as { shares?: number; threshold?: number; seal?: string };
  const size = `${status.threshold.toString()} of ${status.shares.toString()}`;
  const counted = `${operation.peer} counts ${status.progress.toString()} of ${status.required.toString()} shares`;
  const issues = task.use === 'drill' || seal !== 'auto';
  if (issues && raw['verification_required'] !== true) throw otherThanScript('it takes effect without verification');
  if (task.use === 'drill') {
    if (size !== '1 of 1') throw otherThanScript(`it would make ${size} shares, and a drill makes one that is void`);
    return [`a drill: it makes one void share, and is cancelled; ${counted}`];
  }
  if (!issues) return [`a new root key, which issues no shares; ${counted}`];
  if (status.shares !== shares || status.threshold !== threshold) {
    throw otherThanScript(`it would make ${size} shares`);
  }
  const keys = Array.isArray(raw['pgp_fingerprints']) ? raw['pgp_fingerprints'].map((one) => String(one)) : [];
  const expected = custodiansOf(loaded.script).map(({ pgp }) => pgp?.fingerprint ?? '');
  if (keys.join().toUpperCase() !== expected.join().toUpperCase()) {
    throw otherThanScript('it would encrypt the new shares to other keys');
  }
  return [`new shares, ${size}, encrypted to the keys in the script; ${counted}`];
}

async function lookAtVerification(
  { loaded }: Joining,
  task: Extract<Task, { give: 'verification' }>,
  session: Session,
): Promise<readonly string[]> {
  const operation = await RotationOperation.on(session, task.purpose);
  const status = await operation.verification();
  if (status?.nonce !== task.nonce) {
    throw voidInvitation(`${operation.peer} holds no verification with nonce ${task.nonce}`);
  }
  const { shares, threshold } = loaded.script as { shares?: number; threshold?: number };
  if (status.shares !== shares || status.threshold !== threshold) {
    throw otherThanScript(`it is for ${status.threshold.toString()} of ${status.shares.toString()} shares`);
  }
  return [
    `the new shares take effect with the last of ${status.threshold.toString()}; ` +
      `${operation.peer} counts ${status.progress.toString()}`,
  ];
}

async function lookAtGeneration(
  task: Extract<Task, { give: 'root-token' }>,
  session: Session,
): Promise<readonly string[]> {
  const { started, nonce, progress, required } = await readAttempt(session);
  const { name } = session.peer;
  if (!started || nonce !== task.nonce)
    throw voidInvitation(`${name} generates no root token with nonce ${task.nonce}`);
  return [
    `a root token, for the plan in the script; ${name} counts ${progress.toString()} of ${required.toString()} shares`,
  ];
}

function otherThanScript(why: string): QuorateError {
  return new QuorateError('invitation-invalid', `the operation that runs is not that of the script: ${why}`, {
    hint: 'Give no share, and tell the others. Somebody has started another operation than the approved one.',
  });
}
