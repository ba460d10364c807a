import { describe, expect, it } from 'vitest';
import { loadScript } from '../../../../src/ceremony/load.ts';
import { renderYaml } from '../../../../src/document.ts';
import { QuorateError } from '../../../../src/errors.ts';

const person = (name: string, digit: string) => ({
  name,
  pgp: { file: `${name}.asc`, fingerprint: digit.repeat(40) },
});

const SOUND = {
  'ceremony': 'init',
  'title': 'An init',
  'cluster': 'test',
  'shares': 3,
  'threshold': 2,
  'custodians': [person('Alice', 'A'), person('Bo', 'B'), person('Cleo', 'C')],
  'root-token': { pgp: person('Erin', 'E').pgp },
};

async function faultsOf(changes: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
  try {
    await loadScript(renderYaml({ ...SOUND, ...changes }), 'init.yaml');
    return [];
  } catch (error) {
    if (!(error instanceof QuorateError)) throw error;
    expect(error.code).toBe('document-invalid');
    return error.faults.map(({ message }) => message);
  }
}

describe('an init script', () => {
  it('is sound as it stands here', async () => {
    expect(await faultsOf({})).toEqual([]);
  });

  it.each([
    ['another number of shares than custodians', { shares: 4 }],
    ['a threshold over the number of shares', { threshold: 4 }],
    ['one of many', { threshold: 1 }],
    ['no share', { shares: 0 }],
    ['half a threshold', { threshold: 1.5 }],
    ['a name twice', { custodians: [person('Alice', 'A'), person('alice', 'B'), person('Cleo', 'C')] }],
    ['a key twice', { custodians: [person('Alice', 'A'), person('Bo', 'A'), person('Cleo', 'C')] }],
    ['a witness who holds a share', { witnesses: [{ name: 'Bo' }] }],
    ['an unknown step for people', { people: [{ before: 'dinner', say: 'All eat.' }] }],
    ['a short fingerprint', { 'root-token': { pgp: { file: 'e.asc', fingerprint: 'EEEEEEEE' } } }],
    ['no key for the root token', { 'root-token': undefined }],
    ['a custodian without a key', { custodians: [{ name: 'Alice' }, person('Bo', 'B'), person('Cleo', 'C')] }],
    ['keys, and shares in clear', { 'insecure-plain-shares': true }],
    ['a path that climbs', { 'first-writes': [{ path: 'sys/../raw/x' }] }],
    ['a path with a query', { 'first-writes': [{ path: 'sys/auth?x=1' }] }],
    ['a path that is absolute', { 'first-writes': [{ path: '/v1/sys/auth/approle' }] }],
    ['a login of an unknown method', { 'ceremony-login': { method: 'magic', policies: ['x'] } }],
    ['a login without policies', { 'ceremony-login': { method: 'userpass', username: 'erin', policies: [] } }],
    ['an unknown entry', { unlock: true }],
  ])('is refused for %s', async (_, changes) => {
    expect((await faultsOf(changes)).length).toBeGreaterThan(0);
  });

  it('tells all its faults at once', async () => {
    const faults = await faultsOf({
      shares: 4,
      threshold: 5,
      custodians: [person('Alice', 'A'), person('ALICE', 'A'), { name: 'Bo' }],
      people: [{ before: 'dinner', say: 'All eat.' }],
    });
    expect(faults).toHaveLength(6);
  });

  it('says what steps there are when it names another', async () => {
    const [fault] = await faultsOf({ people: [{ before: 'dinner', say: 'All eat.' }] });
    for (const step of ['initialise', 'prove', 'unseal', 'roster', 'writes', 'audit', 'way-back', 'revoke']) {
      expect(fault).toContain(step);
    }
  });
});
