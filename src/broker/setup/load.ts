import { dirname, resolve } from 'node:path';
import { parseDocument } from '../../document.ts';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import type { SetupFiles } from './login-resources.ts';
import { type Setup, setupSchema } from './schema.ts';

/** A reviewed setup, with its files found and read. */
export interface LoadedSetup {
  readonly setup: Setup;
  /** Absolute; read only when the connection is written. */
  readonly passwordFile: string;
  /** Absolute, and its text. */
  readonly ca: { readonly file: string; readonly text: string } | undefined;
  /** What its logins name. */
  readonly files: SetupFiles;
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
  const files = new Map<string, string>();
  for (const login of setup.login) {
    if (login.method !== 'jwt') continue;
    for (const name of [login['public-keys'], login['issuer-ca']]) {
      if (name !== undefined) files.set(name, await readPem(resolve(folder, name)));
    }
  }
  return {
    setup,
    files,
    passwordFile: resolve(folder, setup.connection['admin-password-file']),
    ca: caFile === undefined ? undefined : { file: caFile, text: await readText(caFile) },
  };
}

/** @throws QuorateError `file-invalid` for a file without anything in PEM, or with a private key. */
async function readPem(file: string): Promise<string> {
  const text = await readText(file);
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw new QuorateError('file-invalid', `${file} holds a private key, which nobody needs here`, {
      hint: "Name a file with the issuer's public keys.",
    });
  }
  if (/-----BEGIN (?:CERTIFICATE|[A-Z ]*PUBLIC KEY)-----/.test(text)) return text;
  throw new QuorateError('file-invalid', `${file} holds no public key or certificate in PEM`);
}
