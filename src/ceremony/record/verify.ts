import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { SshKeygen } from '../../programs/ssh-keygen.ts';
import { QuorateError, isQuorateError } from '../../errors.ts';
import { readBounded, readText } from '../../files.ts';
import {
  CHECK_FILE,
  RECORD_FILE,
  REPORT_FILE,
  type RecordPlace,
  SIGNATURES,
  SUMS_FILE,
  hashFile,
  listFolder,
} from './folder.ts';
import type { VerifyFinding } from './finding.ts';
import { sha256 } from './line.ts';
import { parseSums } from './outputs.ts';
import { type Participant, type Role, participants, signerName } from './participants.ts';
import { type ReadRecord, readRecord } from './read.ts';
import { renderReport } from './report.ts';
import { type SignerResult, checkSigners } from './verify-signers.ts';
import { digestWords, namesDigest } from './words.ts';

export interface Verification {
  /** True only when nothing failed and nothing was left unchecked. */
  readonly ok: boolean;
  readonly rehearsal: boolean;
  readonly head: string;
  readonly words: string;
  readonly events: number;
  readonly findings: readonly VerifyFinding[];
  readonly signers: readonly SignerResult[];
}

export interface VerifyOptions {
  readonly place: RecordPlace;
  /** The checker's own file of keys (ssh-keygen(1), ALLOWED SIGNERS). Without it no signature counts. */
  readonly allowedSigners?: string | undefined;
  /** The checker's own list of keys that count no more (a KRL, or public keys). */
  readonly revokedKeys?: string | undefined;
  /** Roles of which everybody must have signed, and there must be somebody. */
  readonly require?: readonly Role[];
  /** The head that people wrote down, as digits or words. */
  readonly head?: string | undefined;
  readonly sshKeygen: SshKeygen;
  readonly signal?: AbortSignal;
}

/**
 * Verifies a ceremony's folder: the record's chain and schema, its outputs, and who signed it.
 * What is wrong inside the folder is in the result.
 * @throws QuorateError `file-missing`, `file-invalid` (no record there, no such file of keys), `usage` (a file of keys
 *   from within the folder, which whoever made the folder could have written), and as `SshKeygen`.
 */
