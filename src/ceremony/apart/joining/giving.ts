import { isQuorateError, QuorateError } from '../../../errors.ts';
import type { Peer, SealStatus } from '../../../vault/peer.ts';
import { readAttempt } from '../../root-generation/attempt.ts';
import { readAccepted, sendShare } from '../../root-generation/giving.ts';
import { RotationOperation } from '../../rotation/operation.ts';
import type { Share } from '../../share.ts';
import { shareText } from '../../share.ts';
import { wholeNamespace } from '../../unseal/takers.ts';
import type { ReceiptBody, Said } from '../receipt.ts';
import type { Task } from '../task.ts';
import { type Joining, onActive, voidInvitation } from './surroundings.ts';

/** What a receipt says of the servers' answers. */
export type Answers = Pick<ReceiptBody, 'said' | 'issued' | 'encoded'>;

/**
 * Gives a share straight to the servers, each at most once for what counts twice, and says what they answered. A fault
 * is settled by looking; what nobody can tell is `unclear`. Never cut short by a signal: it could have been counted.
 * @throws QuorateError `not-ready` when what the invitation is for is gone: nothing was counted.
 */
export async function giveApart(joining: Joining, share: Share): Promise<Answers> {
  const { task } = joining.invitation;
  switch (task.give) {
    case 'unseal':
      return giveToSealed(joining, task, share);
    case 'rotation':
      return giveToRotation(joining, task, share);
    case 'verification':
      return giveToVerification(joining, task, share);
    case 'root-token':
      return giveToGeneration(joining, task, share);
    case 'nothing':
    case 'proof':
      return { said: [{ peer: 'this machine', request: 'none', answer: 'elsewhere' }] };
  }
}

/**
 * After this machine stopped between giving and hearing. A server says of a share whether it has it already; a new
 * share counts twice that is given twice (OpenBao 2.7.2), so that there it is only looked. Where all is over by now,
 * what became of the share is `unclear`.
 */
export async function giveAgain(joining: Joining, share: Share): Promise<Answers> {
  const { task } = joining.invitation;
  const why = 'this machine stopped before the answer was read';
  if (task.give !== 'verification') {
    try {
      return await giveApart(joining, share);
    } catch (error) {
      if (!isQuorateError(error, 'not-ready')) throw error;
      return { said: [unclear(joining.cluster.peers[0]?.name ?? '', task.give, `${why}, and it is over`)] };
    }
  }
  return onActive(joining, async (session) => {
    const operation = await RotationOperation.on(session, task.purpose);
    const status = await operation.verification();
    const found = status?.nonce === task.nonce ? { progress: status.progress } : {};
    return { said: [{ ...unclear(operation.peer, `PUT ${operation.path}/verify`, why), nonce: task.nonce, ...found }] };
  });
}

async function giveToSealed(
  { cluster, signal }: Joining,
  task: Extract<Task, { give: 'unseal' }>,
  share: Share,
): Promise<Answers> {
  if (cluster.namespace !== undefined) {
    return { said: [await unsealOne(wholeNamespace({ cluster, signal }, cluster.namespace), share)] };
  }
  const peers = cluster.peers.filter(({ name }) => task.peers.includes(name));
  return { said: await Promise.all(peers.map((peer) => unsealOne(peer, share))) };
}

async function unsealOne(peer: Peer, share: Share): Promise<Said> {
  const request = `POST ${peer.unsealPath}`;
  let before: SealStatus | undefined;
  try {
    before = await peer.sealStatus();
    if (!before.sealed) return { peer: peer.name, request, answer: 'refused', why: 'it was unsealed already' };
    const text = shareText(share);
    try {
      const after = await peer.unseal(text);
      return { peer: peer.name, request, ...answerOf(before, after) };
    } finally {
      text.wipe();
    }
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'bug') throw error;
    if (error.code === 'shares-wrong') return { peer: peer.name, request, answer: 'wrong set' };
    if (before === undefined) return { peer: peer.name, request, answer: 'refused', why: shortened(error.message) };
    return unclear(peer.name, request, error.message);
  }
}

