import * as v from 'valibot';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SshKeygen } from '../../programs/ssh-keygen.ts';
import { QuorateError, isQuorateError } from '../../errors.ts';
import { fileError, readBounded, writeExclusive } from '../../files.ts';
import { canonicalJson } from './canonical.ts';
import { looksSecret } from './events.ts';
import { type RecordPlace, SIGNATURES } from './folder.ts';
import { type Participant, participants, signerName } from './participants.ts';
import { readSoundRecord } from './read.ts';

/** What a signature of a whole record.jsonl is made for. */
export const RECORD_NAMESPACE = 'quorate-record';
/** What a signature of a statement of dissent is made for, so that it can never pass as one of the record. */
export const DISSENT_NAMESPACE = 'quorate-dissent';

const STATEMENT = 'I took part in this ceremony and do not agree with its record.';

const dissent = v.strictObject({
  statement: v.literal(STATEMENT),
  name: v.pipe(v.string(), v.maxLength(400)),
  head: v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/)),
  reason: v.pipe(v.string(), v.maxLength(400), v.regex(/^[^\p{Cc}\p{Cs}]+$/u)),
});
export type Dissent = v.InferOutput<typeof dissent>;

export interface SignOptions {
  readonly place: RecordPlace;
  /** The participant, as the record has the name, or as `signerName` gives it. */
  readonly name: string;
  readonly key: string;
  /** Why the person does not agree; a statement that says so is signed in the record's stead. */
  readonly disagree?: string | undefined;
  readonly sshKeygen: SshKeygen;
  readonly signal?: AbortSignal;
}

export interface Signed {
  readonly name: string;
  /** Below the ceremony's folder. */
  readonly file: string;
  readonly head: string;
  readonly key: string;
  readonly agrees: boolean;
}

/**
 * Signs a closed record, or a statement of dissent, as one of its participants.
 * @throws QuorateError `record-invalid`, `usage` (not closed, not a participant, a reason with a secret in it),
 *   `key-unusable` (also: not the key that the record has for them), `file-exists` (signed already), and as `SshKeygen`.
 */
export async function signRecord(options: SignOptions): Promise<Signed> {
  const { place, key, disagree, sshKeygen } = options;
  const cancel = options.signal === undefined ? {} : { signal: options.signal };
  const record = await readSoundRecord(place.record);
  if (!record.closed) {
    throw new QuorateError('usage', 'this ceremony is not closed: there is no whole record to sign yet', {
      hint: 'Finish it with `quorate ceremony resume`.',
    });
  }
  const person = findParticipant(participants(record.lines), options.name);
  const fingerprint = await sshKeygen.fingerprint(key, options.signal);
  if (person.ssh.length > 0 && !(person.ssh.length === 1 && person.ssh[0] === fingerprint)) {
    throw new QuorateError('key-unusable', `${key} is not the SSH key that the record has for ${person.name}`, {
      hint: `The record says ${person.ssh.join(' and ')}, this key is ${fingerprint}.`,
    });
  }

  const folder = join(place.folder, SIGNATURES);
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    const failure = fileError(folder, error);
    if (failure.code !== 'file-exists') throw failure;
  });
  const base = signerName(person.name);
  const signed = { name: person.name, head: record.head, key: fingerprint };
  if (disagree === undefined) {
    const file = `${SIGNATURES}/${base}.sig`;
    await refuseExisting(join(place.folder, file));
    const signature = await sshKeygen.sign({ key, namespace: RECORD_NAMESPACE, bytes: record.bytes, ...cancel });
    await writeExclusive(join(place.folder, file), signature);
    return { ...signed, file, agrees: true };
  }
  const file = `${SIGNATURES}/${base}.dissent.json`;
  await refuseExisting(join(place.folder, file));
  const bytes = dissentBytes({ statement: STATEMENT, name: person.name, head: record.head, reason: disagree });
  const signature = await sshKeygen.sign({ key, namespace: DISSENT_NAMESPACE, bytes, ...cancel });
  await writeExclusive(join(place.folder, file), bytes);
  await writeExclusive(join(place.folder, `${SIGNATURES}/${base}.dissent.sig`), signature);
  return { ...signed, file, agrees: false };
}

/** Reads a statement of dissent; undefined when it is none. */
export function parseDissent(bytes: Uint8Array): Dissent | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const result = v.safeParse(dissent, JSON.parse(text));
    return result.success && `${canonicalJson(result.output)}\n` === text ? result.output : undefined;
  } catch {
    return undefined;
  }
}

function dissentBytes(statement: Dissent): Uint8Array {
  if (!v.is(dissent, statement) || looksSecret(statement.reason)) {
    throw new QuorateError(
      'usage',
      'the reason must be one line of at most 400 characters, and hold no share or token',
    );
  }
  return new TextEncoder().encode(`${canonicalJson(statement)}\n`);
}

function findParticipant(people: readonly Participant[], name: string): Participant {
  const exact = people.find((person) => person.name === name);
  const similar = people.filter((person) => signerName(person.name) === signerName(name));
  const found = exact ?? (similar.length === 1 ? similar[0] : undefined);
  const hint =
    people.length === 0
      ? 'It names nobody: people sign what was run from a script that names them, or where they gave a share.'
      : `The record names ${people.map((person) => person.name).join(', ')}.`;
  if (found === undefined) throw new QuorateError('usage', 'the record names no such participant', { hint });
  if (signerName(found.name) === '' || similar.length > 1) {
    throw new QuorateError('usage', `${found.name} cannot be told from others by the name of a file`, { hint });
  }
  return found;
}

/** Before the person is asked for a passphrase or a touch in vain; writing is exclusive all the same. */
async function refuseExisting(path: string): Promise<void> {
  try {
    await readBounded(path);
  } catch (error) {
    if (isQuorateError(error, 'file-missing')) return;
    throw error;
  }
  throw new QuorateError('file-exists', `${path} exists already, and quorate overwrites nothing`);
}
