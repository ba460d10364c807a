import { resolve } from 'node:path';
import type { GivenShare } from '../ceremony/people.ts';
import type { Context } from '../context.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import { readBounded, readSecretDescriptor, readSecretFile } from '../files.ts';
import type { GpgOptions } from '../programs/gpg.ts';
import type { Programs } from '../programs/programs.ts';
import type { Secret } from '../secret.ts';

/** Where a share comes from, when nobody types it. */
export type ShareSource =
  { readonly kind: 'file'; readonly path: string } | { readonly kind: 'descriptor'; readonly descriptor: number };

export const shareOptions = {
  'share-file': {
    value: 'FILE',
    repeat: true,
    description: 'a share in a 0600 file, or as the PGP message that was issued; once for each',
  },
  'share-fd': { value: 'N', repeat: true, description: 'the same from an open file descriptor; 0 is standard input' },
} as const;

/** The sources that the options name, in the order: files, descriptors. @throws QuorateError `usage`. */
export function shareSources(values: {
  readonly 'share-file'?: readonly string[];
  readonly 'share-fd'?: readonly string[];
}): readonly ShareSource[] {
  return [
    ...(values['share-file'] ?? []).map((path) => ({ kind: 'file', path }) as const),
    ...(values['share-fd'] ?? []).map((text) => {
      if (!/^\d{1,4}$/.test(text)) throw new QuorateError('usage', '--share-fd takes the number of an open descriptor');
      return { kind: 'descriptor', descriptor: Number(text) } as const;
    }),
  ];
}

/**
 * Whether this is a PGP message: in armour, in the base64 that servers issue, or binary, where it starts with a packet
 * of tag 1 (RFC 9580 4.3), which no share in text form can start with.
 */
export function isPgpMessage(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0;
  // A byte order mark starts like a packet.
  if (first >= 0x80 && !(first === 0xef && bytes[1] === 0xbb)) return true;
  const start = new TextDecoder().decode(bytes.subarray(0, 40)).trimStart();
  return start.startsWith('-----BEGIN PGP MESSAGE') || (bytes.length > 120 && /^(?:wc|wV|hQ|hF|hE)/.test(start));
}

/**
 * Reads a share; an issued PGP message is decrypted by the user's gpg, in memory. The caller wipes it.
 * @throws QuorateError `file-missing`, `file-mode` (a share in clear that others can read), `file-invalid`,
 *   `share-undecryptable`, `program-missing` (gpg).
 */
export async function readShareSource(
  context: Pick<Context, 'cwd'>,
  { gpg }: Pick<Programs, 'gpg'>,
  source: ShareSource,
  options: GpgOptions,
): Promise<GivenShare> {
  const decrypted = async (bytes: Uint8Array): Promise<GivenShare> => ({
    text: await gpg.decrypt(bytes, options),
    how: 'gpg',
  });
  if (source.kind === 'file') {
    const path = resolve(context.cwd, source.path);
    const text = await readSecretFile(path).catch(async (error: unknown) => {
      if (!isQuorateError(error, 'file-mode')) throw error;
      // A message that only its custodian can read may lie anywhere.
      const bytes = await readBounded(path, 64 << 10);
      try {
        if (isPgpMessage(bytes)) return await decrypted(bytes);
      } finally {
        bytes.fill(0);
      }
      throw error;
    });
    return 'how' in text ? text : unwrap(text, 'a file', decrypted);
  }
  const text = await readSecretDescriptor(source.descriptor);
  return unwrap(text, `descriptor ${source.descriptor.toString()}`, decrypted);
}

/** Takes the share out of a PGP message, if it is one. */
async function unwrap(
  text: Secret,
  how: string,
  decrypted: (bytes: Uint8Array) => Promise<GivenShare>,
): Promise<GivenShare> {
  if (!text.expose(isPgpMessage)) return { text, how };
  try {
    return await text.expose(decrypted);
  } finally {
    text.wipe();
  }
}
