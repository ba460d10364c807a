/** A key on a token that something stored by a server cannot be decrypted without. */
export interface NeededKey {
  readonly token: string;
  readonly serial: string;
  /** The key's label. */
  readonly key: string;
  /** Hexadecimal. */
  readonly id: string;
}

/** What quorate-kms writes beside the data that it encrypts (src/kms/FORMAT.md): plain JSON. */
const START = Buffer.from('{"format":"quorate-kms/');
/** Longer than any list of 16 tokens. */
const LIMIT = 64 << 10;

/**
 * The keys that the blobs of quorate-kms in a stream of bytes were encrypted with, one list a blob. The stream is the
 * storage of a server in any form that keeps values as they are: the `state.bin` of a Raft snapshot, with all around it.
 */
export async function neededKeys(stream: AsyncIterable<Uint8Array>): Promise<readonly (readonly NeededKey[])[]> {
  const blobs: (readonly NeededKey[])[] = [];
  let held = Buffer.alloc(0);
  for await (const chunk of stream) {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      const at = held.indexOf(START);
      if (at < 0) {
        held = held.subarray(Math.max(0, held.length - START.length));
        break;
      }
      held = held.subarray(at);
      const end = endOf(held);
      if (end === undefined) {
        if (held.length < LIMIT) break;
        held = held.subarray(START.length);
        continue;
      }
      const keys = keysIn(held.toString('utf8', 0, end));
      if (keys !== undefined) blobs.push(keys);
      held = held.subarray(end);
    }
  }
  return blobs;
}

/** Where the object that the bytes begin with ends; undefined when it is not all there. */
function endOf(bytes: Uint8Array): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length && at < LIMIT; at += 1) {
    const byte = bytes[at];
    if (quoted && byte === 0x5c) at += 1;
    else if (byte === 0x22) quoted = !quoted;
    else if (!quoted && (byte === 0x7b || byte === 0x5b)) depth += 1;
    else if (!quoted && (byte === 0x7d || byte === 0x5d)) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return undefined;
}

function keysIn(text: string): readonly NeededKey[] | undefined {
  try {
    const { shares } = JSON.parse(text) as { readonly shares?: readonly Partial<NeededKey>[] };
    return shares?.map(({ token = '', serial = '', key = '', id = '' }) => ({ token, serial, key, id }));
  } catch {
    return undefined;
  }
}
