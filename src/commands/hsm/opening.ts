import { resolve } from 'node:path';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { readSecretDescriptor, readSecretFile } from '../../files.ts';
import { loginOnce, pinState } from '../../hsm/login.ts';
import type { RemoteLibrary } from '../../pkcs11/remote.ts';
import type { Token, TokenChoice } from '../../pkcs11/token.ts';
import type { RemoteSession } from '../../pkcs11/wire.ts';
import type { Secret } from '../../secret.ts';
import { readCredential } from './credential.ts';
import type { PinValues } from './pin-options.ts';

export const moduleOptions = {
  module: { value: 'FILE', description: 'the PKCS#11 library of the HSM (default: QUORATE_PKCS11_MODULE)' },
  timeout: { value: 'SECONDS', description: 'give up on a library that does not answer (default: 60)' },
} as const;

export const tokenOptions = {
  ...moduleOptions,
  token: { value: 'LABEL', description: 'the token, by its label; not needed where there is only one' },
  serial: { value: 'SERIAL', description: 'the token, by its serial number' },
  slot: { value: 'N', description: 'the token, by the number of its slot: 5 or 0x5' },
} as const;

/** What a share, a token or a password in the wrong place looks like, and no label or path does. */
const SECRET_LIKE = /^(?:[0-9a-f]{48,}|[A-Za-z0-9+/]{43}=?|(?:hv[sbr]|[sbr])\.[\w-]{16,})$/i;

/** Refuses, without repeating it, what must be a secret that was given in the wrong place. @throws QuorateError `usage`. */
export function plainWord(option: string, text: string): string {
  if (!SECRET_LIKE.test(text)) return text;
  throw new QuorateError('usage', `${option}: this looks like a share or a token, and is not shown`, {
    hint: 'If it is one, consider it known: it is in the history of your shell now.',
  });
}

interface ModuleValues {
  readonly module?: string;
  readonly timeout?: string;
}

interface TokenValues extends ModuleValues {
  readonly token?: string;
  readonly serial?: string;
  readonly slot?: string;
}

/** Opens the library that the options or the environment name. @throws QuorateError `usage`, and as `Pkcs11.open`. */
export async function openModule(context: Context, values: ModuleValues): Promise<RemoteLibrary> {
  const named = plainWord('--module', values.module ?? context.env['QUORATE_PKCS11_MODULE'] ?? '');
  if (named === '') {
    const { librariesHere } = await import('../../hsm/places.ts');
    const { existsSync } = await import('node:fs');
    const [found] = librariesHere(existsSync);
    throw new QuorateError('usage', 'no PKCS#11 library is named', {
      hint:
        found === undefined
          ? 'Give --module FILE, or set QUORATE_PKCS11_MODULE; quorate found none in the usual places.'
          : `Give --module FILE, or set QUORATE_PKCS11_MODULE; here is ${found.path} (${found.vendor}).`,
    });
  }
  const timeout = values.timeout ?? '60';
  if (!/^[1-9]\d{0,3}$/.test(timeout)) throw new QuorateError('usage', '--timeout takes a number of seconds');
  const pkcs11 = await context.pkcs11();
  return pkcs11.open(named.includes('/') ? resolve(context.cwd, named) : named, { timeout: Number(timeout) * 1000 });
}

/** The token that the options name. @throws QuorateError `usage`. */
export async function tokenChoice(context: Context, values: TokenValues): Promise<TokenChoice> {
  const label = values.token === undefined ? undefined : plainWord('--token', values.token);
  const serial = values.serial === undefined ? undefined : plainWord('--serial', values.serial);
  const slot = values.slot === undefined ? undefined : (await context.pkcs11()).parseSlot(values.slot);
  if (slot === undefined && values.slot !== undefined) {
    throw new QuorateError('usage', '--slot takes a number: 5 or 0x5');
  }
  return {
    ...(label === undefined ? {} : { label }),
    ...(serial === undefined ? {} : { serial }),
    ...(slot === undefined ? {} : { slot }),
  };
}

/** Opens library and token. */
export async function openToken(
  context: Context,
  values: TokenValues,
): Promise<{ readonly library: RemoteLibrary; readonly token: Token }> {
  const choice = await tokenChoice(context, values);
  const library = await openModule(context, values);
  return { library, token: await library.findToken(choice) };
}

/**
 * The user's PIN: from the one source that the options name, else asked for. The caller wipes it.
 * @throws QuorateError `usage`, `terminal-needed`, and as the files of secrets are read.
 */
export async function readPin(context: Context, values: PinValues, question: string): Promise<Secret> {
  const { 'pin-file': file, 'pin-fd': descriptor, 'pin-credential': credential } = values;
  if ([file, descriptor, credential].filter((one) => one !== undefined).length > 1) {
    throw new QuorateError('usage', 'give one of --pin-file, --pin-fd and --pin-credential');
  }
  const pin = await read();
  if (pin.length > 0) return pin;
  throw new QuorateError('pin-unusable', 'the PIN is empty', { hint: 'Nothing was tried on the token.' });

  function read(): Promise<Secret> {
    if (file !== undefined) return readSecretFile(resolve(context.cwd, file));
    if (credential !== undefined) return readCredential(context.env, credential);
    if (descriptor === undefined) return context.prompts.secret(question, { instead: '--pin-file FILE' });
    if (!/^\d{1,4}$/.test(descriptor)) throw new QuorateError('usage', '--pin-fd takes the number of a descriptor');
    return readSecretDescriptor(Number(descriptor));
  }
}

/**
 * Opens a session, logged in, for `use`. The token's flags are looked at, with a loud warning, before a PIN is asked for.
 * @throws QuorateError as `pinState`, `readPin` and `loginOnce`.
 */
export async function withLogin<T>(
  context: Context,
  values: TokenValues & PinValues,
  options: { readonly write?: boolean },
  use: (session: RemoteSession, library: RemoteLibrary, token: Token) => Promise<T>,
): Promise<T> {
  const { library, token } = await openToken(context, values);
  const lastTry = values['last-try'] === true;
  const { warning } = pinState(token, { lastTry });
  if (warning !== undefined) context.output.warn(warning);
  const pin = await readPin(context, values, `PIN of token "${token.label}"`);
  try {
    return await library.withSession(token, options, async (session) => {
      await loginOnce(library, session, token, pin, { lastTry });
      pin.wipe();
      return await use(session, library, token);
    });
  } finally {
    pin.wipe();
  }
}
