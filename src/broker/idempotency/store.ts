import { createHash } from 'node:crypto';
import { QuorateError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { readVersioned, replaceVersioned, type VersionedPlace } from '../../versioned.ts';
import { type Caller, refusal } from '../caller.ts';
import { lookUpSelf } from '../child-token.ts';
import { IDEMPOTENCY } from './places.ts';

/** What is kept for a key. Nothing in it is secret but `box`, which the server's transit engine encrypted. */
export interface Entry {
  /** `claimed`: somebody is about to ask for a credential. `issued`: it is in the box. `ended`: there is none. */
  readonly state: 'claimed' | 'issued' | 'ended';
  /** Random, to know one's own writing again. */
  readonly claim: string;
  readonly box: string;
}

/** Version 0 where nothing was ever written. */
export interface Kept {
  readonly version: number;
  readonly entry: Entry | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** The entry of one key of one identity: a login reads and writes those of its own entity, and no other. */
export class Store {
  readonly #caller: Caller;
  readonly #entity: string;
  readonly #place: VersionedPlace;

  private constructor(caller: Caller, entity: string, path: string) {
    this.#caller = caller;
    this.#entity = entity;
    this.#place = { mount: IDEMPOTENCY.kv, path, hint: SETUP };
  }

  /**
   * The key itself is not stored, and may say more than a name should: a hash of it is.
   * @throws QuorateError `usage` for a login without an identity (a token that nobody logged in for).
   */
  static async open(
    caller: Caller,
    of: { readonly mount: string; readonly role: string; readonly key: string },
  ): Promise<Store> {
    const entity = (await lookUpSelf(caller)).data['entity_id'];
    if (typeof entity !== 'string' || entity === '') {
      throw new QuorateError('usage', 'this login has no identity, to which an idempotency key could belong', {
        hint: 'Log in by AppRole, JWT or the like; a token made by hand or a root token has none.',
      });
    }
    const name = createHash('sha256')
      .update(JSON.stringify([of.mount, of.role, of.key]))
      .digest('hex');
    return new Store(caller, entity, `${entity}/${name}`);
  }

  /** @throws QuorateError as `readVersioned`. */
  async read(): Promise<Kept> {
    const { version, data } = await readVersioned(this.#caller, this.#place);
    if (data === undefined) return { version, entry: undefined };
    const { state, claim, box } = data as Fields;
    const known = state === 'claimed' || state === 'issued' || state === 'ended';
    if (!known || typeof claim !== 'string' || typeof box !== 'string') {
      throw new QuorateError('server-response', `${this.#place.path} holds something that quorate did not write`);
    }
    return { version, entry: { state, claim, box } };
  }

  /**
   * Replaces version `version`; what it replaces is destroyed, as the mount keeps one version.
   * @returns whether it did: false when somebody else was faster. A lost reply is settled by reading.
   */
  async replace(version: number, entry: Entry): Promise<boolean> {
    return replaceVersioned(this.#caller, this.#place, version, entry);
  }

  /** @throws QuorateError as `refusal`. */
  async seal(content: unknown): Promise<string> {
    const plaintext = Secret.fromText(Buffer.from(JSON.stringify(content)).toString('base64'));
    try {
      const path = `${IDEMPOTENCY.transit}/encrypt/${this.#entity}`;
      const reply = await this.#caller.request('POST', path, { plaintext }, { repeatable: true });
      const box = ((reply.body as Fields | null)?.['data'] as Fields | undefined)?.['ciphertext'];
      if (reply.status !== 200 || typeof box !== 'string') throw refusal(`POST ${path}`, reply, SETUP);
      return box;
    } finally {
      plaintext.wipe();
    }
  }

  /** What `seal` was given. @throws QuorateError as `refusal`. */
  async unseal(box: string): Promise<Readonly<Record<string, unknown>>> {
    const path = `${IDEMPOTENCY.transit}/decrypt/${this.#entity}`;
    const reply = await this.#caller.request('POST', path, { ciphertext: box }, { repeatable: true });
    const text = ((reply.body as Fields | null)?.['data'] as Fields | undefined)?.['plaintext'];
    if (reply.status !== 200 || typeof text !== 'string') throw refusal(`POST ${path}`, reply, SETUP);
    try {
      return JSON.parse(Buffer.from(text, 'base64').toString()) as Readonly<Record<string, unknown>>;
    } catch {
      throw new QuorateError('server-response', `${path} gave back something that quorate did not write`);
    }
  }
}

const SETUP = 'Idempotency keys need the mounts and policies of quorate db setup, with idempotency: true.';