export async function verifyFolder(options: VerifyOptions): Promise<Verification> {
  const { place, allowedSigners, revokedKeys } = options;
  for (const own of [allowedSigners, revokedKeys]) if (own !== undefined) await refuseInside(place.folder, own);
  const record = await readRecord(place.record);
  const people = participants(record.lines);
  const findings = [
    ...recordFindings(record),
    ...headFindings(record, options.head),
    ...(await outputFindings(place, record)),
  ];
  const signatures = await checkSigners({
    folder: join(place.folder, SIGNATURES),
    record,
    people,
    allowedSigners,
    revokedKeys,
    sshKeygen: options.sshKeygen,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  findings.push(...signatures.findings, ...roleFindings(options, people, signatures.signers));
  return {
    ok: findings.every(({ outcome }) => outcome === 'ok' || outcome === 'note'),
    rehearsal: record.lines.some(({ mode }) => mode === 'REHEARSAL'),
    head: record.head,
    words: digestWords(record.head).join(' '),
    events: record.lines.length,
    findings,
    signers: signatures.signers,
  };
}

function recordFindings(record: ReadRecord): VerifyFinding[] {
  const findings: VerifyFinding[] = record.faults.map(({ line, message }) => ({
    about: 'record',
    outcome: 'fail',
    text: message,
    line,
  }));
  const count = record.lines.length.toString();
  if (findings.length === 0) findings.push({ about: 'record', outcome: 'ok', text: `${count} events, chain unbroken` });
  const last = record.lines.at(-1);
  if (!record.closed) {
    findings.push({ about: 'record', outcome: 'fail', text: 'the ceremony is not closed: more could be added' });
  } else if (last?.event === 'ceremony.closed' && last.result !== 'complete') {
    findings.push({ about: 'record', outcome: 'note', text: `the ceremony ended ${last.result}` });
  }
  for (const { line, message } of record.notes)
    findings.push({ about: 'record', outcome: 'note', text: message, line });
  const exceptions = record.lines.filter(({ event }) => event === 'exception').length;
  if (exceptions > 0) {
    findings.push({
      about: 'record',
      outcome: 'note',
      text: `${exceptions.toString()} recorded exceptions: read them`,
    });
  }
  return findings;
}

function headFindings(record: ReadRecord, head: string | undefined): VerifyFinding[] {
  if (head === undefined) return [];
  return namesDigest(head, record.head)
    ? [{ about: 'head', outcome: 'ok', text: 'the head is the one that you brought' }]
    : [{ about: 'head', outcome: 'fail', text: 'the head is NOT the one that you brought: this is another record' }];
}

async function outputFindings(place: RecordPlace, record: ReadRecord): Promise<VerifyFinding[]> {
  const findings: VerifyFinding[] = [];
  const fail = (text: string, line?: number): void => {
    findings.push({ about: 'outputs', outcome: 'fail', text, ...(line === undefined ? {} : { line }) });
  };
  const note = (text: string): void => {
    findings.push({ about: 'outputs', outcome: 'note', text });
  };
  const text = await readIfThere(join(place.folder, SUMS_FILE));
  if (text === undefined) fail(`${SUMS_FILE} is missing or unreadable`);
  const parsed = parseSums(text ?? '');
  if (!parsed.ok) fail(`${SUMS_FILE}: ${parsed.message}`, parsed.line);
  const sums = parsed.ok ? parsed.sums : new Map<string, string>();

  const last = record.lines.at(-1);
  const outputs = last?.event === 'ceremony.closed' ? last.outputs : {};
  for (const [name, digest] of [...sums, ...Object.entries(outputs)]) {
    const found = await digestIfThere(place.folder, name);
    if (found === undefined) fail(`${name} is missing, or no plain file`);
    else if (found !== digest) fail(`${name} is not the file that was written when the ceremony closed`);
  }
  if (parsed.ok && text !== undefined && sums.get(RECORD_FILE) !== sha256(record.bytes)) {
    fail(`${SUMS_FILE} does not name this ${RECORD_FILE}`);
  }
  const derived = [RECORD_FILE, REPORT_FILE, CHECK_FILE];
  const present = await listFolder(place.folder);
  for (const name of present) {
    if (!sums.has(name) && !Object.hasOwn(outputs, name))
      note(`${printable(name)} is no part of the ceremony's outputs`);
    else if (!Object.hasOwn(outputs, name) && !derived.includes(name)) note(`${name} is not bound by the signatures`);
  }
  if (present.includes(REPORT_FILE) && record.faults.length === 0) {
    const report = await readIfThere(join(place.folder, REPORT_FILE));
    if (report !== renderReport(record.lines)) {
      note(`${REPORT_FILE} is not what this quorate makes of the record: trust \`ceremony report\` instead`);
    }
  }
  if (findings.every(({ outcome }) => outcome !== 'fail')) {
    findings.unshift({
      about: 'outputs',
      outcome: 'ok',
      text: `${sums.size.toString()} files as they were written, ${Object.keys(outputs).length.toString()} of them bound by the record`,
    });
  }
  return findings;
}

function roleFindings(
  { require = [], allowedSigners }: VerifyOptions,
  people: readonly Participant[],
  signers: readonly SignerResult[],
): VerifyFinding[] {
  const signed = new Set(signers.filter(({ signature }) => signature === 'signed').map(({ name }) => name));
  const findings: VerifyFinding[] = [];
  for (const role of new Set(require)) {
    const holders = people.filter(({ roles }) => roles.includes(role)).map(({ name }) => name);
    const missing = holders.filter((name) => !signed.has(name));
    if (holders.length === 0) findings.push({ about: 'roles', outcome: 'fail', text: `no ${role} took part` });
    else if (missing.length > 0)
      findings.push({ about: 'roles', outcome: 'fail', text: `${role} required, not signed by ${missing.join(', ')}` });
    else findings.push({ about: 'roles', outcome: 'ok', text: `${role}: signed by ${holders.join(', ')}` });
  }
  if (allowedSigners !== undefined && signed.size === 0) {
    findings.push({
      about: 'signatures',
      outcome: 'fail',
      text: 'nobody whose key is in your file has signed this record',
    });
  }
  return findings;
}

async function refuseInside(folder: string, keys: string): Promise<void> {
  await readBounded(keys);
  const [inside, outside] = await Promise.all([realpath(keys), realpath(folder)]);
  if (inside.startsWith(outside + sep)) {
    throw new QuorateError('usage', 'the file of keys lies in the folder that it is to check', {
      hint: 'Keys that come with the folder prove nothing. Bring your own file, with keys that you got from the people.',
    });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  return await readText(path, 64 << 20).catch(ignoreFile);
}

async function digestIfThere(folder: string, name: string): Promise<string | undefined> {
  return await hashFile(folder, name).catch(ignoreFile);
}

function ignoreFile(error: unknown): undefined {
  if (isQuorateError(error, 'file-missing') || isQuorateError(error, 'file-invalid')) return undefined;
  throw error;
}

function printable(name: string): string {
  return signerName(name) === '' ? 'a file' : name.replaceAll(/\p{Cc}|\p{Cf}/gu, '?');
}
