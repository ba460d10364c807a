import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { loadPkcs11js } from '../../src/pkcs11/addon.ts';

it('loads pkcs11js, and through it a real PKCS#11 module', () => {
  const pkcs11js = loadPkcs11js();
  expect(pkcs11js.CKM_AES_GCM).toBe(0x1087);
  const module = new pkcs11js.PKCS11();
  module.load('/usr/lib/softhsm/libsofthsm2.so');
  module.C_Initialize();
  try {
    expect(module.C_GetInfo().manufacturerID.trim()).toBe('SoftHSM');
  } finally {
    module.C_Finalize();
  }
});

it('says program-missing where neither copy loads', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'quorate-addon-'));
  try {
    const source = join(import.meta.dirname, '../../src');
    await mkdir(join(folder, 'src/pkcs11'), { recursive: true });
    for (const file of ['errors.ts', 'pkcs11/addon.ts']) await copyFile(join(source, file), join(folder, 'src', file));
    await writeFile(join(folder, 'package.json'), '{"type": "module"}');
    const script = `
      import { loadPkcs11js } from './src/pkcs11/addon.ts';
      try { loadPkcs11js(); } catch (error) { console.log(error.code); }`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
      { cwd: folder, env: { PATH: process.env['PATH'] } },
    );
    expect(stdout).toBe('program-missing\n');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
