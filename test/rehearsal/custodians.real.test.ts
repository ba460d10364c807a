import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { programRunner, type RunRequest } from '../../src/programs/run.ts';
import { createCustodians } from '../../src/rehearsal/custodians.ts';
import { temporaryFolder } from '../support/cluster.ts';
import { processesNaming } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';

const run = programRunner(process.env);

async function text(request: RunRequest): Promise<string> {
  return new TextDecoder().decode((await run(request)).stdout);
}

describe('made-up custodians', () => {
  it('can read what is encrypted to them, and nobody else can', async () => {
    const folder = await temporaryFolder();
    const { people, cleanUp } = await createCustodians({ folder, names: ['Alice', 'Bob', 'Carol'], run });
    try {
      expect(new Set(people.map((one) => one.fingerprint)).size).toBe(3);
      const message = new TextEncoder().encode('a share');
      for (const one of people) {
        const encrypted = await run({
          program: 'gpg',
          args: ['--batch', '--trust-model', 'always', '--encrypt', '--recipient-file', one.pgpFile],
          stdin: message,
          env: { GNUPGHOME: one.gnupgHome },
        });
        for (const reader of people) {
          const request = { program: 'gpg', args: ['--batch', '--decrypt'], stdin: encrypted.stdout };
          const read = run({ ...request, env: { GNUPGHOME: reader.gnupgHome } });
          if (reader === one) expect((await read).stdout).toEqual(message);
          else await expect(read).rejects.toMatchObject({ code: 'program-failed' });
        }
      }
    } finally {
      await cleanUp();
    }
  });

  it('have the fingerprints that gpg and ssh-keygen show, and files for their owner', async () => {
    const folder = await temporaryFolder();
    const { people, cleanUp } = await createCustodians({ folder, names: ['Dave'], run });
    const [dave] = people;
    if (dave === undefined) throw new Error('there is nobody');
    const shown = await text({ program: 'gpg', args: ['--show-keys', '--with-colons', dave.pgpFile] });
    expect(shown).toContain(`:${dave.fingerprint}:`);
    expect(shown).toContain('Dave <dave@rehearsal.invalid>');
    const listed = await text({ program: 'ssh-keygen', args: ['-l', '-f', dave.sshPublicFile] });
    expect(listed).toContain(dave.sshFingerprint);
    expect((await stat(dave.sshKeyFile)).mode & 0o777).toBe(0o600);
    expect((await stat(dave.gnupgHome)).mode & 0o777).toBe(0o700);
    expect(await readFile(dave.pgpFile, 'utf8')).not.toContain('PRIVATE');
    await cleanUp();
  });

  it('leave no agent and no secret key of OpenPGP after `cleanUp`', async () => {
    const folder = await temporaryFolder();
    const { gnupgHomes, cleanUp } = await createCustodians({ folder, names: ['Erin', 'Frank'], run });
    expect(processesNaming(folder)).toHaveLength(2);
    await cleanUp();
    await waitUntil('no agent runs', () => processesNaming(folder).length === 0, 5_000);
    for (const home of gnupgHomes) await expect(stat(home)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('have homes with short paths, in folders however deep', async () => {
    const folder = join(await temporaryFolder(), 'deep'.repeat(10), 'deeper'.repeat(10));
    await mkdir(folder, { recursive: true });
    const { people, gnupgHomes, cleanUp } = await createCustodians({ folder, names: ['Grace'], run });
    expect(gnupgHomes[0]?.startsWith(folder)).toBe(false);
    expect((await stat(gnupgHomes[0] ?? '')).mode & 0o777).toBe(0o700);
    expect(people[0]?.fingerprint).toMatch(/^[0-9A-F]{40}$/);
    await cleanUp();
    await expect(stat(gnupgHomes[0] ?? '')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('are not made without gpg, and then leave nothing', async () => {
    const folder = await temporaryFolder();
    const made = createCustodians({ folder, names: ['Heidi'], run: programRunner({ PATH: folder }) });
    await expect(made).rejects.toMatchObject({ code: 'program-missing' });
    await expect(stat(join(folder, 'Heidi', 'gnupg'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
