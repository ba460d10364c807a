import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Replaced by the bundler with package.json's version; not there when quorate runs from its source. */
declare const QUORATE_VERSION: string | undefined;

/** The version of quorate, as in package.json. */
export const version: string = typeof QUORATE_VERSION === 'string' ? QUORATE_VERSION : versionOfSource();

/**
 * Names the exact build that is running: the SHA-256 (hexadecimal) of dist/SHA256SUMS, which lists every file of the
 * bundle as `sha256sum -c` checks them. `source` when quorate runs from its source, or the list is missing.
 * Reads one file; call it only where it is recorded or shown.
 */
export function buildHash(): string {
  if (typeof QUORATE_VERSION !== 'string') return 'source';
  // Not loaded for the version alone.
  const { createHash } = process.getBuiltinModule('node:crypto');
  try {
    // Every chunk lies in dist/chunks.
    return createHash('sha256')
      .update(readFileSync(join(import.meta.dirname, '..', 'SHA256SUMS')))
      .digest('hex');
  } catch {
    return 'source';
  }
}

function versionOfSource(): string {
  const text = readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
