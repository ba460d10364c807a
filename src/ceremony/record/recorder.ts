import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { QuorateError } from '../../errors.ts';
import { createExclusive, fileError } from '../../files.ts';
import type { RecordEvent, RecordLine } from './events.ts';
import { NO_LINE, checkLine, isObject, lineText, sha256 } from './line.ts';
import { checkRecord, orderFault, unsound } from './read.ts';

export interface RecorderOptions {
  readonly now?: () => Date;
}

/** Writes the record of one ceremony. */
export interface Recorder {
  readonly path: string;
  readonly mode: 'REHEARSAL' | undefined;
  readonly lines: readonly RecordLine[];
  /** The SHA-256 of the last line, `none` before the first: what people compare and sign. */
  readonly last: string;
  /**
   * Writes one event; it is on disk when this resolves. Calls at the same time are written in the order they came.
   * Fields that are undefined count as absent.
   * @throws QuorateError `record-invalid` (not in the closed schema, or it looks like a share; nothing was written and
   *   no value is quoted), `file-invalid` (the disk, or another process writes too; the recorder is then closed),
   *   `bug` (closed, or out of order).
   */
  append(event: RecordEvent): Promise<RecordLine>;
  close(): Promise<void>;
}

/**
 * Starts a record in a file that must not exist.
 * @throws QuorateError as `createExclusive`.
 */
export async function createRecord(
  path: string,
  options: RecorderOptions & { readonly mode?: 'REHEARSAL' | undefined } = {},
): Promise<Recorder> {
  const handle = await createExclusive(path);
  return new FileRecorder(handle, { path, mode: options.mode, now: options.now, lines: [], last: NO_LINE, size: 0 });
}

/**
 * Goes on with a record after an interruption, when all of it is sound. Half a last line, which a killed writer
 * leaves behind and nobody was told about, is cut off, and an `exception` event says so.
 * @throws QuorateError `record-invalid` (with every fault; nothing was changed), `file-missing`, `file-invalid`.
 */
export async function reopenRecord(path: string, options: RecorderOptions = {}): Promise<Recorder> {
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    const record = checkRecord(await handle.readFile());
    const faults = record.faults.filter(({ kind }) => kind !== 'torn');
    if (faults.length > 0 || record.lines.length === 0) throw unsound(path, record.faults);
    const size = record.bytes.length - record.torn;
    if (record.torn > 0) {
      await handle.truncate(size);
      await handle.sync();
    }
    const recorder = new FileRecorder(handle, {
      path,
      mode: record.mode,
      now: options.now,
      lines: [...record.lines],
      last: record.head,
      size,
    });
    if (record.torn > 0) {
      await recorder.append({
        event: 'exception',
        expected: 'every line of the record has its end',
        happened: `the last line was cut short after ${record.torn.toString()} bytes, by a crash while it was written`,
        decision: 'the half line was removed and the ceremony resumed',
        by: 'quorate',
      });
    }
    return recorder;
  } catch (error) {
    await handle.close().catch(() => undefined);
    throw fileError(path, error);
  }
}

const ENVELOPE = ['seq', 'time', 'prev', 'mode'] as const;

interface State {
  readonly path: string;
  readonly mode: 'REHEARSAL' | undefined;
  readonly now: (() => Date) | undefined;
  readonly lines: RecordLine[];
  readonly last: string;
  readonly size: number;
}

class FileRecorder implements Recorder {
  readonly path: string;
  readonly mode: 'REHEARSAL' | undefined;
  readonly #handle: FileHandle;
  readonly #now: () => Date;
  readonly #lines: RecordLine[];
  #last: string;
  #size: number;
  #closed = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(handle: FileHandle, state: State) {
    this.#handle = handle;
    this.path = state.path;
    this.mode = state.mode;
    this.#now = state.now ?? (() => new Date());
    this.#lines = state.lines;
    this.#last = state.last;
    this.#size = state.size;
  }

  get lines(): readonly RecordLine[] {
    return this.#lines;
  }

  get last(): string {
    return this.#last;
  }

  append(event: RecordEvent): Promise<RecordLine> {
    // Copied now: the caller may change its object while the line waits for its turn.
    const copy = withoutUndefined(event);
    const written = this.#queue.then(() => this.#append(copy));
    this.#queue = written.catch(() => undefined);
    return written;
  }

  async close(): Promise<void> {
    await this.#queue;
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  async #append(event: unknown): Promise<RecordLine> {
    if (this.#closed) throw new QuorateError('bug', 'an event was appended to a record that is closed');
    const line = this.#line(event);
    const order = orderFault(line.event, this.#lines.at(-1));
    if (order !== undefined) throw new QuorateError('bug', `an event is out of order: ${order}`);
    const bytes = Buffer.from(`${lineText(line) ?? ''}\n`);
    try {
      await this.#write(bytes);
    } catch (error) {
      this.#closed = true;
      await this.#handle.close().catch(() => undefined);
      throw fileError(this.path, error);
    }
    this.#size += bytes.length;
    this.#last = sha256(bytes.subarray(0, -1));
    this.#lines.push(line);
    return line;
  }

  #line(event: unknown): RecordLine {
    if (!isObject(event)) throw refused(['the event: is not an object']);
    const taken = ENVELOPE.filter((name) => Object.hasOwn(event, name));
    if (taken.length > 0) throw refused(taken.map((name) => `${name}: is not for the caller to say`));
    const value = {
      ...event,
      seq: this.#lines.length + 1,
      time: this.#now().toISOString(),
      prev: this.#last,
      ...(this.mode === undefined ? {} : { mode: this.mode }),
    };
    const checked = checkLine(value);
    if (!checked.ok) throw refused(checked.faults);
    // Where the two differ, the schema skipped a key (such as `__proto__`) that would then be missing in silence.
    const text = lineText(checked.line);
    if (text === undefined || text !== lineText(value))
      throw refused(['the line: has a field that is not in the schema']);
    return checked.line;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { size } = await this.#handle.stat();
    if (size !== this.#size) {
      throw new QuorateError('file-invalid', `${this.path} was changed by another process`, {
        hint: 'Only one quorate may run a ceremony. Find the other one, then resume.',
      });
    }
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#size + done);
      done += bytesWritten;
    }
    await this.#handle.sync();
  }
}

function refused(faults: readonly string[]): QuorateError {
  return new QuorateError('record-invalid', `the record does not take this event: ${faults.join('; ')}`, {
    hint: 'Nothing was written. A record holds no shares, tokens, PINs or fields of its own making.',
    faults: faults.map((message) => ({ message })),
  });
}

/** A copy of plain data without members that are undefined. Objects of classes stay what they are, and are refused later. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key, withoutUndefined(member)]),
  );
}
