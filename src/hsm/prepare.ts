import { QuorateError } from '../errors.ts';
import type { RemoteLibrary } from '../pkcs11/remote.ts';
import type { Token, TokenChoice } from '../pkcs11/token.ts';

export interface InitOrder {
  /** The label that the token is to get. */
  readonly label: string;
  /** Whether an initialised token may be meant. */
  readonly erase: boolean;
}

/**
 * The token that is to be initialised; without any choice the first that never was. Nothing on it is changed.
 * @returns also what is seen on it before a login, in words: private objects do not show.
 * @throws QuorateError `hsm-token-in-use` when it is initialised and `erase` was not said, or another token has the
 *   label; `hsm-token-missing`, `hsm-token-ambiguous`.
 */
export async function prepareToken(
  library: RemoteLibrary,
  choice: TokenChoice,
  { label, erase }: InitOrder,
): Promise<{ readonly token: Token; readonly objects: string }> {
  const tokens = await library.tokens();
  const token =
    Object.keys(choice).length > 0 ? await library.findToken(choice) : tokens.find(({ flags }) => !flags.initialised);
  if (token === undefined) {
    throw new QuorateError('hsm-token-missing', 'every token that the library sees is initialised already', {
      hint: 'To erase one of them, name it with --token LABEL and give --erase.',
    });
  }
  if (tokens.some((one) => one.slot !== token.slot && one.label === label)) {
    throw new QuorateError('hsm-token-in-use', `another token has the label "${label}"`, {
      hint: 'Two tokens under one label make it chance which one a server uses.',
    });
  }
  if (!token.flags.initialised) return { token, objects: 'nothing' };
  if (!erase) {
    throw new QuorateError('hsm-token-in-use', `token "${token.label}" is initialised already`, {
      hint: 'Initialising it again would destroy its keys. If that is meant, give --erase.',
    });
  }
  if (token.flags.soPinLocked) {
    throw new QuorateError('pin-locked', `the security officer's PIN of token "${token.label}" is locked`, {
      hint: "Only the vendor's own reset gets this token back, without its keys.",
    });
  }
  if (token.flags.soPinFinalTry) {
    throw new QuorateError('pin-last-try', `one more wrong PIN locks the security officer of token "${token.label}"`, {
      hint: "quorate does not try it. Use the vendor's tool once you are sure of the PIN.",
    });
  }
  const count = await library.withSession(token, {}, (session) => session.countObjects());
  return { token, objects: `${count.toString()} public objects; private ones do not show without its PIN` };
}
