import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { temporaryFolder } from './cluster.ts';

/**
 * Compiles pkcs11-stub.c, a PKCS#11 library that starts and then never answers C_GetInfo; with `STUB_HOW=crash` in the
 * environment it aborts there. All else is CKR_FUNCTION_NOT_SUPPORTED. @returns its path.
 */
export async function brokenLibrary(): Promise<string> {
  const path = join(await temporaryFolder(), 'libbroken.so');
  execFileSync('gcc', ['-shared', '-fPIC', '-o', path, join(import.meta.dirname, 'pkcs11-stub.c')]);
  return path;
}
