import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Method, Reply, Session } from '../../vault/peer.ts';
import { type Share, shareText } from '../share.ts';
import {
  type Given,
  payloadOf,
  readGiven,
  readStatus,
  readVerified,
  refusal,
  type RotationStatus,
  saysGone,
  type Verified,
} from './replies.ts';

export type RotationPurpose = 'rotate-root-key' | 'rotate-recovery-key';

export interface RotationRequest {
  readonly shares: number;
  readonly threshold: number;
  /** Base64 of binary OpenPGP public keys, one a share, in order. */
  readonly pgpKeys: readonly string[];
  /** Whether the server keeps a copy of the encrypted shares until it is deleted. */
  readonly backup: boolean;
  /** The root key under an auto-unseal seal: no share is issued, and verification is refused (OpenBao 2.7.2: 400). */
  readonly issuesNothing?: boolean;
}

/** The server's copy of the encrypted shares: base64 of OpenPGP messages, by lower-case key fingerprint. */
export interface Backup {
  /** Of the rotation that they are of; a cancelled one leaves dead shares behind. */
  readonly nonce: string;
  readonly shares: ReadonlyMap<string, readonly string[]>;
}

/**
 * A rotation of the root key or the recovery key on one server: `rotate/*` of OpenBao, `rekey/*` of Vault. All of its
 * state is in that one server's memory. Wherever shares are issued, verification is required. What servers normally answer is a value;
 * nothing is ever sent twice, and giving a share is never cut short by a signal, because it could have been counted.
 */
export class RotationOperation {
  readonly session: Session;
  readonly path: string;

  private constructor(session: Session, path: string) {
    this.session = session;
    this.path = path;
  }

  static async on(session: Session, purpose: RotationPurpose): Promise<RotationOperation> {
    return new RotationOperation(session, await session.peer.endpoint(purpose));
  }

  get peer(): string {
    return this.session.peer.name;
  }

  /** @throws QuorateError `denied`, `sealed`, `server-error` (also where the seal has no such shares). */
  async status(): Promise<RotationStatus> {
    return readStatus(await this.#must('GET', `${this.path}/init`));
  }

  /** @throws QuorateError as `status`, and what a lost reply throws: then `status` tells. */
  async start(request: RotationRequest): Promise<RotationStatus> {
    const { shares, threshold, pgpKeys, backup, issuesNothing } = request;
    const issuing = issuesNothing === true ? {} : { pgp_keys: pgpKeys, backup, require_verification: true };
    const body = { secret_shares: shares, secret_threshold: threshold, ...issuing };
    return readStatus(await this.#must('PUT', `${this.path}/init`, body));
  }

  /** Cancels it, its verification included; the old shares stay valid. Nothing under way is fine too. */
  async cancel(nonce?: string): Promise<void> {
    // Later releases of HashiCorp Vault want the nonce with it; the others do not look.
    await this.#must('DELETE', `${this.path}/init`, nonce === undefined || nonce === '' ? undefined : { nonce });
  }

  /** Gives one of today's shares. */
  async give(share: Share, nonce: string): Promise<Given> {
    return this.#give(share, `${this.path}/update`, nonce, readGiven);
  }

  /** The verification under way, or undefined where the server holds none. */
  async verification(): Promise<RotationStatus | undefined> {
    const reply = await this.session.request('GET', `${this.path}/verify`);
    if (saysGone(reply)) return undefined;
    if (reply.status !== 200) throw refusal(this.peer, `GET ${this.path}/verify`, reply);
    const status = readStatus(reply);
    return status.started ? status : undefined;
  }

  /** Gives one of the new shares. A share that was counted would be counted again (OpenBao 2.7.2). */
  async giveForVerification(share: Share, nonce: string): Promise<Verified> {
    return this.#give(share, `${this.path}/verify`, nonce, readVerified);
  }

  /** Drops the new shares given so far; the verification goes on with the nonce that is returned. */
  async restartVerification(): Promise<RotationStatus | undefined> {
    await this.#must('DELETE', `${this.path}/verify`);
    return this.verification();
  }

  /** Undefined where there is none. */
  async backup(): Promise<Backup | undefined> {
    const path = this.#backupPath();
    const reply = await this.session.request('GET', path);
    const none = reply.errors.some((line) => line.includes('no backed-up keys'));
    if (reply.status === 404 || none) return undefined;
    if (reply.status !== 200) throw refusal(this.peer, `GET ${path}`, reply);
    const { nonce, keys_base64: keys } = payloadOf(reply);
    const entries = typeof keys === 'object' && keys !== null ? Object.entries(keys) : [];
    return {
      nonce: typeof nonce === 'string' ? nonce : '',
      shares: new Map(
        entries.map(([fingerprint, list]) => [fingerprint.toLowerCase(), Array.isArray(list) ? list.map(String) : []]),
      ),
    };
  }

  async deleteBackup(): Promise<void> {
    await this.#must('DELETE', this.#backupPath());
  }

  #backupPath(): string {
    // Vault has them beside the operation: sys/rekey/backup, sys/rekey/recovery-key-backup.
    return this.path === 'sys/rekey-recovery-key' ? 'sys/rekey/recovery-key-backup' : `${this.path}/backup`;
  }

  async #must(method: Method, path: string, body?: unknown): Promise<Reply> {
    const reply = await this.session.request(method, path, body);
    if (reply.status >= 200 && reply.status < 300) return reply;
    throw refusal(this.peer, `${method} ${path}`, reply);
  }

  async #give<T>(
    share: Share,
    path: string,
    nonce: string,
    read: (peer: string, reply: Reply) => T,
  ): Promise<T | Extract<Given, { kind: 'unclear' }>> {
    const key = shareText(share);
    try {
      return read(this.peer, await this.session.request('PUT', path, { key, nonce }));
    } catch (error) {
      if (!isQuorateError(error) || error.code === 'denied' || error.code === 'bug') throw error;
      return { kind: 'unclear', code: error.code, why: error.message };
    } finally {
      key.wipe();
    }
  }
}

/** @throws QuorateError `server-error` unless `status` is of the operation with this nonce. */
export function assertOwn(peer: string, status: RotationStatus, nonce: string): void {
  if (status.started && status.nonce === nonce) return;
  throw new QuorateError('leader-changed', `the operation that was started on ${peer} is no longer there`, {
    hint: 'Somebody cancelled it, or the server restarted. It starts again from a clean state on every peer.',
  });
}
