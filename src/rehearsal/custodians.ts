import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import type { RunProgram } from '../programs/run.ts';
import { endAgents, makeHome, removeHome } from './gnupg-home.ts';
import { Watchdog } from './watchdog.ts';

const TIMEOUT = 60_000;

/** A made-up person with real keys, which have no passphrase: for rehearsals and tests only. */
export interface MadeUpCustodian {
  readonly name: string;
  /** The person's own folder: the files named below are in it. */
  readonly folder: string;
  /** Holds the OpenPGP secret key; name it in GNUPGHOME. */
  readonly gnupgHome: string;
  /** The OpenPGP public key, armoured. */
  readonly pgpFile: string;
  /** 40 upper-case hexadecimal digits. */
  readonly fingerprint: string;
  readonly sshKeyFile: string;
  readonly sshPublicFile: string;
  /** `SHA256:` and 43 base64 characters, as `ssh-keygen -l` prints it. */
  readonly sshFingerprint: string;
}

export interface MadeUpCustodians {
  readonly people: readonly MadeUpCustodian[];
  readonly gnupgHomes: readonly string[];
  /** Ends their gpg-agents and deletes their GnuPG homes. Call it even when this process is about to end. */
  readonly cleanUp: () => Promise<void>;
  /** Ends their gpg-agents, and leaves the homes that are in the folder: their owners can still decrypt. */
  readonly leave: () => Promise<void>;
  /** Lets the homes live when this process ends; `ThrowawayCluster.keep` must know them then. */
  readonly keep: () => Promise<void>;
}

export interface CustodiansOptions {
  /** Made when it is not there; each person gets a folder in it. */
  readonly folder: string;
  /** Letters, digits, dots and dashes. */
  readonly names: readonly string[];
  readonly run: RunProgram;
  readonly signal?: AbortSignal;
}

/**
 * Makes people with an OpenPGP key (Ed25519 and Curve25519, never expiring) and an SSH key (Ed25519) each. Should this
 * process die, their agents and GnuPG homes go too.
 * @throws QuorateError `program-missing` (gpg, ssh-keygen), `program-failed`, `cancelled`; nothing runs on then.
 */
export async function createCustodians(options: CustodiansOptions): Promise<MadeUpCustodians> {
  const watchdog = await Watchdog.start();
  const gnupgHomes: string[] = [];
  const cleanUp = async (): Promise<void> => {
    await Promise.all(gnupgHomes.map((home) => removeHome(home, options.run)));
    await watchdog.release();
  };
  const leave = async (): Promise<void> => {
    const end = (home: string): Promise<void> =>
      home.startsWith(`${options.folder}/`) ? endAgents(home, options.run) : removeHome(home, options.run);
    await Promise.all(gnupgHomes.map(end));
    await watchdog.release();
  };
  const made = await Promise.allSettled(
    options.names.map(async (name) => {
      const folder = join(options.folder, name);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const home = await makeHome(folder);
      gnupgHomes.push(home);
      await watchdog.guardHome(home);
      return makeKeys(name, folder, home, options);
    }),
  );
  const failed = made.find((one) => one.status === 'rejected');
  if (failed !== undefined) {
    await cleanUp();
    throw failed.reason;
  }
  const people = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  return { people, gnupgHomes, cleanUp, leave, keep: () => watchdog.release() };
}

async function makeKeys(
  name: string,
  folder: string,
  gnupgHome: string,
  options: CustodiansOptions,
): Promise<MadeUpCustodian> {
  const run = (program: string, args: readonly string[], stdin?: string) =>
    options.run({
      program,
      args,
      env: { GNUPGHOME: gnupgHome },
      timeout: TIMEOUT,
      ...(stdin === undefined ? {} : { stdin: new TextEncoder().encode(stdin) }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });

  await run('gpg', ['--batch', '--quiet', '--generate-key'], keyParameters(name));
  const listing = new TextDecoder().decode((await run('gpg', ['--batch', '--with-colons', '--list-keys'])).stdout);
  const fingerprint = /^fpr:(?:[^:]*:){8}([0-9A-F]{40}):/m.exec(listing)?.[1];
  if (fingerprint === undefined) throw new QuorateError('program-failed', `gpg made no key for ${name}`);
  const pgpFile = join(folder, 'pgp.asc');
  const exported = await run('gpg', ['--batch', '--armor', '--export', fingerprint]);
  await writeFile(pgpFile, exported.stdout, { flag: 'wx' });

  const sshKeyFile = join(folder, 'ssh');
  const sshPublicFile = `${sshKeyFile}.pub`;
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', sshKeyFile]);
  const sshFingerprint = fingerprintOf(await readText(sshPublicFile));
  return { name, folder, gnupgHome, pgpFile, fingerprint, sshKeyFile, sshPublicFile, sshFingerprint };
}

/** GnuPG's unattended key generation (doc/DETAILS of GnuPG 2.2): a signing key and a subkey for encryption. */
function keyParameters(name: string): string {
  return [
    'Key-Type: eddsa',
    'Key-Curve: ed25519',
    'Key-Usage: sign',
    'Subkey-Type: ecdh',
    'Subkey-Curve: cv25519',
    'Subkey-Usage: encrypt',
    `Name-Real: ${name}`,
    `Name-Email: ${name.toLowerCase()}@rehearsal.invalid`,
    'Expire-Date: 0',
    '%no-protection',
    '%commit',
    '',
  ].join('\n');
}

/** OpenSSH's fingerprint: SHA-256 over the key's blob, base64 without padding. */
function fingerprintOf(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replaceAll('=', '')}`;
}
