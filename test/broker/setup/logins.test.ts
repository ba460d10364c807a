import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { loginResources } from '../../../src/broker/setup/login-resources.ts';
import { setupLogins } from '../../../src/broker/setup/logins.ts';
import { makeIssuer } from '../../support/issuer.ts';

const jwt = { name: 'ci', method: 'jwt', roles: ['read'], audience: 'https://vault.example' };
const claims = { repository: 'octo/app', ref: ['refs/heads/main'] };
const fits = (...logins: readonly object[]): boolean => v.is(setupLogins, logins);

describe('a login of a setup', () => {
  it('by signed tokens names whose jobs may log in', () => {
    expect(fits({ ...jwt, claims })).toBe(true);
    expect(fits({ ...jwt, claims: { sub: 'repo:octo/app:ref:refs/heads/main' } })).toBe(true);
    expect(fits({ ...jwt, claims: { project_path: 'octo/app', ref_protected: 'true' } })).toBe(true);
    expect(fits(jwt)).toBe(false);
    expect(fits({ ...jwt, claims: {} })).toBe(false);
    expect(fits({ ...jwt, claims: { repository: [] } })).toBe(false);
    // Jobs of every project in the world have these.
    expect(fits({ ...jwt, claims: { ref: 'refs/heads/main' } })).toBe(false);
    expect(fits({ ...jwt, claims: { ref: 'refs/heads/main', environment: 'production', event_name: 'push' } })).toBe(
      false,
    );
    expect(fits({ ...jwt, claims, audience: '' })).toBe(false);
  });

  it('takes patterns only where that is said, and none for everybody', () => {
    const sub = { sub: 'repo:octo/app:ref:refs/heads/*' };
    expect(fits({ ...jwt, claims: sub })).toBe(false);
    expect(fits({ ...jwt, claims: sub, match: 'glob' })).toBe(true);
    for (const all of ['*', '*/app', ['octo/app', '*']]) {
      expect(fits({ ...jwt, claims: { repository: all, ref: 'refs/heads/main' }, match: 'glob' })).toBe(false);
    }
  });

  it('agrees with others at its mount about whom to believe', () => {
    const issuer = 'https://token.actions.githubusercontent.com';
    const one = { ...jwt, claims, issuer };
    expect(fits(one, { ...one, name: 'deploy' })).toBe(true);
    expect(fits(one, one)).toBe(false);
    expect(fits(one, { ...one, name: 'deploy', issuer: 'https://gitlab.example' })).toBe(false);
    expect(fits(one, { ...one, name: 'deploy', mount: 'gitlab', issuer: 'https://gitlab.example' })).toBe(true);
    expect(fits(one, { name: 'x', method: 'approle', mount: 'jwt', roles: ['read'] })).toBe(false);
    expect(fits({ ...one, issuer: 'http://gitlab.example' })).toBe(false);
    expect(fits({ ...jwt, claims, 'public-keys': 'k.pem' })).toBe(false);
    expect(fits({ ...one, 'public-keys': 'k.pem', 'issuer-ca': 'ca.pem' })).toBe(false);
  });

  it('says all that decides whom to believe', () => {
    const issuer = 'https://gitlab.example';
    const [one, two] = [makeIssuer().publicKey, makeIssuer().publicKey];
    const resources = (more: object, files: ReadonlyMap<string, string> = new Map()) =>
      loginResources(v.parse(setupLogins, [{ ...jwt, claims, ...more }]), [], files);
    const trust = { bound_issuer: issuer, jwks_url: '' };
    expect(resources({ issuer })).toMatchObject([
      { path: 'sys/auth/jwt', kind: 'mount' },
      { path: 'auth/jwt/config', data: { ...trust, oidc_discovery_url: issuer, jwt_validation_pubkeys: [] } },
      { path: 'auth/jwt/role/ci', data: { bound_claims: claims, bound_claims_type: 'string' } },
    ]);
    const byKeys = resources({ issuer, 'public-keys': 'k' }, new Map([['k', `${one}\n# next year's\n${two}`]]));
    expect(byKeys[1]?.data).toMatchObject({
      ...trust,
      oidc_discovery_url: '',
      jwt_validation_pubkeys: [one.trim(), two.trim()],
    });
    expect(resources({})).toMatchObject([{ path: 'sys/auth/jwt', kind: 'foreign' }, { path: 'auth/jwt/role/ci' }]);
  });
});
