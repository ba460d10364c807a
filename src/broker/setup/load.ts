import { dirname, resolve } from 'node:path';
import { parseDocument } from '../../document.ts';
import { readText } from '../../files.ts';
import { type Setup, setupSchema } from './schema.ts';

/** A reviewed setup, with its files found and read. */
export interface LoadedSetup {
  readonly setup: Setup;
  /** Absolute; read only when the connection is written. */
  readonly passwordFile: string;
  /** Absolute, and its text. */
  readonly ca: { readonly file: string; readonly text: string } | undefined;
}

/**
 * Relative paths in it start from its own folder.
 * @throws QuorateError `file-missing`, `file-invalid`, `document-invalid`.
 */
export async function loadSetup(file: string): Promise<LoadedSetup> {
  const setup = parseDocument(await readText(file), setupSchema, { file });
  const folder = dirname(resolve(file));
  const { ca } = setup.connection;
  const caFile = ca === undefined ? undefined : resolve(folder, ca);
  return {
    setup,
    passwordFile: resolve(folder, setup.connection['admin-password-file']),
    ca: caFile === undefined ? undefined : { file: caFile, text: await readText(caFile) },
  };
}
