import { readlinkSync } from 'node:fs';
import { QuorateError } from '../errors.ts';
import { messageBytes } from '../openpgp/message.ts';
import { Secret } from '../secret.ts';
import type { Environment, RunProgram, RunResult } from './run.ts';

export interface GpgOptions {
  /** Another GnuPG home than the user's own. Its path must be short: its agent's socket is in it. */
  readonly home?: string;
  readonly signal?: AbortSignal;
}

/** A secret key as gpg has it. `card`: it is on this smart card, which is asked for when it is used. */
export interface SecretKey {
  /** Of the primary key: 40 upper-case hexadecimal digits. */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  readonly card?: string;
}

/** The parts of GnuPG (2.2 or later) that quorate uses, with the user's own agent, passphrase prompt and smart cards. */
export interface Gpg {
  /**
   * Decrypts a message (in any form that `messageBytes` takes), in memory only. It may take as long as a person
   * needs to find a card and type a PIN.
   * @throws QuorateError `share-undecryptable` (no such key here, wrong PIN, card missing, damaged, not protected
   *   against changes), `cancelled` (by the person or the signal), `program-missing`, `program-failed`.
   */
  decrypt(message: Uint8Array, options?: GpgOptions): Promise<Secret>;
  /** The secret key with this fingerprint (of it or of a subkey) that can decrypt, if it is at hand. Asks for no card. */
  secretKey(fingerprint: string, options?: GpgOptions): Promise<SecretKey | undefined>;
}

const PROGRAM = 'gpg';
const MAX_PLAINTEXT = 16 << 10;
const LIST_TIMEOUT = 60_000;
const STATUS = '[GNUPG:] ';

/** Codes of libgpg-error, the low 16 bits of what gpg reports. */
const GPG_ERROR = {
  badPassphrase: [11, 31, 87],
  noSecretKey: [17],
  cancelled: [99, 198, 114],
  timeout: [62],
  noPinentry: [85, 86],
  noAgent: [77, 78],
  card: [108, 109, 110, 111, 112, 119, 120, 123],
} as const;

