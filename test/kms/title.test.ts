import { expect, it } from 'vitest';
import { stateIn, titleOf } from '../../src/kms/title.ts';

const PROGRAM = '/etc/openbao/plugins/quorate-kms';

it('says which tokens are missing, and is read back', () => {
  for (const state of [
    { missing: [], away: [] },
    { missing: ['hsm-c/seal'], away: [] },
    { missing: ['hsm-a/seal', 'hsm-c/seal'], away: ['hsm-c/seal'] },
  ]) {
    expect(stateIn(`${titleOf(PROGRAM, state)}\0\0`, PROGRAM)).toEqual(state);
  }
  expect(titleOf(PROGRAM, { missing: ['hsm-c/seal'], away: [] })).toBe(
    `quorate-kms ${PROGRAM}: degraded, stored without hsm-c/seal`,
  );
});

it('is not read from another program, nor steers a terminal', () => {
  expect(stateIn(titleOf(PROGRAM, { missing: [], away: [] }), '/other/quorate-kms')).toBeUndefined();
  expect(stateIn(`/usr/bin/node\0${PROGRAM}\0`, PROGRAM)).toBeUndefined();
  expect(titleOf(PROGRAM, { missing: ['a\u001b[2J'], away: [] })).not.toMatch(/\p{C}/u);
});
