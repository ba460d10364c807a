import { QuorateError } from '../../errors.ts';
import { readBounded } from '../../files.ts';
import type { RecordLine } from './events.ts';
import { NO_LINE, checkLine, isObject, lineText, sha256 } from './line.ts';

/** Far beyond any ceremony: a million events of a few hundred bytes. */
const RECORD_LIMIT = 512 << 20;

export interface RecordFault {
  /** From 1. */
  readonly line: number;
  readonly kind: 'form' | 'schema' | 'canonical' | 'sequence' | 'chain' | 'mode' | 'order' | 'torn';
  readonly message: string;
}

export interface ReadRecord {
  readonly bytes: Uint8Array;
  /** The lines that satisfy the schema. */
  readonly lines: readonly RecordLine[];
  /** All of them; a record without any is whole and unaltered up to `head`. */
  readonly faults: readonly RecordFault[];
  /** What is odd and no fault, such as a clock that went back. */
  readonly notes: readonly { readonly line: number; readonly message: string }[];
  /** The SHA-256 of the last line, `none` without one. It stands for the whole record; people compare it. */
  readonly head: string;
  readonly mode: 'REHEARSAL' | undefined;
  /** Whether the last event closes the ceremony. */
  readonly closed: boolean;
  /** The bytes of a last line without a newline, which a writer that was killed leaves behind. */
  readonly torn: number;
}

/** Reads and checks a record. @throws QuorateError `file-missing`, `file-invalid`; what is wrong inside it is in `faults`. */
export async function readRecord(path: string): Promise<ReadRecord> {
  return checkRecord(await readBounded(path, RECORD_LIMIT));
}

/** `readRecord` for callers that need a sound one. @throws QuorateError `record-invalid` with every fault, and as above. */
export async function readSoundRecord(path: string): Promise<ReadRecord> {
  const record = await readRecord(path);
  if (record.faults.length > 0) throw unsound(path, record.faults);
  return record;
}

/** The error for a record with faults; the first 50 go with it. */
export function unsound(path: string, faults: readonly RecordFault[]): QuorateError {
  const count = faults.length === 1 ? '1 fault' : `${faults.length.toString()} faults`;
  return new QuorateError('record-invalid', `${path} is not a sound record: ${count}`, {
    hint: 'It was changed after it was written, or is no record of quorate. Compare it with another copy.',
    faults: faults.slice(0, 50).map(({ line, message }) => ({ line, message })),
  });
}

/** Checks form, schema, canonical form, numbering, chain, mode and order of every line of a record's bytes. */
export function checkRecord(bytes: Uint8Array): ReadRecord {
  const checker = new Checker();
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    checker.take(bytes.subarray(start, end));
    start = end + 1;
  }
  return checker.finish(bytes, bytes.length - start);
}

class Checker {
  readonly #lines: RecordLine[] = [];
  readonly #faults: RecordFault[] = [];
  readonly #notes: { line: number; message: string }[] = [];
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #number = 0;
  #head = NO_LINE;
  #mode: 'REHEARSAL' | undefined;
  #time = '';
  /** The event of the line before; undefined when that line had faults. */
  #before: RecordLine | undefined;

  take(bytes: Uint8Array): void {
    this.#number += 1;
    const line = this.#parse(bytes);
    if (line !== undefined) {
      this.#place(line);
      this.#lines.push(line);
    }
    this.#before = line;
    this.#head = sha256(bytes);
  }

  finish(bytes: Uint8Array, torn: number): ReadRecord {
    if (torn > 0) {
      this.#number += 1;
      this.#fault('torn', `the last line has ${torn.toString()} bytes and no end`);
    } else if (this.#number === 0) {
      this.#number = 1;
      this.#fault('order', 'there is no event');
    }
    return {
      bytes,
      lines: this.#lines,
      faults: this.#faults,
      notes: this.#notes,
      head: this.#head,
      mode: this.#mode,
      closed: torn === 0 && this.#before?.event === 'ceremony.closed',
      torn,
    };
  }

  #parse(bytes: Uint8Array): RecordLine | undefined {
    let text: string;
    let value: unknown;
    try {
      text = this.#decoder.decode(bytes);
      value = JSON.parse(text);
    } catch {
      this.#fault('form', 'not JSON in UTF-8');
      return undefined;
    }
    const checked = checkLine(value);
    if (!checked.ok) {
      for (const message of checked.faults) this.#fault('schema', message);
      // What cannot be a line may still say where it belongs.
      if (isObject(value)) this.#envelope(value['seq'], value['prev']);
      return undefined;
    }
    // The schema's output, not its input: what the schema skipped would be missing here, and so be found.
    if (lineText(checked.line) !== text) this.#fault('canonical', 'not in canonical form (RFC 8785)');
    return checked.line;
  }

  #envelope(seq: unknown, prev: unknown): void {
    if (seq !== this.#number) this.#fault('sequence', `the number in seq is not ${this.#number.toString()}`);
    if (prev !== this.#head) this.#fault('chain', 'prev is not the SHA-256 of the line before');
  }

  #place(line: RecordLine): void {
    this.#envelope(line.seq, line.prev);
    if (this.#number === 1) this.#mode = line.mode;
    else if (line.mode !== this.#mode) this.#fault('mode', 'a rehearsal and a real ceremony in one record');
    // After a line that could not be read nothing can be said of the order.
    const known = this.#number === 1 || this.#before !== undefined;
    const order = known ? orderFault(line.event, this.#before) : undefined;
    if (order !== undefined) this.#fault('order', order);
    if (line.time < this.#time) {
      this.#notes.push({ line: this.#number, message: 'the clock went back before this event' });
    }
    this.#time = line.time;
  }

  #fault(kind: RecordFault['kind'], message: string): void {
    this.#faults.push({ line: this.#number, kind, message });
  }
}

/**
 * What is wrong with `event` as the one after `before` (undefined at the start): a record opens once, first, and
 * nothing follows its closing, except that a ceremony that ended incomplete can be resumed.
 */
export function orderFault(event: RecordLine['event'], before: RecordLine | undefined): string | undefined {
  if (before === undefined) {
    return event === 'ceremony.opened' ? undefined : 'a record begins with ceremony.opened';
  }
  if (event === 'ceremony.opened') return 'a ceremony opens once only';
  if (before.event !== 'ceremony.closed') return undefined;
  if (event === 'ceremony.resumed' && before.result === 'incomplete') return undefined;
  return 'nothing follows ceremony.closed, but resuming what was incomplete';
}
