import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SshKeygen } from '../../programs/ssh-keygen.ts';
import { readBounded } from '../../files.ts';
import type { VerifyFinding } from './finding.ts';
import { type Participant, type Role, signerName } from './participants.ts';
import type { ReadRecord } from './read.ts';
import { DISSENT_NAMESPACE, RECORD_NAMESPACE, parseDissent } from './signatures.ts';

export interface SignerResult {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly signature: 'signed' | 'disagrees' | 'missing' | 'invalid' | 'unchecked';
  /** The fingerprint of the key that signed. */
  readonly key?: string;
  /** Why the person does not agree. */
  readonly reason?: string;
}

export interface SignersRequest {
  /** Where the signatures are. */
  readonly folder: string;
  readonly record: ReadRecord;
  readonly people: readonly Participant[];
  readonly allowedSigners: string | undefined;
  readonly revokedKeys?: string | undefined;
  readonly sshKeygen: SshKeygen;
  readonly signal?: AbortSignal;
}

/** What one signature file turned out to be. */
interface Judged {
  readonly signature: 'signed' | 'disagrees' | 'invalid' | 'unchecked';
  readonly text: string;
  readonly key?: string;
  readonly reason?: string;
}

const SIGNATURE = '.sig';
const DISSENT = '.dissent';

/**
 * Checks every signature of the folder: it must name a participant, be good by a key that the checker's file has for
 * them (under their name, or `signerName` of it), and be made with the key that the record has for them, where it does.
 */
export async function checkSigners(
  request: SignersRequest,
): Promise<{ readonly findings: readonly VerifyFinding[]; readonly signers: readonly SignerResult[] }> {
  const findings: VerifyFinding[] = [];
  const results = new Map<string, SignerResult>();
  const names = (await readdir(request.folder).catch(() => [])).sort();
  const add = (outcome: VerifyFinding['outcome'], text: string): void => {
    findings.push({ about: 'signatures', outcome, text });
  };
  if (request.allowedSigners === undefined) {
    add('unchecked', 'SIGNATURES UNCHECKED: bring a file of keys that you trust (--allowed-signers)');
  }
  for (const name of names) {
    if (name.endsWith(`${DISSENT}.json`)) {
      // Without its signature it would otherwise go unnoticed, and so would its removal.
      const signature = name.replace(/json$/, 'sig');
      if (!names.includes(signature)) add('fail', `${printable(name)} has no signature`);
      continue;
    }
    if (!name.endsWith(SIGNATURE)) {
      add('note', `${printable(name)} is no signature`);
      continue;
    }
    const stem = name.slice(0, -SIGNATURE.length);
    const dissents = stem.endsWith(DISSENT);
    const owner = dissents ? stem.slice(0, -DISSENT.length) : stem;
    const holders = request.people.filter((person) => signerName(person.name) === owner);
    const [person] = holders;
    if (person === undefined || holders.length > 1) {
      add('fail', `${printable(name)} is by nobody whom the record names, or by more than one`);
      continue;
    }
    const judged = await judge(request, person, stem, dissents);
    add(outcomeOf(judged), `${person.name}: ${judged.text}`);
    const before = results.get(person.name);
    // Who also left a dissent does not agree; what is invalid does not hide what is good.
    if (before === undefined || judged.signature === 'disagrees' || before.signature === 'invalid') {
      results.set(person.name, {
        name: person.name,
        roles: person.roles,
        signature: judged.signature,
        ...(judged.key === undefined ? {} : { key: judged.key }),
        ...(judged.reason === undefined ? {} : { reason: judged.reason }),
      });
    }
  }
  for (const person of request.people) {
    if (person.ssh.length > 1) add('fail', `${person.name}: the record has more than one SSH key for this name`);
    if (results.has(person.name)) continue;
    results.set(person.name, { name: person.name, roles: person.roles, signature: 'missing' });
    if (person.ssh.length > 0) add('note', `${person.name}: has not signed`);
  }
  return { findings, signers: request.people.flatMap(({ name }) => results.get(name) ?? []) };
}

function outcomeOf({ signature }: Judged): VerifyFinding['outcome'] {
  if (signature === 'signed') return 'ok';
  return signature === 'unchecked' ? 'unchecked' : 'fail';
}

async function judge(
  { folder, record, allowedSigners, revokedKeys, sshKeygen, signal }: SignersRequest,
  person: Participant,
  stem: string,
  dissents: boolean,
): Promise<Judged> {
  if (allowedSigners === undefined) return { signature: 'unchecked', text: `${stem}${SIGNATURE} is there, unchecked` };
  const cancel = signal === undefined ? {} : { signal };
  const signature = join(folder, `${stem}${SIGNATURE}`);
  const bytes = dissents ? await readBounded(join(folder, `${stem}.json`)).catch(() => undefined) : record.bytes;
  if (bytes === undefined) return { signature: 'invalid', text: 'a dissent without its statement' };
  const namespace = dissents ? DISSENT_NAMESPACE : RECORD_NAMESPACE;
  const at = signingTime(record);
  const request = { allowedSigners, namespace, signature, bytes, ...cancel };
  for (const identity of new Set([person.name, signerName(person.name)])) {
    const verified = await sshKeygen.verify({ ...request, identity, revokedKeys, at });
    if (!verified.ok) {
      if (revokedKeys === undefined) continue;
      const revoked = await sshKeygen.verify({ ...request, identity, at });
      if (revoked.ok)
        return { signature: 'invalid', key: revoked.key, text: `signed with ${revoked.key}, which is REVOKED` };
      continue;
    }
    const { key } = verified;
    if (person.ssh.length > 0 && !person.ssh.includes(key)) {
      return { signature: 'invalid', key, text: `signed with ${key}, which is not the key that the record has` };
    }
    if (!dissents) return { signature: 'signed', key, text: `signed with ${key}` };
    const statement = parseDissent(bytes);
    if (statement === undefined || statement.name !== person.name || statement.head !== record.head) {
      return { signature: 'invalid', key, text: 'a dissent that is not about this record' };
    }
    return { signature: 'disagrees', key, reason: statement.reason, text: `DOES NOT AGREE: ${statement.reason}` };
  }
  const principals = await sshKeygen.findPrincipals({ allowedSigners, signature, ...cancel });
  const whose =
    principals.length === 0
      ? 'its key is not in your file, or not valid when the ceremony closed, or it is not of this record'
      : `your file has its key for ${printable(principals.join(', '))}, not for ${signerName(person.name)}, or it is not of this record`;
  return { signature: 'invalid', text: `the signature is NOT good: ${whose}` };
}

/** People sign when the ceremony has closed: what their keys were then counts, also years later. */
function signingTime({ lines }: ReadRecord): Date | undefined {
  const last = lines.at(-1);
  return last === undefined ? undefined : new Date(last.time);
}

function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|\p{Cf}/gu, '?');
}
