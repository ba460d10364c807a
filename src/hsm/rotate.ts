import type { TokenSettings } from '../kms/settings.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { ExamineTools } from './examine-token.ts';
import { findKey } from './find-key.ts';
import type { JudgedKey } from './judgement.ts';
import { generateKey } from './keygen.ts';
import { loginOnce } from './login.ts';
import type { NeededKey } from './needed-keys.ts';
import { tryKey } from './trial.ts';

/** A token with the key that its seal uses, and the one that it will use. */
export interface PreparedToken {
  readonly token: string;
  readonly old: JudgedKey;
  readonly made: JudgedKey;
  /** Whether an earlier run had made it. */
  readonly wasThere: boolean;
}

const ROUNDS = 3;

/**
 * Makes the next key of a seal on one of its tokens, of the same kind as the one in use, and tries it. The old key is not
 * touched. Where a fit key of that label and kind is there already, it is tried and taken: the run before was cut short.
 * @throws QuorateError `hsm-key-exists` when the label is that of another kind of key, `usage` when it is the old one's,
 *   and as `loginOnce`, `findKey`, `generateKey` and `tryKey`.
 */
export async function prepareNextKey(
  settings: TokenSettings,
  label: string,
  tools: Pick<ExamineTools, 'pkcs11' | 'readPin'>,
): Promise<PreparedToken> {
  const { keyLabel, keyId, oaepHash } = settings;
  const library = await tools.pkcs11.open(settings.lib);
  const pin = tools.readPin(settings.pin);
  try {
    const token = await library.findToken({
      ...(settings.label === undefined ? {} : { label: settings.label }),
      ...(settings.slot === undefined ? {} : { slot: settings.slot }),
      ...(settings.serial === undefined ? {} : { serial: settings.serial }),
    });
    return await library.withSession(token, { write: true }, async (session) => {
      await loginOnce(library, session, token, pin, { lastTry: false });
      const old = await findKey(session, {
        ...(keyLabel === undefined ? {} : { label: keyLabel }),
        ...(keyId === undefined ? {} : { id: keyId }),
      });
      if (old.label === label) throw new QuorateError('usage', 'this is the label of the key that is in use');
      const there = await findKey(session, { label }).catch((error: unknown) => {
        if (isQuorateError(error, 'hsm-key-missing')) return undefined;
        throw error;
      });
      if (there !== undefined && there.type !== old.type) {
        throw new QuorateError('hsm-key-exists', `"${label}" is an ${there.type} key, and the seal's is ${old.type}`, {
          hint: 'Choose another label.',
        });
      }
      const type = old.key.type === 'RSA' ? 'rsa' : 'aes';
      const made = there ?? (await generateKey(session, { type, bits: old.key.bits ?? 256, label }));
      await tryKey(library, session, token, made, { rounds: ROUNDS, oaepHash });
      return { token: settings.name, old, made, wasThere: there !== undefined };
    });
  } finally {
    pin.wipe();
    library.close();
  }
}

/** Whether a key that a blob needs is the one that the seal's configuration names for its token. */
export function isConfigured(needed: NeededKey, tokens: readonly TokenSettings[]): boolean {
  return tokens.some(
    ({ name, keyLabel, keyId }) =>
      name === needed.token &&
      (keyLabel === undefined || keyLabel === needed.key) &&
      (keyId === undefined || keyId === needed.id),
  );
}
