import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets that exist nowhere else, so that finding any part of one is a leak. */
export interface Canaries {
  readonly share: string;
  readonly token: string;
  readonly password: string;
  readonly secretId: string;
  readonly pin: string;
}

const word = (length: number): string => randomBytes(length).toString('base64url').slice(0, length);

export function makeCanaries(): Canaries {
  return {
    // x is 7f, never 0.
    share: `${randomBytes(32).toString('hex')}7f`,
    token: `hvs.${word(24)}`,
    password: word(20),
    secretId: `${randomBytes(8).toString('hex')}-${randomBytes(8).toString('hex')}`,
    pin: word(12),
  };
}

const PIECE = 12;

/** What a text must not contain: every 12 characters of each secret, as it is, in hexadecimal and in base64. */
export function needlesOf(canaries: Canaries): ReadonlySet<string> {
  const needles = new Set<string>();
  for (const [kind, secret] of Object.entries(canaries) as [string, string][]) {
    const bytes = kind === 'share' ? Buffer.from(secret, 'hex') : Buffer.from(secret);
    // The base64 of a piece depends on where it begins.
    const forms = [
      secret,
      secret.toUpperCase(),
      bytes.toString('hex'),
      ...[0, 1, 2].map((from) => bytes.subarray(from).toString('base64')),
    ];
    for (const form of forms) {
      for (let at = 0; at + PIECE <= form.length; at += 1) needles.add(form.slice(at, at + PIECE));
    }
  }
  return needles;
}

/** The first piece of a secret in `text`, by where it is found; undefined when there is none. */
export function findLeak(text: string, needles: ReadonlySet<string>): string | undefined {
  for (let at = 0; at + PIECE <= text.length; at += 1) {
    if (needles.has(text.slice(at, at + PIECE))) return text.slice(Math.max(0, at - 40), at + PIECE + 20);
  }
  return undefined;
}

/** The files below `folder` that hold a piece of a secret, but for those that were planted. */
export function leakyFiles(folder: string, needles: ReadonlySet<string>, planted: ReadonlySet<string>): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => !planted.has(name) && statSync(join(folder, name)).isFile())
    .filter((name) => findLeak(readFileSync(join(folder, name), 'latin1'), needles) !== undefined);
}

/** Watches the arguments of all processes until `stop`, which says what was found. */
export function watchArguments(needles: ReadonlySet<string>): { stop(): string | undefined } {
  let found: string | undefined;
  const look = (): void => {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        found ??= findLeak(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), needles);
      } catch {
        // It has ended.
      }
    }
  };
  const timer = setInterval(look, 15);
  return {
    stop() {
      clearInterval(timer);
      return found;
    },
  };
}
