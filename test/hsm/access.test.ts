import { expect, it } from 'vitest';
import { may, userOf } from '../../src/hsm/access.ts';

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nopenbao:x:998:997::/:/bin/false\nopenbao2:x:1:1::/:/bin/false\n';
const GROUP = 'root:x:0:\nsofthsm:x:110:other,openbao\nx:x:111:openbao2\n';

it('finds a user with all its groups', () => {
  expect(userOf('openbao', PASSWD, GROUP)).toEqual({ name: 'openbao', uid: 998, gids: [997, 110] });
  expect(userOf('bao', PASSWD, GROUP)).toBeUndefined();
});

it.each([
  [0o600, 998, 0, true],
  [0o600, 0, 0, false],
  [0o640, 0, 110, true],
  [0o640, 0, 111, false],
  [0o604, 0, 0, true],
  // The owner's rights decide for the owner, as in the kernel.
  [0o077, 998, 110, false],
])('mode %i of %i:%i may be read: %s', (mode, uid, gid, expected) => {
  const user = { name: 'openbao', uid: 998, gids: [997, 110] };
  expect(may('read', { mode, uid, gid }, user)).toBe(expected);
});
