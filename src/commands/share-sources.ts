import { resolve } from 'node:path';
import type { GivenShare } from '../ceremony/people.ts';
import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';
import { readBounded, readSecretDescriptor, readSecretFile } from '../files.ts';
import type { GpgOptions } from '../programs/gpg.ts';
import type { Programs } from '../programs/programs.ts';

/** Where a share comes from, when nobody types it. */
export type ShareSource =
  { readonly kind: 'file'; readonly path: string } | { readonly kind: 'descriptor'; readonly descriptor: number };

export const shareOptions = {
  'share-file': {
    value: 'FILE',
    repeat: true,
    description: 'a share in a 0600 file, or as the PGP message that was issued',
  },
  'share-fd': { value: 'N', repeat: true, description: 'a share from an open file descriptor; 0 is standard input' },
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

/** How a PGP message starts: armour, or a packet of tag 1 (RFC 9580 4.3), which no share in text form can start with. */
export function isPgpMessage(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0;
  return first >= 0x80 || new TextDecoder().decode(bytes.subarray(0, 27)).startsWith('-----BEGIN PGP MESSAGE');
}

/**
 * Reads a share; an issued PGP message is decrypted by the user's gpg, in memory. The caller wipes it.
 * @throws QuorateError `file-missing`, `file-mode` (a share in clear that others can read), `share-undecryptable`.
 */
export async function readShareSource(
  context: Pick<Context, 'cwd'>,
  programs: Programs,
  source: ShareSource,
  gpg: GpgOptions,
): Promise<GivenShare> {
  if (source.kind === 'descriptor') {
    return { text: await readSecretDescriptor(source.descriptor), how: `descriptor ${source.descriptor.toString()}` };
  }
  const path = resolve(context.cwd, source.path);
  const bytes = await readBounded(path, 64 << 10);
  try {
    if (isPgpMessage(bytes)) return { text: await programs.gpg.decrypt(bytes, gpg), how: 'gpg' };
  } finally {
    bytes.fill(0);
  }
  return { text: await readSecretFile(path), how: 'a file' };
}
