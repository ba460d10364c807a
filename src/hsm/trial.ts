import { randomFillSync } from 'node:crypto';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { OaepHash } from '../pkcs11/mechanisms.ts';
import type { RemoteLibrary } from '../pkcs11/remote.ts';
import type { GcmText } from '../pkcs11/session.ts';
import type { Token } from '../pkcs11/token.ts';
import type { RemoteSession } from '../pkcs11/wire.ts';
import { hex, type JudgedKey } from './judgement.ts';

export interface TrialOptions {
  readonly rounds: number;
  /** For RSA keys. */
  readonly oaepHash: OaepHash;
}

/** Milliseconds in the library. */
export interface Latency {
  readonly median: number;
  readonly slowest: number;
}

export interface TrialResult {
  readonly mechanism: string;
  readonly rounds: number;
  readonly encrypt: Latency;
  readonly decrypt: Latency;
  /** What was changed, and was refused. */
  readonly refused: readonly string[];
}

/** As long as what a server has encrypted by its seal: the root key. */
const PLAINTEXT_BYTES = 32;
const ENCRYPT = 0x100;
const DECRYPT = 0x200;
const AAD = new TextEncoder().encode('quorate hsm test');

/**
 * Proves with several rounds that a key encrypts and decrypts, and that the token refuses what was tampered with.
 * Nothing on the token changes. Needs a session that is logged in.
 * @throws QuorateError `hsm-key-unfit`, `hsm-mechanism-missing`, `hsm-failed` when what came back is not what went in,
 *   or when a tampered text was decrypted, and as `failureOf`.
 */
export async function tryKey(
  library: RemoteLibrary,
  session: RemoteSession,
  token: Token,
  key: JudgedKey,
  options: TrialOptions,
): Promise<TrialResult> {
  const [mechanism] = key.mechanisms;
  if (mechanism === undefined) {
    const why = key.faults.filter(({ severity }) => severity === 'unfit').map(({ text }) => text);
    throw new QuorateError('hsm-key-unfit', `key "${key.label}" is not fit for a seal: ${why.join('; ')}`, {
      hint: 'quorate hsm keygen makes one that is.',
    });
  }
  const name = mechanism === 'aes-gcm' ? 'CKM_AES_GCM' : 'CKM_RSA_PKCS_OAEP';
  const offered = (await library.mechanisms(token)).find((one) => one.name === name);
  if (offered === undefined || (offered.flags & (ENCRYPT | DECRYPT)) !== (ENCRYPT | DECRYPT)) {
    throw new QuorateError('hsm-mechanism-missing', `the token does not offer ${name} for encryption and decryption`, {
      hint: 'quorate hsm tokens --mechanisms lists what it offers; some tokens offer less in FIPS mode.',
    });
  }
  return mechanism === 'aes-gcm'
    ? { mechanism: name, ...(await tryGcm(library, session, key, options)) }
    : { mechanism: name, ...(await tryOaep(library, session, key, options)) };
}

type Measured = Omit<TrialResult, 'mechanism'>;

async function tryGcm(
  library: RemoteLibrary,
  session: RemoteSession,
  { key }: JudgedKey,
  { rounds }: TrialOptions,
): Promise<Measured> {
  const times = new Times();
  const ivs = new Set<string>();
  let last: GcmText | undefined;
  for (let round = 0; round < rounds; round += 1) {
    const plaintext = randomFillSync(new Uint8Array(PLAINTEXT_BYTES));
    last = await session.encryptGcm(key, plaintext, AAD);
    times.encrypt.push(library.lastDuration());
    const back = await session.decryptGcm(key, last, AAD);
    times.decrypt.push(library.lastDuration());
    compare(plaintext, back);
    ivs.add(hex(last.iv));
  }
  if (ivs.size !== rounds) {
    throw new QuorateError('hsm-failed', 'the token used an IV twice, which breaks AES-GCM', {
      hint: 'Do not use this token for a seal; tell its vendor.',
    });
  }
  if (last === undefined) throw new QuorateError('bug', 'a trial of no rounds');
  const { iv, ciphertext } = last;
  const tampered: readonly (readonly [string, GcmText, Uint8Array])[] = [
    ['ciphertext', { iv, ciphertext: flipped(ciphertext, 0) }, AAD],
    ['tag', { iv, ciphertext: flipped(ciphertext, ciphertext.length - 1) }, AAD],
    ['IV', { iv: flipped(iv, 0), ciphertext }, AAD],
    ['additional data', { iv, ciphertext }, flipped(AAD, 0)],
  ];
  for (const [what, text, aad] of tampered) await mustRefuse(what, () => session.decryptGcm(key, text, aad));
  // Had the token only failed, it would not do this.
  (await session.decryptGcm(key, last, AAD)).fill(0);
  return { rounds, ...times.summary(), refused: tampered.map(([what]) => what) };
}

async function tryOaep(
  library: RemoteLibrary,
  session: RemoteSession,
  { key, publicKey }: JudgedKey,
  { rounds, oaepHash }: TrialOptions,
): Promise<Measured> {
  if (publicKey === undefined) throw new QuorateError('bug', 'an RSA key without its public half was tried');
  const times = new Times();
  let last: Uint8Array | undefined;
  for (let round = 0; round < rounds; round += 1) {
    const plaintext = randomFillSync(new Uint8Array(PLAINTEXT_BYTES));
    last = await session.encryptOaep(publicKey, plaintext, oaepHash);
    times.encrypt.push(library.lastDuration());
    const back = await session.decryptOaep(key, last, oaepHash);
    times.decrypt.push(library.lastDuration());
    compare(plaintext, back);
  }
  if (last === undefined) throw new QuorateError('bug', 'a trial of no rounds');
  const ciphertext = last;
  await mustRefuse('ciphertext', () => session.decryptOaep(key, flipped(ciphertext, ciphertext.length - 1), oaepHash));
  (await session.decryptOaep(key, ciphertext, oaepHash)).fill(0);
  return { rounds, ...times.summary(), refused: ['ciphertext'] };
}

function compare(plaintext: Uint8Array, back: Uint8Array): void {
  const same = Buffer.compare(plaintext, back) === 0;
  back.fill(0);
  if (!same) throw new QuorateError('hsm-failed', 'the token decrypted to something else than it had encrypted');
}

async function mustRefuse(what: string, work: () => Promise<Uint8Array>): Promise<void> {
  try {
    (await work()).fill(0);
  } catch (error) {
    if (isQuorateError(error) && ['hsm-decryption-failed', 'hsm-failed'].includes(error.code)) return;
    throw error;
  }
  throw new QuorateError('hsm-failed', `the token decrypted although the ${what} had been changed`, {
    hint: 'Do not use this token for a seal; tell its vendor.',
  });
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

class Times {
  readonly encrypt: number[] = [];
  readonly decrypt: number[] = [];

  summary(): Pick<TrialResult, 'encrypt' | 'decrypt'> {
    return { encrypt: latency(this.encrypt), decrypt: latency(this.decrypt) };
  }
}

function latency(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? 0, slowest: sorted.at(-1) ?? 0 };
}
