import type { PKCS11 } from 'pkcs11js';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { calling } from './failure.ts';
import type { Pkcs11Library } from './library.ts';
import type { Token } from './token.ts';

const RW_SERIAL = 0x2 | 0x4;
const SO = 0;
const LABEL_BYTES = 32;

/** See `Pkcs11Library.initialiseToken`. */
export function initialiseToken(
  library: Pkcs11Library,
  module: PKCS11,
  token: Token,
  label: string,
  pins: { readonly so: Secret; readonly user: Secret },
): Token {
  const bytes = new TextEncoder().encode(label).length;
  if (bytes === 0 || bytes > LABEL_BYTES) {
    throw new QuorateError('usage', `a token's label has 1 to ${LABEL_BYTES.toString()} bytes`);
  }
  const before = library.tokens();
  // The label is 32 bytes padded with blanks, without an end (PKCS#11 2.40, C_InitToken).
  calling('C_InitToken', () =>
    module.C_InitToken(token.handle, pins.so.exposeText(), label + ' '.repeat(LABEL_BYTES - bytes)),
  );
  const made = findMade(library, before, token, label);
  const session = calling('C_OpenSession', () => module.C_OpenSession(made.handle, RW_SERIAL));
  try {
    calling('C_Login', () => {
      module.C_Login(session, SO, pins.so.exposeText());
    });
    calling('C_InitPIN', () => {
      module.C_InitPIN(session, pins.user.exposeText());
    });
    calling('C_Logout', () => {
      module.C_Logout(session);
    });
  } finally {
    calling('C_CloseSession', () => {
      module.C_CloseSession(session);
    });
  }
  // SoftHSM 2.6.1 gives the token another slot the next time that it starts: this is the one that others will see.
  const { serial } = library.refresh(made);
  library.reinitialise();
  return library.findToken({ label, ...(serial === '' ? {} : { serial }) });
}

/** The initialised token: in the slot it was in, or in one that it moved to (SoftHSM gives it a new number). */
function findMade(library: Pkcs11Library, before: readonly Token[], token: Token, label: string): Token {
  const look = (): Token[] => library.tokens().filter((one) => one.flags.initialised && one.label === label);
  const same = look().find((one) => one.slot === token.slot);
  if (same !== undefined) return same;
  library.reinitialise();
  const known = new Set(before.filter(({ flags }) => flags.initialised).map(({ serial }) => serial));
  const [made, ...others] = look().filter((one) => one.slot === token.slot || !known.has(one.serial));
  if (made === undefined) {
    throw new QuorateError('hsm-token-missing', `the token was initialised as "${label}", and is not to be found`, {
      hint: 'quorate hsm tokens lists what the library sees now.',
    });
  }
  if (others.length > 0) {
    throw new QuorateError('hsm-token-ambiguous', `more than one new token has the label "${label}"`);
  }
  return made;
}
