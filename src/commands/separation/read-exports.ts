import { createHash } from 'node:crypto';
import { basename, resolve } from 'node:path';
import { existsSync } from 'node:fs';
import type { Context } from '../../context.ts';
import { readBounded } from '../../files.ts';
import { EXPORT_NAMESPACE, LARGEST_EXPORT, parseExport, type SeparationExport } from '../../separation/model.ts';
import type { Doubt } from '../../separation/prove/findings.ts';

/** An export as it was found, and who stands by it. */
export interface ReadExport {
  readonly file: string;
  readonly sha256: string;
  readonly export: SeparationExport;
  /** The principal of the checker's own file whose key signed it. */
  readonly signedBy?: string;
}

/**
 * Reads exports, and checks the signature beside each against the checker's own keys.
 * @returns them, and a doubt for each that nobody known has signed; none where signatures are not asked for.
 * @throws QuorateError as files and `parseExport` do.
 */
export async function readExports(
  context: Context,
  files: readonly string[],
  allowedSigners: string | undefined,
): Promise<{ readonly exports: readonly ReadExport[]; readonly doubts: readonly Doubt[] }> {
  const exports: ReadExport[] = [];
  const doubts: Doubt[] = [];
  for (const file of files) {
    const path = resolve(context.cwd, file);
    const bytes = await readBounded(path, LARGEST_EXPORT);
    const one = {
      file: path,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      export: parseExport(new TextDecoder().decode(bytes), basename(path)),
    };
    const signedBy = allowedSigners === undefined ? undefined : await signerOf(context, path, bytes, allowedSigners);
    exports.push({ ...one, ...(signedBy === undefined ? {} : { signedBy }) });
    if (allowedSigners === undefined || signedBy !== undefined) continue;
    const { cluster } = one.export;
    const what = `nobody in the file of allowed signers has signed the export of ${cluster}`;
    doubts.push({
      code: 'export-unsigned',
      cluster,
      what,
      mend: 'Export it again with --key, and bring FILE.sig beside it.',
    });
  }
  return { exports, doubts };
}

async function signerOf(
  context: Context,
  path: string,
  bytes: Uint8Array,
  allowedSigners: string,
): Promise<string | undefined> {
  const signature = `${path}.sig`;
  if (!existsSync(signature)) return undefined;
  const { sshKeygen } = await context.programs();
  const { signal } = context;
  for (const identity of await sshKeygen.findPrincipals({ allowedSigners, signature, signal })) {
    const asked = { allowedSigners, identity, namespace: EXPORT_NAMESPACE, signature, bytes, signal };
    if ((await sshKeygen.verify(asked)).ok) return identity;
  }
  return undefined;
}