function answerOf(before: SealStatus, after: SealStatus): Pick<Said, 'answer' | 'progress' | 'nonce'> {
  if (!after.sealed) return { answer: 'complete' };
  const last = before.progress + 1 >= before.threshold;
  // A Raft follower that joins answers its last share like a reset, and opens some seconds later.
  if (last && after.progress === 0) return { answer: 'opening' };
  const same = after.progress === before.progress;
  return { answer: same ? 'again' : 'counted', progress: after.progress, nonce: after.nonce };
}

function giveToRotation(joining: Joining, task: Extract<Task, { give: 'rotation' }>, share: Share): Promise<Answers> {
  return onActive(joining, async (session) => {
    const operation = await RotationOperation.on(session, task.purpose);
    const place = { peer: operation.peer, request: `PUT ${operation.path}/update`, nonce: task.nonce };
    const outcome = await operation.give(share, task.nonce);
    switch (outcome.kind) {
      case 'progress':
        return { said: [{ ...place, answer: 'counted', progress: outcome.progress }] };
      case 'counted before':
        return { said: [{ ...place, answer: 'again' }] };
      case 'complete': {
        const { shares, fingerprints, verificationNonce } = outcome.issued;
        const issued = { shares: [...shares], fingerprints: [...fingerprints], verificationNonce };
        return { said: [{ ...place, answer: 'complete' }], ...(shares.length === 0 ? {} : { issued }) };
      }
      case 'wrong set':
        return { said: [{ ...place, answer: 'wrong set' }] };
      case 'verifying':
        // It ended with this share, or with another one meanwhile: only its own giver knows.
        return { said: [unclear(place.peer, place.request, 'the shares were complete before')] };
      case 'gone':
      case 'nonce changed':
        throw voidInvitation(`the operation on ${operation.peer} is no longer there`);
      case 'unclear':
        return { said: [unclear(place.peer, place.request, outcome.why)] };
    }
  });
}

function giveToVerification(
  joining: Joining,
  task: Extract<Task, { give: 'verification' }>,
  share: Share,
): Promise<Answers> {
  return onActive(joining, async (session) => {
    const operation = await RotationOperation.on(session, task.purpose);
    const place = { peer: operation.peer, request: `PUT ${operation.path}/verify`, nonce: task.nonce };
    const outcome = await operation.giveForVerification(share, task.nonce);
    switch (outcome.kind) {
      case 'progress':
        return { said: [{ ...place, answer: 'counted', progress: outcome.progress }] };
      case 'complete':
        return { said: [{ ...place, answer: 'complete' }] };
      case 'wrong set':
        return { said: [{ ...place, answer: 'wrong set' }] };
      case 'gone':
      case 'nonce changed':
        throw voidInvitation(`the verification on ${operation.peer} is no longer there`);
      case 'unclear':
        return { said: [unclear(place.peer, place.request, outcome.why)] };
    }
  });
}

function giveToGeneration(
  joining: Joining,
  task: Extract<Task, { give: 'root-token' }>,
  share: Share,
): Promise<Answers> {
  return onActive(joining, async (session) => {
    const request = `PUT ${await session.peer.endpoint('generate-root')}/update`;
    const place = { peer: session.peer.name, request, nonce: task.nonce };
    const answer = await sendShare(session, task.nonce, share);
    if (answer instanceof QuorateError) return { said: [unclear(place.peer, request, answer.message)] };
    if (answer.status === 200) {
      const outcome = readAccepted(answer);
      if (outcome.kind === 'token') return { said: [{ ...place, answer: 'complete' }], encoded: outcome.encoded };
      if (outcome.kind === 'counted') return { said: [{ ...place, answer: 'counted', progress: outcome.progress }] };
      return { said: [unclear(place.peer, request, 'the server made a root token and did not tell it')] };
    }
    const says = (text: string): boolean => answer.errors.some((line) => line.includes(text));
    if (says('already been provided')) return { said: [{ ...place, answer: 'again' }] };
    if (says('aborted')) return { said: [{ ...place, answer: 'wrong set' }] };
    const now = await readAttempt(session);
    if (!now.started || now.nonce !== task.nonce) throw voidInvitation('the generation is no longer there');
    return { said: [{ ...place, answer: 'refused', why: shortened(answer.errors.join('; ')) }] };
  });
}

function unclear(peer: string, request: string, why: string): Said {
  return { peer, request, answer: 'unclear', why: shortened(why) };
}

function shortened(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, 300);
}
