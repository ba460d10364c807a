import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A GnuPG home of its own, with an agent that asks nobody. */
export interface GnupgHome {
  readonly path: string;
  gpg(...args: string[]): Promise<Buffer>;
  /** Makes a key; its full fingerprint. */
  generate(name: string, primary: string, usage: string, expire?: string): Promise<string>;
  addSubkey(fingerprint: string, algorithm: string, usage: string, expire?: string): Promise<void>;
  exportKey(fingerprint: string): Promise<Buffer>;
  /** Ends the agent and removes the folder. */
  remove(): Promise<void>;
}

/** In /tmp, because an agent's socket has a path of at most 107 bytes. */
export async function gnupgHome(): Promise<GnupgHome> {
  const path = await mkdtemp('/tmp/qg-');
  const gpg = async (...args: string[]): Promise<Buffer> => {
    const fixed = ['--homedir', path, '--batch', '--quiet', '--yes', '--pinentry-mode', 'loopback', '--passphrase', ''];
    const { stdout } = await run('gpg', [...fixed, ...args], { encoding: 'buffer' });
    return stdout;
  };
  return {
    path,
    gpg,
    async generate(name, primary, usage, expire = 'never') {
      await gpg('--quick-generate-key', `${name} <${name.toLowerCase()}@example.org>`, primary, usage, expire);
      const listing = (await gpg('--with-colons', '--list-keys', `<${name.toLowerCase()}@example.org>`)).toString();
      const fingerprint = /^fpr:{9}([0-9A-F]{40}):/m.exec(listing)?.[1];
      if (fingerprint === undefined) throw new Error('gpg made no key');
      return fingerprint;
    },
    async addSubkey(fingerprint, algorithm, usage, expire = 'never') {
      await gpg('--quick-add-key', fingerprint, algorithm, usage, expire);
    },
    exportKey: async (fingerprint) => await gpg('--export', fingerprint),
    async remove() {
      await run('gpgconf', ['--homedir', path, '--kill', 'all']).catch(() => undefined);
      await rm(join(path), { recursive: true, force: true });
    },
  };
}
