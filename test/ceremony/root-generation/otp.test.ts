import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeToken, makeOtp } from '../../../src/ceremony/root-generation/otp.ts';
import type { Secret } from '../../../src/secret.ts';
import { codeOf } from '../../support/errors.ts';

const encode = (token: string, otp: Secret): string =>
  otp.expose((pad) =>
    Buffer.from(Buffer.from(token).map((byte, index) => byte ^ (pad[index] ?? 0)))
      .toString('base64')
      .replace(/=+$/, ''),
  );

const letters = fc.string({ unit: fc.constantFrom(...'ABCXYZabcxyz0189'), minLength: 24, maxLength: 24 });

describe('a one-time pad', () => {
  it('decodes what the server made with it, of either flavour', () => {
    fc.assert(
      fc.property(letters, fc.constantFrom('openbao' as const, 'vault' as const), (rest, flavour) => {
        const token = `${flavour === 'openbao' ? 's.' : 'hvs.'}${rest}`;
        const otp = makeOtp(token.length);
        expect(decodeToken(encode(token, otp), otp, flavour).exposeText()).toBe(token);
      }),
    );
  });

  it('refuses what is no root token of that flavour: another pad, another length, another flavour', async () => {
    const token = `s.${'a'.repeat(24)}`;
    const otp = makeOtp(26);
    const encoded = encode(token, otp);
    expect(await codeOf(() => decodeToken(encoded, makeOtp(26), 'openbao'))).toBe('server-response');
    expect(await codeOf(() => decodeToken(encoded, makeOtp(28), 'openbao'))).toBe('server-response');
    expect(await codeOf(() => decodeToken(encoded, otp, 'vault'))).toBe('server-response');
    expect(await codeOf(() => decodeToken('', otp, 'openbao'))).toBe('server-response');
  });

  it('is new each time, of letters and digits, and of a sensible length', async () => {
    expect(makeOtp(26).exposeText()).toMatch(/^[A-Za-z0-9]{26}$/);
    expect(makeOtp(26).equals(makeOtp(26))).toBe(false);
    for (const length of [0, 4, 1e6, Number.NaN]) expect(await codeOf(() => makeOtp(length))).toBe('server-response');
  });
});
