import { readBounded } from '../files.ts';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import type { Gpg } from '../programs/gpg.ts';
import type { IssuedShare, People, ShareProof } from '../ceremony/people.ts';
import { fingerprintShare, parseShare } from '../ceremony/share.ts';
import type { MadeUpCustodian } from './custodians.ts';

export interface MadeUpPeopleOptions {
  /** Everybody with a key: custodians, and whoever the root token is encrypted to. */
  readonly everybody: readonly MadeUpCustodian[];
  /** Who gives shares, in this order, and the files that hold theirs; nobody else does. */
  readonly givers: () => readonly { readonly name: string; readonly shareFile: string }[];
  readonly gpg: Gpg;
  readonly say: (line: string) => void;
  readonly progress: People['progress'];
  readonly signal: AbortSignal;
}

/** The people of a rehearsal: each decrypts with their own GnuPG home, and agrees to what they are asked. */
export function madeUpPeople(options: MadeUpPeopleOptions): People {
  const { gpg, signal } = options;
  let next = 0;

  const decrypt = async (name: string, message: Uint8Array): Promise<Secret> => {
    const person = options.everybody.find((one) => one.name === name);
    if (person === undefined) throw new QuorateError('bug', `nobody made up is called ${name}`);
    return gpg.decrypt(message, { home: person.gnupgHome, signal });
  };

  return {
    say: options.say,
    progress: options.progress,
    async nextShare() {
      const giver = options.givers()[next];
      next += 1;
      if (giver === undefined) return null;
      return { text: await decrypt(giver.name, await readBounded(giver.shareFile)), who: giver.name, how: 'gpg' };
    },
    refused: (error) => Promise.reject(error),
    async prove({ holder, ciphertext, single }: IssuedShare): Promise<ShareProof> {
      const text = await decrypt(holder, ciphertext);
      try {
        const share = parseShare(text, { single });
        try {
          return { x: share.x, ...fingerprintShare(share), how: 'decrypted with gpg' };
        } finally {
          share.bytes.wipe();
        }
      } finally {
        text.wipe();
      }
    },
    async decrypt(what, message, fingerprint) {
      const person = options.everybody.find((one) => one.fingerprint === fingerprint);
      if (person === undefined) throw new QuorateError('bug', `nobody made up can decrypt ${what}`);
      return gpg.decrypt(message, { home: person.gnupgHome, signal });
    },
    newPassword: () => Promise.resolve(Secret.fromText(MADE_UP_PASSWORD)),
    password: () => Promise.resolve(Secret.fromText(MADE_UP_PASSWORD)),
    act: ({ fields }) => Promise.resolve(Object.fromEntries(fields.map((field) => [field, 'rehearsed']))),
    acceptException: () => Promise.resolve(false),
    foreignProgress: () => Promise.resolve('reset'),
  };
}

/** Protects nothing: the cluster is thrown away. */
const MADE_UP_PASSWORD = 'a rehearsal only';
