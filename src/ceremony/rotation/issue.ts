import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import type { Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { proveShares } from '../proving.ts';
import { fileNameOf } from '../script.ts';
import { type Attempt, currentAttempt } from './attempt.ts';
import { type Collection, collectShares, withOperation } from './collect.ts';
import { RotationOperation } from './operation.ts';
import { custodianKeys, mustBeUnderWay, newGeneration, type Plan, proofsOf } from './plan.ts';
import { presentShares } from './share-set.ts';

/** Where a custodian's new share lies: each attempt has files of its own. */
export function issuedFile(attempt: Attempt, name: string): string {
  return join(`issued-${attempt.number.toString()}`, `${fileNameOf(name)}.pgp`);
}

/** Whether the leader holds this attempt with its new shares made. */
async function isHeld(run: Run, plan: Plan, attempt: Attempt): Promise<boolean> {
  const leadership = await Leadership.find(run);
  try {
    const status = await (await RotationOperation.on(leadership.session, plan.purpose)).status();
    return status.started && status.nonce === attempt.nonce && status.verificationNonce !== '';
  } finally {
    leadership.close();
  }
}

/** Today's holders give their shares; what the server then issues is on disk before anything else is done with it. */
export function collectStep(plan: Plan): Step {
  return {
    id: 'collect',
    title: "today's custodians give their shares until the server has made new ones",
    who: 'custodians',
    async done(run) {
      const attempt = currentAttempt(run.events);
      if (attempt === undefined) return false;
      return attempt.lastCallSent || (await isHeld(run, plan, attempt));
    },
    run: (run) => collect(run, plan),
  };
}

export async function collect(run: Run, plan: Plan): Promise<void> {
  const keys = custodianKeys(plan);
  const request = {
    shares: plan.shares,
    threshold: plan.threshold,
    pgpKeys: keys.map(({ binaryBase64 }) => binaryBase64),
    backup: true,
  };
  await withOperation(run, plan.purpose, 'rotation', request, async (collection: Collection) => {
    const outcome = await collectShares(run, collection, presentShares(run, 'the old shares'));
    if (outcome.kind !== 'complete' || outcome.issued === undefined) return;
    const { shares, fingerprints } = outcome.issued;
    const expected = keys.map(({ fingerprint }) => fingerprint.toLowerCase());
    if (shares.length !== keys.length || fingerprints.join() !== expected.join()) {
      throw new QuorateError(
        'server-response',
        `${collection.operation.peer} did not encrypt to the keys it was given`,
        {
          hint: 'The rotation was cancelled; the old shares are live.',
        },
      );
    }
    await place(run, plan, shares);
  });
}

/** Where the reply with the shares was lost, the server's own copy is read. */
export function fetchStep(plan: Plan): Step {
  return {
    id: 'fetch',
    title: 'each new share, encrypted to its custodian, is in a file of its own',
    who: 'administrator',
    done: (run) => Promise.resolve(isIssued(run, plan)),
    run: (run) => fetchIssued(run, plan),
  };
}

export async function fetchIssued(run: Run, plan: Plan): Promise<void> {
  if (isIssued(run, plan)) return;
  const attempt = mustBeUnderWay(run);
  const leadership = await Leadership.find(run);
  try {
    const operation = await RotationOperation.on(leadership.session, plan.purpose);
    const backup = await operation.backup();
    if (backup?.nonce !== attempt.nonce) {
      throw new QuorateError('server-response', `${operation.peer} keeps no copy of the new shares of this rotation`, {
        hint: 'Nothing has taken effect, the old shares are live. Cancel the rotation and start a new ceremony.',
      });
    }
    const shares = custodianKeys(plan).map(({ name, fingerprint }) => {
      const list = backup.shares.get(fingerprint.toLowerCase());
      if (list?.length === 1) return list[0] ?? '';
      throw new QuorateError('server-response', `the server's copy has no share for ${name}`);
    });
    await place(run, plan, shares);
    await run.record({
      event: 'exception',
      expected: 'the reply to the last old share brings the new shares',
      happened: 'it was lost',
      decision: "they were read from the server's encrypted copy, whose nonce is that of this rotation",
      by: 'quorate',
    });
  } finally {
    leadership.close();
  }
}

function isIssued(run: Run, plan: Plan): boolean {
  const attempt = currentAttempt(run.events);
  if (attempt === undefined) return false;
  const files = attempt.events.flatMap((event) => (event.event === 'share.issued' ? [event.file] : []));
  return plan.custodians.every(({ name }) => files.includes(issuedFile(attempt, name)));
}

async function place(run: Run, plan: Plan, shares: readonly string[]): Promise<void> {
  const attempt = mustBeUnderWay(run);
  await mkdir(join(run.folder, `issued-${attempt.number.toString()}`), { recursive: true, mode: 0o700 });
  const known = new Set(attempt.events.flatMap((event) => (event.event === 'share.issued' ? [event.file] : [])));
  const placed: { name: string; fingerprint: string; file: string; content: Uint8Array }[] = [];
  for (const [index, { name, fingerprint }] of custodianKeys(plan).entries()) {
    const content = messageOf(shares[index] ?? '', name);
    const file = issuedFile(attempt, name);
    await replaceFile(join(run.folder, file), content);
    placed.push({ name, fingerprint, file, content });
  }
  for (const { name, fingerprint, file, content } of placed) {
    if (known.has(file)) continue;
    const ciphertext = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    await run.record({ event: 'share.issued', who: name, pgp: fingerprint, file, ciphertext });
  }
}

/** An OpenPGP message to a key: Vault gives base64 of the binary form, in both of its answers. */
function messageOf(base64: string, who: string): Uint8Array {
  const content = new Uint8Array(Buffer.from(base64, 'base64'));
  // It starts with a packet of tag 1 (RFC 9580, section 4.3); a share in clear has 33 bytes.
  const first = content[0] ?? 0;
  if (content.length > 64 && ([0x84, 0x85, 0x86].includes(first) || first === 0xc1)) return content;
  throw new QuorateError('server-response', `what the server issued to ${who} is not encrypted`, {
    hint: 'Nothing has taken effect, the old shares are live. Treat these new shares as known to others.',
  });
}

/** All n custodians read their new share, before the rotation can take effect. */
export function proveStep(plan: Plan): Step {
  return {
    id: 'prove',
    title: `all ${plan.shares.toString()} new custodians decrypt their share and give its fingerprint`,
    who: 'custodians',
    done: (run) => {
      const attempt = currentAttempt(run.events);
      return Promise.resolve(attempt !== undefined && proofsOf(attempt).size === plan.custodians.length);
    },
    run: (run) => prove(run, plan),
  };
}

export async function prove(run: Run, plan: Plan): Promise<void> {
  const attempt = mustBeUnderWay(run);
  const issued = plan.custodians.map(({ name, pgp, ssh }) => ({
    name,
    pgp,
    ssh: ssh?.fingerprint,
    file: issuedFile(attempt, name),
    single: plan.shares === 1,
    generation: newGeneration(run),
  }));
  await proveShares(run, issued, () => proofsOf(mustBeUnderWay(run)));
}
