import { describe, expect, it } from 'vitest';
import { nodeLogin } from '../src/wallet-config.ts';

const role = { 'method': 'approle', 'ttl': '10m', 'secret-id-uses': 1, 'secret-id-ttl': '24h' } as const;

describe('nodeLogin', () => {
  it('is by the method, under the names that it has where nothing else is said', () => {
    expect(nodeLogin('treasury', 'north', { role })).toEqual({
      method: 'approle',
      mount: 'approle',
      role: 'treasury-north',
    });
  });

  it('takes mount and role from the role, then from the auth', () => {
    const auth = { method: 'jwt', mount: 'gitlab', role: 'nodes' };
    expect(nodeLogin('treasury', 'north', { auth })).toEqual(auth);
    const given = { method: 'jwt', mount: 'github', ttl: '10m', audience: 'a', subject: 's' } as const;
    const whole = { ...given, 'user-claim': 'sub', 'claims': {} } as const;
    expect(nodeLogin('treasury', 'north', { auth, role: whole })).toEqual({ ...auth, mount: 'github' });
    expect(nodeLogin('treasury', 'north', { auth, role: { ...whole, name: 'one' } })?.role).toBe('one');
  });

  it('takes nothing from an auth of another method', () => {
    const auth = { method: 'cert', mount: 'certificates', role: 'nodes' };
    expect(nodeLogin('treasury', 'north', { auth, role })?.mount).toBe('approle');
    expect(nodeLogin('treasury', 'north', { auth, role })?.role).toBe('treasury-north');
  });

  it('is unknown without either', () => {
    expect(nodeLogin('treasury', 'north', {})).toBeUndefined();
  });
});
