import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { temporaryFolder } from './cluster.ts';
import { SOFTHSM_MODULE } from './softhsm.ts';

async function compile(name: string): Promise<string> {
  const path = join(await temporaryFolder(), `lib${name}.so`);
  execFileSync('gcc', ['-shared', '-fPIC', '-o', path, join(import.meta.dirname, `${name}.c`), '-ldl']);
  return path;
}

/**
 * Compiles pkcs11-stub.c, a PKCS#11 library that starts and then never answers C_GetInfo; with `STUB_HOW=crash` in the
 * environment it aborts there. All else is CKR_FUNCTION_NOT_SUPPORTED. @returns its path.
 */
export async function brokenLibrary(): Promise<string> {
  return compile('pkcs11-stub');
}

export type Manner = 'own-iv' | 'strict-iv' | 'final-try' | 'locked' | 'extractable' | 'no-decrypt';

/** Compiles pkcs11-shim.c: SoftHSM with the manners of other tokens, by the environment that `env` makes. */
export async function otherToken(): Promise<{ readonly path: string; env(manner: Manner): Record<string, string> }> {
  const path = await compile('pkcs11-shim');
  return { path, env: (manner) => ({ SHIM_TARGET: SOFTHSM_MODULE, SHIM_MODE: manner }) };
}
