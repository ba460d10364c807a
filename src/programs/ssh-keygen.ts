import { QuorateError } from '../errors.ts';
import type { RunProgram } from './run.ts';

export interface SignRequest {
  /**
   * A private key file, a public key file whose private half an agent (SSH_AUTH_SOCK) holds, or the key file of a
   * hardware key. ssh-keygen asks for a passphrase or a touch on the terminal itself.
   */
  readonly key: string;
  /** What the signature is for (PROTOCOL.sshsig): one made for one namespace is void in every other. */
  readonly namespace: string;
  readonly bytes: Uint8Array;
  readonly signal?: AbortSignal;
}

export interface VerifyRequest {
  /** The checker's own file of trusted keys (ssh-keygen(1), ALLOWED SIGNERS). */
  readonly allowedSigners: string;
  /** The principal in that file who must have signed. */
  readonly identity: string;
  readonly namespace: string;
  /** The armoured signature's file. */
  readonly signature: string;
  readonly bytes: Uint8Array;
  /** Keys that count no more: a KRL, or public keys (ssh-keygen(1), KEY REVOCATION LISTS). */
  readonly revokedKeys?: string | undefined;
  /** When the key must have been valid (`valid-after`, `valid-before` in the checker's file); default: now. */
  readonly at?: Date | undefined;
  readonly signal?: AbortSignal;
}

/** `key` is the fingerprint of the key that signed, `SHA256:` and 43 base64 characters. */
export type Verified = { readonly ok: true; readonly key: string } | { readonly ok: false };

/** The parts of ssh-keygen that quorate uses (OpenSSH 8.2 or later; `at` takes 8.7). */
export interface SshKeygen {
  /**
   * Signs `bytes`; the armoured signature, as `ssh-keygen -Y verify` reads it.
   * @throws QuorateError `key-unusable` (no such key, wrong passphrase, no agent), and as `RunProgram`.
   */
  sign(request: SignRequest): Promise<Uint8Array>;
  /** Whether `identity` signed exactly these bytes. Throws as `RunProgram`, and `file-missing` for `allowedSigners`. */
  verify(request: VerifyRequest): Promise<Verified>;
  /**
   * Whether the signature is one of exactly these bytes by the key that it names, whosever that is: the caller compares
   * `key` with the fingerprint that it trusts.
   */
  check(request: Pick<VerifyRequest, 'namespace' | 'signature' | 'bytes' | 'signal'>): Promise<Verified>;
  /** The principals that the checker's file has for the key that made `signature`; none when it has none. */
  findPrincipals(request: {
    readonly allowedSigners: string;
    readonly signature: string;
    readonly signal?: AbortSignal;
  }): Promise<readonly string[]>;
  /** The fingerprint, `SHA256:...`, of a public or private key file. @throws QuorateError `key-unusable`. */
  fingerprint(key: string, signal?: AbortSignal): Promise<string>;
}

const PROGRAM = 'ssh-keygen';
const FINGERPRINT = /\bSHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])/;
/** The last words of `Good "NAMESPACE" signature for IDENTITY with TYPE key FINGERPRINT`; identities can hold anything. */
const GOOD = /^Good .* with \S+ key (SHA256:[A-Za-z0-9+/]{43})\n?$/s;
const ARMOUR = '-----BEGIN SSH SIGNATURE-----\n';
/** Checking asks nobody anything. */
const CHECK_TIMEOUT = 30_000;

/** ssh-keygen through `run`. */
export function sshKeygen(run: RunProgram): SshKeygen {
  return {
    async sign({ key, namespace, bytes, signal }) {
      const { status, stdout } = await run({
        program: PROGRAM,
        args: ['-q', '-Y', 'sign', '-f', key, '-n', namespace],
        stdin: bytes,
        statuses: 'any',
        showErrors: true,
        ...withSignal(signal),
      });
      if (status !== 0 || !new TextDecoder().decode(stdout).startsWith(ARMOUR)) {
        throw new QuorateError('key-unusable', `ssh-keygen could not sign with ${key}`, {
          hint: 'Name a private key file, or a public key file whose private half ssh-agent holds (ssh-add -l lists them).',
        });
      }
      return stdout;
    },

    async verify({ allowedSigners, identity, namespace, signature, bytes, revokedKeys, at, signal }) {
      const { status, stdout } = await run({
        program: PROGRAM,
        args: [
          ...['-Y', 'verify', '-f', allowedSigners, '-I', identity, '-n', namespace, '-s', signature],
          ...(revokedKeys === undefined ? [] : ['-r', revokedKeys]),
          ...(at === undefined ? [] : ['-O', `verify-time=${inUtc(at)}`]),
        ],
        // It reads times without a zone in the system's.
        env: { TZ: 'UTC' },
        stdin: bytes,
        statuses: 'any',
        timeout: CHECK_TIMEOUT,
        ...withSignal(signal),
      });
      const key = status === 0 ? GOOD.exec(new TextDecoder().decode(stdout))?.[1] : undefined;
      return key === undefined ? { ok: false } : { ok: true, key };
    },

    async check({ namespace, signature, bytes, signal }) {
      const { status, stdout } = await run({
        program: PROGRAM,
        args: ['-Y', 'check-novalidate', '-n', namespace, '-s', signature],
        stdin: bytes,
        statuses: 'any',
        timeout: CHECK_TIMEOUT,
        ...withSignal(signal),
      });
      const key = status === 0 ? GOOD.exec(new TextDecoder().decode(stdout))?.[1] : undefined;
      return key === undefined ? { ok: false } : { ok: true, key };
    },

    async findPrincipals({ allowedSigners, signature, signal }) {
      const { status, stdout } = await run({
        program: PROGRAM,
        args: ['-Y', 'find-principals', '-f', allowedSigners, '-s', signature],
        statuses: 'any',
        timeout: CHECK_TIMEOUT,
        ...withSignal(signal),
      });
      if (status !== 0) return [];
      return new TextDecoder()
        .decode(stdout)
        .split('\n')
        .filter((line) => line !== '');
    },

    async fingerprint(key, signal) {
      const { status, stdout } = await run({
        program: PROGRAM,
        args: ['-l', '-E', 'sha256', '-f', key],
        statuses: 'any',
        timeout: CHECK_TIMEOUT,
        ...withSignal(signal),
      });
      const found = status === 0 ? FINGERPRINT.exec(new TextDecoder().decode(stdout))?.[0] : undefined;
      if (found === undefined) {
        throw new QuorateError('key-unusable', `${key} is no SSH key that ssh-keygen can read`);
      }
      return found;
    },
  };
}

/** YYYYMMDDHHMMSS. */
function inUtc(time: Date): string {
  return time.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '');
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
