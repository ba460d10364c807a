import { join } from 'node:path';
import { QuorateError } from '../errors.ts';
import { readBounded } from '../files.ts';
import { proveApart } from './apart/showing.ts';
import type { Run } from './kind.ts';
import type { RecordLine } from './record/events.ts';
import type { RosterEntry } from './roster/schema.ts';
import type { Custodian } from './script.ts';

/** That a custodian has read their share, as the record has it. */
export type ProvedShare = Extract<RecordLine, { event: 'share.proved' }>;

/** An issued share whose holder is to prove that they can read it. */
export interface ToProve {
  readonly name: string;
  readonly pgp?: { readonly fingerprint: string } | undefined;
  /** Below the ceremony's folder. */
  readonly file: string;
  /** The only share of a 1 of 1. */
  readonly single: boolean;
  /** x-coordinates that others have proved, and whose they are. */
  readonly taken: ReadonlyMap<string, string>;
  readonly generation: number;
}

function notOwn(name: string, other: string): QuorateError {
  return new QuorateError('share-owner', `${name} gave the fingerprint of ${other}'s share`, {
    hint: `Resume, and have ${name} decrypt what was issued to them.`,
  });
}

/**
 * Has one custodian decrypt their share, and records its fingerprint.
 * @throws QuorateError `share-owner` for a share that somebody else has proved: the wrong file was decrypted.
 */
async function proveShare(run: Run, { name, pgp, file, single, taken, generation }: ToProve): Promise<void> {
  const proof = await run.people.prove({
    holder: name,
    file: join(run.folder, file),
    ciphertext: await readBounded(join(run.folder, file)),
    ...(pgp === undefined ? {} : { pgpFingerprint: pgp.fingerprint }),
    single,
    taken,
  });
  const other = taken.get(proof.x);
  if (other !== undefined) {
    throw notOwn(name, other);
  }
  await run.record({
    event: 'share.proved',
    who: name,
    x: proof.x,
    salt: proof.salt,
    fingerprint: `sha256:${proof.sha256}`,
    generation,
    how: proof.how,
  });
}

/** Has each of these prove their share: one after the other in the room, in any order when they are apart. */
export async function proveShares(
  run: Run,
  issued: readonly (Omit<ToProve, 'taken'> & { readonly ssh?: string | undefined })[],
  /** The proofs so far. */
  proofs: () => ReadonlyMap<string, ProvedShare>,
): Promise<void> {
  const taken = (): ReadonlyMap<string, string> => new Map([...proofs()].map(([who, { x }]) => [x, who]));
  const left = issued.filter(({ name }) => !proofs().has(name));
  if (run.apart === undefined) {
    for (const one of left) await proveShare(run, { ...one, taken: taken() });
    return;
  }
  const messages = await Promise.all(
    left.map(async (one) => ({ ...one, ciphertext: await readBounded(join(run.folder, one.file)) })),
  );
  await proveApart(run, run.apart, messages, async ({ custodian, x, fingerprint, proof }) => {
    const other = taken().get(x);
    if (other !== undefined) throw notOwn(custodian, other);
    const generation = left[0]?.generation ?? 0;
    const how = 'on their own machine, by a receipt with their signature';
    await run.record({ event: 'share.proved', who: custodian, x, salt: proof.salt, fingerprint, generation, how });
  });
  const missing = left.filter(({ name }) => !proofs().has(name)).map(({ name }) => name);
  if (missing.length > 0) {
    throw new QuorateError(
      'ceremony-interrupted',
      `${missing.join(', ')} did not prove that they can read their share`,
      {
        hint: 'Resume the ceremony when they can take part.',
      },
    );
  }
}

/** The proofs of a ceremony so far, the latest of each custodian. */
export function provedShares(events: readonly RecordLine[]): ReadonlyMap<string, ProvedShare> {
  const proofs = new Map<string, ProvedShare>();
  for (const event of events) {
    if (event.event === 'share.proved' && event.who !== undefined) proofs.set(event.who, event);
  }
  return proofs;
}

/** The roster's entries of custodians who have all proved their share. @throws QuorateError `bug` when one has not. */
export function provedEntries(
  custodians: readonly Custodian[],
  proofs: ReadonlyMap<string, ProvedShare>,
): readonly RosterEntry[] {
  return custodians.map(({ name, pgp, ssh }): RosterEntry => {
    const proof = proofs.get(name);
    if (proof === undefined) throw new QuorateError('bug', `no proof of ${name}`);
    return {
      'holder': name,
      'x': proof.x,
      'fingerprint': { salt: proof.salt, sha256: proof.fingerprint.slice('sha256:'.length) },
      ...(pgp === undefined ? {} : { pgp: pgp.fingerprint }),
      ...(ssh === undefined ? {} : { ssh: ssh.fingerprint }),
      'status': 'proved',
      'proved-at': proof.time,
    };
  });
}
