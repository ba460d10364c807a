import { mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { readBounded, syncFolder, writeExclusive } from '../../files.ts';
import type { SshKeygen } from '../../programs/ssh-keygen.ts';
import { fileNameOf } from '../script.ts';
import { parseRoster } from './roster.ts';
import type { Roster } from './schema.ts';

/** What a signature over a roster is for (SSHSIG): one made for a record is void here, and the other way round. */
export const ROSTER_NAMESPACE = 'quorate-roster';

/** `roster.signatures/GENERATION` next to the roster, with one `NAME.sig` a signer. */
export function signatureFolder(rosterPath: string, generation: number): string {
  const name = basename(rosterPath).replace(/\.ya?ml$/, '');
  return join(dirname(rosterPath), `${name}.signatures`, generation.toString());
}

/**
 * Signs the roster's file as it is and puts the signature next to it; the path of the signature.
 * Check it with `ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n quorate-roster -s NAME.sig < roster.yaml`.
 * @throws QuorateError `key-unusable`; `file-exists` when this person has signed; as `loadRoster` does.
 */
export async function signRoster(
  sshKeygen: SshKeygen,
  path: string,
  options: { readonly who: string; readonly key: string; readonly signal?: AbortSignal },
): Promise<string> {
  const bytes = await readBounded(path);
  const { generation } = parseRoster(new TextDecoder().decode(bytes), path);
  const signature = await sshKeygen.sign({
    key: options.key,
    namespace: ROSTER_NAMESPACE,
    bytes,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const folder = signatureFolder(path, generation);
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${fileNameOf(options.who)}.sig`);
  await writeExclusive(file, signature);
  await syncFolder(dirname(folder));
  return file;
}

export interface RosterTrust {
  readonly roster: Roster;
  /** Holders of the generation before (of its own, for generation 1) whose signatures are good. */
  readonly signed: readonly string[];
  /** Signature files that are not good, or not from one of them. */
  readonly void: readonly string[];
  /** How many such holders must have signed: the threshold of the generation before. */
  readonly needed: number;
  readonly trusted: boolean;
}

/**
 * Checks who signed the roster at `path`. A generation is trusted when as many custodians of the one before have
 * signed it as could have rotated the key; the first, when as many of its own have.
 * @param options.allowedSigners the checker's own file of keys (ssh-keygen(1)), in which a holder's principal is the
 *   name, or the name as a file name (`alice-example`). Keys named in a roster prove nothing by themselves.
 * @param options.before the roster of the generation before, which the checker trusts already.
 * @throws QuorateError `roster-invalid` when `before` is missing or not the generation before of the same cluster;
 *   `file-missing`; as `loadRoster` does.
 */
export async function verifyRoster(
  sshKeygen: SshKeygen,
  path: string,
  options: { readonly allowedSigners: string; readonly before?: Roster; readonly signal?: AbortSignal },
): Promise<RosterTrust> {
  const bytes = await readBounded(path);
  const roster = parseRoster(new TextDecoder().decode(bytes), path);
  const signers = signersOf(roster, options.before);
  const folder = signatureFolder(path, roster.generation);
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.sig')).sort();
  const signed: string[] = [];
  const rejected: string[] = [];
  const seenKeys = new Set<string>();
  for (const file of files) {
    const holder = signers.shares.find((one) => `${fileNameOf(one.holder)}.sig` === file);
    const key = holder === undefined ? undefined : await keyOf(holder.holder, join(folder, file));
    // One key under two names is one person.
    const isGood = key !== undefined && !seenKeys.has(key) && (holder?.ssh === undefined || holder.ssh === key);
    if (holder !== undefined && isGood) {
      seenKeys.add(key);
      signed.push(holder.holder);
    } else {
      rejected.push(file);
    }
  }
  const needed = signers.threshold;
  return { roster, signed, void: rejected, needed, trusted: signed.length >= needed };

  async function keyOf(holder: string, signature: string): Promise<string | undefined> {
    for (const identity of new Set([holder, fileNameOf(holder)])) {
      const verified = await sshKeygen.verify({
        allowedSigners: options.allowedSigners,
        identity,
        namespace: ROSTER_NAMESPACE,
        signature,
        bytes,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      if (verified.ok) return verified.key;
    }
    return undefined;
  }
}

/** The roster whose holders must have signed; the one before must say of itself what this one says of it. */
function signersOf(roster: Roster, before: Roster | undefined): Roster {
  if (roster.generation === 1) return roster;
  const name = `generation ${roster.generation.toString()} of ${roster.cluster}`;
  const hint = 'Bring the roster of the generation before, in the form in which it was signed.';
  if (before === undefined)
    throw new QuorateError('roster-invalid', `${name} can only be checked with the one before`, { hint });
  if (before.cluster !== roster.cluster || before.generation !== roster.generation - 1)
    throw new QuorateError('roster-invalid', `the other roster is not the one before ${name}`, { hint });
  if (before['cluster-id'] !== undefined && before['cluster-id'] !== roster['cluster-id'])
    throw new QuorateError('roster-invalid', `${name} has another cluster id than the one before`);
  const kept = new Set((roster.previous ?? []).map((one) => JSON.stringify(one.fingerprint)));
  if (!before.shares.every((one) => kept.has(JSON.stringify(one.fingerprint))))
    throw new QuorateError('roster-invalid', `${name} leaves out shares of the one before`);
  return before;
}
