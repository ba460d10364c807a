import { createRequire } from 'node:module';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';

export type Pkcs11js = typeof import('pkcs11js');

/**
 * Loads pkcs11js, whose compiled part not every installation has: the copy with a prebuilt addon that quorate brings
 * for linux-x64, else the optional npm package, compiled when it was installed. Constants such as `CKM_AES_GCM` are
 * properties of what is returned, as is the class `PKCS11`.
 * @throws QuorateError `program-missing` when neither loads here.
 */
export function loadPkcs11js(): Pkcs11js {
  const require = createRequire(import.meta.url);
  // From src/pkcs11 as from dist/chunks, two folders up is the package.
  const prebuilt = join(import.meta.dirname, `../../dist/prebuilt/${process.platform}-${process.arch}`);
  for (const name of [prebuilt, 'pkcs11js']) {
    try {
      return require(name) as Pkcs11js;
    } catch {
      // Absent, or built for another system or C library: the other one may do.
    }
  }
  throw new QuorateError(
    'program-missing',
    'the PKCS#11 addon, through which quorate speaks to an HSM, does not load',
    {
      hint: `There is none for ${process.platform}-${process.arch}. With Python 3, make, g++ and Node's headers at hand, run npm install pkcs11js beside quorate.`,
    },
  );
}
