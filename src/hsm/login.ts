import { isQuorateError, QuorateError } from '../errors.ts';
import type { RemoteLibrary } from '../pkcs11/remote.ts';
import type { Token } from '../pkcs11/token.ts';
import type { RemoteSession } from '../pkcs11/wire.ts';
import type { Secret } from '../secret.ts';

/** What stands between a PIN and the token, before any is tried. */
export interface PinState {
  /** Words for people, undefined when all is well. */
  readonly warning: string | undefined;
}

/**
 * Whether a PIN may be tried, by the token's own flags; to be asked before a person types one.
 * @throws QuorateError `pin-locked`, `pin-last-try` unless `lastTry`, `pin-unusable` when the token has no user PIN or
 *   takes it at the device alone, `hsm-token-uninitialised`.
 */
export function pinState({ label, flags }: Token, { lastTry }: { readonly lastTry: boolean }): PinState {
  if (!flags.initialised) {
    throw new QuorateError('hsm-token-uninitialised', 'this token is not initialised', {
      hint: 'quorate hsm init does that.',
    });
  }
  if (flags.userPinLocked) {
    throw new QuorateError('pin-locked', `the PIN of ${named(label)} is locked after too many wrong ones`, {
      hint: "Only the token's security officer can set a new one; the keys are not lost by that.",
    });
  }
  if (flags.protectedPath) {
    throw new QuorateError(
      'pin-unusable',
      `${named(label)} takes its PIN at the device, which quorate cannot ask for`,
      {
        hint: 'Log in with a PIN that the library takes, if the device offers one (Luna: a challenge secret).',
      },
    );
  }
  if (!flags.userPinSet) {
    throw new QuorateError('pin-unusable', `${named(label)} has no user PIN yet`, {
      hint: "Its security officer sets one, with the vendor's tool or quorate hsm init.",
    });
  }
  if (flags.userPinFinalTry) {
    if (lastTry) return { warning: `this is the last try: a wrong PIN locks ${named(label)}` };
    throw new QuorateError('pin-last-try', `one more wrong PIN locks ${named(label)}, and quorate does not try it`, {
      hint: 'Once you are sure of the PIN, give --last-try.',
    });
  }
  if (flags.userPinCountLow) return { warning: `wrong PINs were given to ${named(label)} since the last right one` };
  return { warning: undefined };
}

/**
 * Logs in, once: a wrong PIN is never tried again, and the error says how near the lock is by then.
 * @throws QuorateError as `pinState` and `Session.login`.
 */
export async function loginOnce(
  library: RemoteLibrary,
  session: RemoteSession,
  token: Token,
  pin: Secret,
  options: { readonly lastTry: boolean },
): Promise<void> {
  pinState(await library.refresh(token), options);
  try {
    await session.login(pin);
  } catch (error) {
    if (!isQuorateError(error, 'pin-wrong')) throw error;
    const { flags } = await library.refresh(token);
    throw new QuorateError('pin-wrong', error.message, { hint: `${nearness(flags)} Find the right PIN first.` });
  }
}

function nearness(flags: Token['flags']): string {
  if (flags.userPinLocked) return 'The PIN is locked now: only the security officer can set a new one.';
  if (flags.userPinFinalTry) return 'One more wrong PIN locks the token.';
  if (flags.userPinCountLow) return 'The token counts wrong PINs, and locks after a few; this one was counted.';
  return 'The token does not say how many more wrong PINs it takes.';
}

const named = (label: string): string => `token "${label}"`;
