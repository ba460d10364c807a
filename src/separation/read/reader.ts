import { isQuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import { atOnce } from '../at-once.ts';
import type { Unread } from '../model.ts';
import { type Answer, isAnswer, textsOf } from './values.ts';

/** Requests under way at once: enough to keep a server busy, few enough to leave it to others. */
const LIMIT = 16;

/** Reads a cluster and keeps account of what it could not read. */
export class Reader {
  readonly unread: Unread[] = [];
  readonly #session: Session;
  readonly #sessions = new Map<string, Session>();
  readonly #signal: AbortSignal | undefined;
  readonly #progress: (read: number) => void;
  #count = 0;

  /** @param progress told how many answers there were so far. */
  constructor(session: Session, progress: (read: number) => void, signal?: AbortSignal) {
    this.#session = session;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** What is there; undefined where nothing is, and where it could not be read, which is noted. */
  async read(namespace: string, path: string): Promise<Answer | undefined> {
    return this.#ask(namespace, path, {});
  }

  /** The names below a path. */
  async list(namespace: string, path: string): Promise<readonly string[]> {
    const answer = await this.listAll(namespace, path);
    return answer === undefined ? [] : textsOf(answer, 'keys');
  }

  /** The same with what the server says of each name, under `key_info`. */
  async listAll(namespace: string, path: string): Promise<Answer | undefined> {
    return this.#ask(namespace, path, { list: 'true' });
  }

  /** `read` of everything below a path that `list` names, those left out that went away meanwhile. */
  async readAll<T>(
    namespace: string,
    path: string,
    take: (answer: Answer, name: string) => T | undefined | Promise<T | undefined>,
  ): Promise<T[]> {
    const names = await this.list(namespace, path);
    return this.each(names, async (name) => {
      const answer = await this.read(namespace, `${path}/${name}`);
      return answer === undefined ? undefined : take(answer, name);
    });
  }

  async each<I, T>(items: readonly I[], work: (item: I) => Promise<T | undefined>): Promise<T[]> {
    return (await atOnce(items, LIMIT, work)).filter((one) => one !== undefined);
  }

  /** A POST that changes nothing. `gone` are the server's words for what is not there any more. */
  async look(namespace: string, path: string, body: object, gone: string): Promise<Answer | undefined> {
    return this.#ask(namespace, path, {}, { body, gone });
  }

  /** A namespace's seal; undefined where it has none of its own (OpenBao 2.7 answers 400 then). */
  async readSeal(namespace: string, path: string): Promise<Answer | undefined> {
    return this.#ask(namespace, path, {}, { gone: 'not sealable' });
  }

  miss(namespace: string, path: string, why: string): void {
    this.unread.push({ namespace, path, why });
  }

  async #ask(
    namespace: string,
    path: string,
    query: Readonly<Record<string, string>>,
    { body, gone }: { readonly body?: object; readonly gone?: string } = {},
  ): Promise<Answer | undefined> {
    const options = { query, ...(this.#signal === undefined ? {} : { signal: this.#signal }) };
    const reply = await this.#in(namespace)
      .request(body === undefined ? 'GET' : 'POST', path, body, { ...options, repeatable: true })
      .catch((error: unknown) => {
        // A sealed namespace keeps what is in it to itself; whoever unseals it opens it.
        if (isQuorateError(error, 'sealed') || isQuorateError(error, 'usage')) return error;
        throw error;
      });
    this.#progress((this.#count += 1));
    if (isQuorateError(reply)) {
      this.miss(namespace, path, reply.code === 'sealed' ? reasonOf(503) : 'a name that cannot be sent');
      return undefined;
    }
    // What this version does not have is not there either.
    if (reply.status === 404 || reply.status === 405) return undefined;
    if (gone !== undefined && reply.errors.some((line) => line.includes(gone))) return undefined;
    const data = isAnswer(reply.body) && isAnswer(reply.body['data']) ? reply.body['data'] : reply.body;
    if (reply.status === 200 && isAnswer(data)) return data;
    this.miss(namespace, path, reasonOf(reply.status));
    return undefined;
  }

  #in(namespace: string): Session {
    const known = this.#sessions.get(namespace) ?? this.#session.inNamespace(namespace.replace(/\/$/, ''));
    this.#sessions.set(namespace, known);
    return known;
  }
}

function reasonOf(status: number): string {
  if (status === 403) return 'denied';
  return status === 503 ? 'sealed' : `the server answered ${status.toString()}`;
}
