import { join } from 'node:path';

/** The built quorate, by its launcher. */
export const QUORATE = join(import.meta.dirname, '../../bin/quorate');

/** This process's environment without what names another server, with `more`; quorate runs on the same Node as this. */
export function environment(more: Readonly<Record<string, string>> = {}): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(BAO|VAULT)_/.test(name));
  return { ...Object.fromEntries(kept), QUORATE_NODE: process.execPath, ...more };
}
