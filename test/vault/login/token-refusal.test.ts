import { describe, expect, it } from 'vitest';
import { readClaims } from '../../../src/vault/login/claims.ts';
import { timeRefusal } from '../../../src/vault/login/token-refusal.ts';
import { Secret } from '../subject.ts';

const NOW = 1_800_000_000_000;
const seen = { peer: 'vault-1', at: 'auth/jwt', early: false, now: NOW, skew: 0 };
const MINUTE = 60_000;

describe('a token that is refused for the time', () => {
  it('has expired when it has by this clock too', () => {
    const error = timeRefusal({ ...seen, claims: { expires: NOW - MINUTE, begins: NOW - 10 * MINUTE } });
    expect([error.code, error.message]).toEqual(['login-expired', 'the token for auth/jwt expired 60 s ago']);
    expect(timeRefusal({ ...seen, claims: undefined }).code).toBe('login-expired');
  });

  it('is a matter of clocks when by this one it has not, or has not begun', () => {
    const claims = { expires: NOW + MINUTE, begins: NOW - MINUTE };
    const behind = timeRefusal({ ...seen, claims, skew: 5 * MINUTE });
    expect(behind.code).toBe('login-clock');
    expect(behind.hint).toContain("The clock of vault-1 is 300 s ahead of this machine's");
    const early = timeRefusal({ ...seen, early: true, claims, skew: -5 * MINUTE });
    expect([early.code, early.hint?.includes('300 s behind')]).toEqual(['login-clock', true]);
    const issuer = timeRefusal({ ...seen, early: true, claims: { expires: undefined, begins: NOW + 2 * MINUTE } });
    expect(issuer.hint).toContain('whoever issued it is ahead');
  });
});

describe('the claims of a token', () => {
  const token = (payload: unknown): Secret =>
    Secret.fromText(`e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.x`);

  it('are shown where they are plain, and not else', () => {
    const claims = readClaims(
      token({ exp: 5, iat: 1, nbf: 2, aud: ['one'], ref: 'refs/heads/main', evil: '\u001b[2J', list: ['a', 'b'] }),
    );
    expect([claims?.expires, claims?.begins]).toEqual([5000, 2000]);
    const shown = ['aud', 'ref', 'evil', 'list', 'none', 'constructor'].map((name) => claims?.show(name));
    expect(shown).toEqual(['one', 'refs/heads/main', undefined, undefined, undefined, undefined]);
  });

  it.each(['', 'a.b', 'a.b.c', 'a.bnVsbA.c', 'a.W10.c'])('are none in %j', (text) => {
    expect(readClaims(Secret.fromText(text))).toBeUndefined();
  });
});
