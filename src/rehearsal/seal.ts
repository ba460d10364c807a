import { randomInt } from 'node:crypto';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';
import { writeExclusive } from '../files.ts';
import type { Pkcs11, RemoteLibrary } from '../pkcs11/remote.ts';
import { Secret } from '../secret.ts';

export const REHEARSAL_SEALS = ['shamir', 'pkcs11', '2-of-3'] as const;
export type RehearsalSeal = (typeof REHEARSAL_SEALS)[number];

const KEY_LABEL = 'seal';

/** What a seal of made-up HSMs is built with. */
export interface SealParts {
  readonly pkcs11: Pkcs11;
  /** SoftHSM's library. */
  readonly module: string;
  /** Installs the KMS plugin into a folder, and gives the lines of the server's configuration for it. */
  readonly install: (folder: string) => Promise<readonly string[]>;
}

/** Made-up HSMs and what the servers need to use them. */
export interface MadeUpSeal {
  /** HCL. */
  readonly seal: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the others open the servers while one is away. */
  readonly several: boolean;
  /** Makes the last token vanish, as an HSM that breaks does. Returns its label. */
  takeAway(): Promise<string>;
  putBack(): Promise<void>;
}

/**
 * SoftHSM tokens in `folder`, each with an AES key and a random PIN in a file beside it, and the configuration of a
 * seal by them: one token, or any two of three.
 * @throws QuorateError as `Pkcs11.open` and `SealParts.install` do.
 */
export async function makeSeal(
  kind: Exclude<RehearsalSeal, 'shamir'>,
  folder: string,
  parts: SealParts,
): Promise<MadeUpSeal> {
  const [tokens, away, plugins] = [join(folder, 'tokens'), join(folder, 'away'), join(folder, 'plugins')];
  for (const one of [folder, tokens, away]) await mkdir(one, { mode: 0o700 });
  await mkdir(plugins, { mode: 0o755 });
  const conf = join(folder, 'softhsm2.conf');
  await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const environment = { SOFTHSM2_CONF: conf };
  const labels = kind === 'pkcs11' ? ['hsm-a'] : ['hsm-a', 'hsm-b', 'hsm-c'];
  let last = '';
  const library = await parts.pkcs11.open(parts.module, { env: environment });
  try {
    for (const label of labels) {
      const before = new Set(await readdir(tokens));
      await makeToken(library, label, pinFile(folder, label));
      last = (await readdir(tokens)).find((name) => !before.has(name)) ?? '';
    }
  } finally {
    library.close();
  }
  const prefix = (index: number): string => (labels.length === 1 ? '' : `token${(index + 1).toString()}_`);
  const settings = [
    ['lib', parts.module],
    ['key_label', KEY_LABEL],
    // With one away the servers still write, and say that the seal is degraded.
    ...(labels.length === 1
      ? []
      : [
          ['threshold', '2'],
          ['encrypt_min', '2'],
        ]),
    ...labels.flatMap((label, index) => [
      [`${prefix(index)}token_label`, label],
      [`${prefix(index)}pin_file`, pinFile(folder, label)],
    ]),
  ];
  const lines = settings.map(([key = '', value]) => `  ${key} = ${JSON.stringify(value)}`);
  return {
    seal: [...(await parts.install(plugins)), '', 'seal "quorate-kms" {', ...lines, '}', ''].join('\n'),
    environment,
    several: labels.length > 1,
    takeAway: async () => {
      await rename(join(tokens, last), join(away, last));
      return labels.at(-1) ?? '';
    },
    putBack: () => rename(join(away, last), join(tokens, last)),
  };
}

async function makeToken(library: RemoteLibrary, label: string, file: string): Promise<void> {
  const free = (await library.tokens()).find(({ flags }) => !flags.initialised);
  if (free === undefined) throw new QuorateError('hsm-token-missing', 'SoftHSM has no free slot for another token');
  const digits = (): string => Array.from({ length: 12 }, () => randomInt(10).toString()).join('');
  const pin = digits();
  const pins = { so: Secret.fromText(digits()), user: Secret.fromText(pin) };
  try {
    const token = await library.initialiseToken(free, label, pins);
    await library.withSession(token, { write: true }, async (session) => {
      await session.login(pins.user);
      await session.generateAes({ label: KEY_LABEL, id: Uint8Array.of(1), bits: 256 });
    });
  } finally {
    pins.so.wipe();
    pins.user.wipe();
  }
  await writeExclusive(file, pin);
}

const pinFile = (folder: string, label: string): string => join(folder, `${label}.pin`);
