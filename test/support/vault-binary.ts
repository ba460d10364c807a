import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/**
 * A real HashiCorp Vault: what QUORATE_VAULT names, else `vault` on PATH, else undefined: for `describe.skipIf`, the
 * one reason for which a test may be skipped. A variable that names nothing is an error, not a reason to skip.
 */
export function vaultBinary(): string | undefined {
  const named = process.env['QUORATE_VAULT'];
  if (named !== undefined && named !== '') {
    if (!isProgram(named)) throw new Error(`QUORATE_VAULT names ${named}, which is not a program`);
    return named;
  }
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  return folders.map((folder) => join(folder, 'vault')).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
