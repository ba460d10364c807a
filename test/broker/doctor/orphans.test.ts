import { describe, expect, it } from 'vitest';
import { namePattern, orphansAmong } from '../../../src/broker/doctor/orphans.ts';
import { usernameTemplate } from '../../../src/broker/setup/templates.ts';

const connection = { name: 'app.one'.replace('.', '-'), admin: 'a', host: 'h', database: 'd' } as const;
const common = { ...connection, 'tls': 'disable', 'admin-password-file': 'f' } as const;

describe('the names of a connection', () => {
  it("are those of the setup's own templates, and no others", () => {
    const pg = namePattern(usernameTemplate({ ...common, engine: 'postgresql' }), 'postgresql')?.regexp;
    expect(pg?.exec('app-one-app-read-abcdefghij12-1795412520')?.groups?.['time']).toBe('1795412520');
    for (const other of [
      'app-two-app-read-abcdefghij12-1795412520',
      'app-one-app-read-abcdefghij12-now',
      'xapp-one-app-read-abcdefghij12-1795412520',
      'app-one-app-read-abcdefghij12-1795412520x',
      'app-one',
    ]) {
      expect(pg?.test(other), other).toBe(false);
    }
    const my = namePattern(usernameTemplate({ ...common, engine: 'mariadb' }), 'mysql')?.regexp;
    expect(my?.test('app-one-5r8tex69ap-1795412525')).toBe(true);
    expect(my?.test('app-one-5r8tex69a-1795412525')).toBe(false);
  });

  it("are the plugin's own without a template, where those tell when a user was made", () => {
    const pattern = namePattern(undefined, 'postgresql')?.regexp;
    expect(pattern?.test('v-token-app-read-0123456789abcdefghij-1795412520')).toBe(true);
    expect(pattern?.test('quorate_admin')).toBe(false);
    expect(namePattern(undefined, 'mysql')).toBeUndefined();
  });

  it.each([
    '{{printf "%s-%s" "app" (random 10)}}',
    '{{printf "%s-%s" (unix_time) (unix_time)}}',
    '{{printf "%d" (unix_time)}}',
    '{{printf "%s-%s" (.RoleName | sha256) (unix_time)}}',
    '{{printf "%s" "a" (unix_time)}}',
    'app-{{unix_time}}',
    '{{printf "%s-%s" "x" (unix_time)}}{{random 20}}',
  ])('are not guessed at from %s', (template) => {
    expect(namePattern(template, 'postgresql')).toBeUndefined();
  });

  it('are taken as text, not as an expression', () => {
    const pattern = namePattern('{{printf "a.*%s(%s" "x+" (unix_time)}}', 'postgresql')?.regexp;
    expect(pattern?.test('a.*x+(1795412520')).toBe(true);
    expect(pattern?.test('aQQxx(1795412520')).toBe(false);
  });
});

describe('orphans', () => {
  const user = (made: number) => ({ name: made.toString(), made, hasSession: false, canLogIn: true });
  const leases = [{ issued: new Date(1_000_002_000).toISOString() }];

  it('are users around whose making no lease was issued, once they are old enough to have one', () => {
    const users = [1_000_000, 999_000, 1_000_030, 1_000_900, 999_900].map(user);
    const names = orphansAmong(users, leases, 1_001_000).map(({ made }) => made);
    // 1000000 has the lease; 1000900 is too young; 1000030 was made after that lease was.
    expect(names).toEqual([999_000, 1_000_030, 999_900]);
  });
});
