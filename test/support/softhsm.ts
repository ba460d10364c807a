import { execFile } from 'node:child_process';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './cluster.ts';

export const SOFTHSM_MODULE = '/usr/lib/softhsm/libsofthsm2.so';

export interface SoftToken {
  readonly label: string;
  readonly serial: string;
  readonly pin: string;
  readonly soPin: string;
}

export interface SoftHsm {
  readonly folder: string;
  /** The library. */
  readonly module: string;
  /** What a process needs in its environment to see these tokens: `SOFTHSM2_CONF`. */
  readonly env: Readonly<Record<string, string>>;
  /** Makes a token with softhsm2-util; PINs of 1234 and 12345678 unless given. */
  addToken(label: string, pins?: { readonly pin?: string; readonly soPin?: string }): Promise<SoftToken>;
  /** Makes a key with pkcs11-tool, which leaves it extractable unless told. `AES:32`, `rsa:2048`. */
  addKey(token: SoftToken, type: string, label: string, id: string, ...flags: readonly string[]): Promise<void>;
  /** pkcs11-tool on these tokens. */
  tool(...args: readonly string[]): Promise<string>;
  /** softhsm2-util on these tokens. */
  util(...args: readonly string[]): Promise<string>;
  /** Makes a token vanish, with all that is on it, until `putBack`. */
  takeAway(token: SoftToken): Promise<void>;
  putBack(token: SoftToken): Promise<void>;
}

/**
 * SoftHSM with a folder of tokens of its own, deleted at the end of the test file. A test that opens the library in its
 * own process puts `env` into `process.env` first: SoftHSM reads it when it is initialised, so one `SoftHsm` a process.
 */
export async function softHsm(): Promise<SoftHsm> {
  const folder = await temporaryFolder();
  const tokens = join(folder, 'tokens');
  const away = join(folder, 'away');
  const conf = join(folder, 'softhsm2.conf');
  await mkdir(tokens);
  await mkdir(away);
  await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const env = { SOFTHSM2_CONF: conf };
  const run = async (program: string, args: readonly string[]): Promise<string> => {
    const { PATH = '', HOME = '' } = process.env;
    const { stdout } = await promisify(execFile)(program, args, { env: { PATH, HOME, ...env } });
    return stdout;
  };
  const tool = (...args: readonly string[]): Promise<string> =>
    run('pkcs11-tool', ['--module', SOFTHSM_MODULE, ...args]);
  const util = (...args: readonly string[]): Promise<string> => run('softhsm2-util', args);
  /** SoftHSM names a token's folder by a UUID that ends in the serial. */
  const folderOf = async ({ serial }: SoftToken, parent: string): Promise<string> => {
    const name = (await readdir(parent)).find((one) => one.replaceAll('-', '').endsWith(serial));
    if (name === undefined) throw new Error(`no token ${serial} in ${parent}`);
    return name;
  };
  const move = async (token: SoftToken, from: string, to: string): Promise<void> => {
    const name = await folderOf(token, from);
    await rename(join(from, name), join(to, name));
  };
  return {
    folder,
    module: SOFTHSM_MODULE,
    env,
    tool,
    util,
    async addToken(label, { pin = '1234', soPin = '12345678' } = {}) {
      const before = new Set(await readdir(tokens));
      await util('--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', soPin);
      const made = (await readdir(tokens)).find((name) => !before.has(name)) ?? '';
      return { label, pin, soPin, serial: made.replaceAll('-', '').slice(-16) };
    },
    async addKey({ label: token, pin }, type, label, id, ...flags) {
      const kind = type.startsWith('AES') ? '--keygen' : '--keypairgen';
      const login = ['--token-label', token, '--login', '--pin', pin];
      await tool(...login, kind, '--key-type', type, '--label', label, '--id', id, ...flags);
    },
    takeAway: (token) => move(token, tokens, away),
    putBack: (token) => move(token, away, tokens),
  };
}
