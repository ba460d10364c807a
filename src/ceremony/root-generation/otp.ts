import { randomInt } from 'node:crypto';
import { QuorateError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import type { Flavour } from '../../vault/flavour.ts';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * How root tokens look: 26 characters on OpenBao 2.7.2, with `.` and the namespace's id behind in a namespace, and 28 on
 * Vault 1.14.0. The OTP is as long.
 */
const SHAPES: Readonly<Record<Flavour, RegExp>> = {
  openbao: /^s\.[A-Za-z0-9]{24}(\.[A-Za-z0-9]{1,16})?$/,
  vault: /^hvs\.[A-Za-z0-9]{24}$/,
};

/**
 * A one-time pad for an encoded root token, of as many letters and digits as the server names. It is ours and never
 * leaves this machine but for the start of the attempt, so that only this process can read the token. The caller wipes it.
 */
export function makeOtp(length: number): Secret {
  if (!Number.isInteger(length) || length < 20 || length > 256) {
    throw new QuorateError('server-response', 'the server names no sensible length for the one-time pad');
  }
  const bytes = new Uint8Array(length);
  try {
    for (let index = 0; index < length; index += 1) bytes[index] = LETTERS.charCodeAt(randomInt(LETTERS.length));
    return new Secret(bytes);
  } finally {
    bytes.fill(0);
  }
}

/**
 * The root token out of the server's answer: unpadded base64 of token XOR pad. Decoded here and not by
 * `sys/decode-token`, which answers garbage for a wrong pad (OpenBao 2.7.2). The caller wipes it.
 * @throws QuorateError `server-response` when it is not of the shape that this flavour's root tokens have.
 */
export function decodeToken(encoded: string, otp: Secret, flavour: Flavour): Secret {
  const bytes = new Uint8Array(Buffer.from(encoded, 'base64'));
  try {
    otp.expose((pad) => {
      if (pad.length !== bytes.length) throw notAToken();
      for (const [index, byte] of pad.entries()) bytes[index] = (bytes[index] ?? 0) ^ byte;
    });
    if (!SHAPES[flavour].test(String.fromCharCode(...bytes))) throw notAToken();
    return new Secret(bytes);
  } finally {
    bytes.fill(0);
  }
}

function notAToken(): QuorateError {
  return new QuorateError('server-response', 'what the server answered does not decode to a root token', {
    hint: 'A root token was made that nobody can read: it is found by its accessor, and revoked.',
  });
}