/** gpg through `run`. */
export function gpg(run: RunProgram, env: Environment): Gpg {
  const common = (options: GpgOptions): Pick<Parameters<RunProgram>[0], 'program' | 'env' | 'signal'> => ({
    program: PROGRAM,
    // Its own standard input is not the terminal, so the agent must be told where to ask.
    env: env['GPG_TTY'] === undefined ? { GPG_TTY: terminal() } : {},
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const home = (options: GpgOptions): readonly string[] =>
    options.home === undefined ? [] : ['--homedir', options.home];

  return {
    async decrypt(message, options = {}) {
      const result = await run({
        ...common(options),
        // No --quiet: it would keep back why a key did not work. No --batch: it would forbid the questions for a card. The plaintext goes to our memory, never to a file.
        args: [...home(options), '--no-tty', '--status-fd', '2', '--output', '-', '--decrypt'],
        stdin: messageBytes(message),
        limit: MAX_PLAINTEXT,
        statuses: 'any',
      });
      try {
        const status = statusLines(result);
        if (result.status !== 0 || !status.some(([word]) => word === 'DECRYPTION_OKAY')) throw failure(status);
        return new Secret(result.stdout);
      } finally {
        result.stdout.fill(0);
      }
    },

    async secretKey(fingerprint, options = {}) {
      if (!/^[0-9A-Fa-f]{40}(?:[0-9A-Fa-f]{24})?$/.test(fingerprint))
        throw new QuorateError('usage', 'a key is named by its full fingerprint');
      const { status, stdout } = await run({
        ...common(options),
        args: [...home(options), '--batch', '--with-colons', '--list-secret-keys', fingerprint],
        statuses: 'any',
        timeout: LIST_TIMEOUT,
      });
      return status === 0 ? parseSecretKey(new TextDecoder().decode(stdout)) : undefined;
    },
  };
}

/** The terminal of this process, which gpg's agent asks on; undefined without one. */
function terminal(): string | undefined {
  for (const descriptor of [0, 2, 1]) {
    try {
      const path = readlinkSync(`/proc/self/fd/${descriptor.toString()}`);
      if (/^\/dev\/(?:pts\/[0-9]+|tty[A-Za-z0-9]*)$/.test(path)) return path;
    } catch {
      // Not Linux, or closed: another one may do.
    }
  }
  return undefined;
}

type StatusLine = readonly [word: string, ...rest: string[]];

/** gpg's lines for programs (doc/DETAILS in its source); the ones for people are in the user's language. */
function statusLines({ stderr }: RunResult): readonly StatusLine[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith(STATUS))
    .map((line) => {
      const [word = '', ...rest] = line.slice(STATUS.length).split(' ');
      return [word, ...rest];
    });
}

function failure(status: readonly StatusLine[]): QuorateError {
  const has = (word: string): boolean => status.some(([first]) => first === word);
  const codes = status
    .filter(([word]) => word === 'ERROR' || word === 'FAILURE')
    .map((line) => Number(line.at(-1)) & 0xffff);
  const is = (kind: keyof typeof GPG_ERROR): boolean =>
    codes.some((code) => (GPG_ERROR[kind] as readonly number[]).includes(code));
  const undecryptable = (message: string, hint: string): QuorateError =>
    new QuorateError('share-undecryptable', message, { hint });

  if (is('cancelled')) return new QuorateError('cancelled', 'the passphrase or PIN was not given');
  if (is('badPassphrase'))
    return undecryptable(
      'the passphrase or PIN was wrong',
      'A card locks after a few wrong PINs: `gpg --card-status` tells how many are left.',
    );
  if (is('noPinentry'))
    return undecryptable(
      'gpg could not ask for the passphrase',
      'Install a pinentry for this terminal, and set `GPG_TTY=$(tty)`.',
    );
  if (is('card'))
    return undecryptable(
      'the smart card could not be used',
      'Put in the card that `gpg --card-status` should show, and try again.',
    );
  if (is('timeout')) return undecryptable('nobody gave the passphrase in time', 'Try again.');
  if (is('noAgent'))
    return undecryptable('gpg-agent could not be started', 'Is the path of the GnuPG home too long, or not yours?');
  if (is('noSecretKey') || has('NO_SECKEY'))
    return undecryptable(
      'the secret key for this message is not here',
      'Put in the card it is on, name its GnuPG home, or take the file that bears your own name.',
    );
  // It comes once the session key is known: then the key was right.
  if (has('BADMDC') || has('DECRYPTION_INFO'))
    return undecryptable('the message is damaged, or was changed', 'Take the copy that the ceremony wrote.');
  return undecryptable(
    'gpg did not decrypt the message',
    'Try `gpg --decrypt FILE > /dev/null` by hand to see what it says.',
  );
}

/** Colon listing (doc/DETAILS): field 15 of `sec` and `ssb` is `+`, a card's serial number, or `#` when it is not here. */
function parseSecretKey(listing: string): SecretKey | undefined {
  const rows = listing.split('\n').map((line) => line.split(':'));
  const primary = rows.findIndex(([kind]) => kind === 'sec');
  const fingerprint = rows.slice(primary).find(([kind]) => kind === 'fpr')?.[9];
  if (primary < 0 || fingerprint === undefined) return undefined;
  const decrypting = rows.filter(
    ([kind, ...rest]) => (kind === 'sec' || kind === 'ssb') && (rest[10] ?? '').includes('e') && rest[13] !== '#',
  );
  const [first] = decrypting;
  if (first === undefined) return undefined;
  const place = first[14] ?? '';
  return {
    fingerprint,
    userIds: rows.filter(([kind]) => kind === 'uid').map((row) => unescapeColons(row[9] ?? '')),
    ...(place === '+' || place === '' ? {} : { card: place }),
  };
}

function unescapeColons(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
