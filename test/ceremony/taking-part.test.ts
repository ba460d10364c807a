import { expect, it } from 'vitest';
import type { RecordEvent } from '../../src/ceremony/record/events.ts';
import type { Roster } from '../../src/ceremony/roster/schema.ts';
import { shownCustodians, unnamedCustodians } from '../../src/ceremony/taking-part.ts';

const SSH = `SHA256:${'a'.repeat(43)}`;
const PGP = 'A'.repeat(40);

function roster(cluster: string, holders: readonly string[], digit: string): Roster {
  return {
    cluster,
    generation: 1,
    threshold: 2,
    seal: 'shamir',
    shares: holders.map((holder, index) => ({
      holder,
      x: `0${(index + 1).toString()}`,
      fingerprint: { salt: digit.repeat(32), sha256: digit.repeat(63) + (index + 1).toString() },
      pgp: PGP,
      ssh: SSH,
      status: 'claimed',
    })),
  };
}

function accepted(who: string | undefined, fingerprint?: string): RecordEvent {
  return {
    event: 'share.accepted',
    x: '01',
    peer: 'vault-1',
    request: 'POST sys/unseal',
    expected: {},
    actual: {},
    ...(who === undefined ? {} : { who }),
    ...(fingerprint === undefined ? {} : { fingerprint: `sha256:${fingerprint}` }),
  };
}

const ours = roster('ours', ['Alice', 'Bo'], '1');
const other = roster('other', ['Alice'], '2');

it('names each custodian who gave a share once, with the keys beside that very share', () => {
  const lines: RecordEvent[] = [
    { event: 'participant', role: 'witness', name: 'Bo' },
    accepted('Alice', `${'1'.repeat(63)}1`),
    accepted('Alice', `${'1'.repeat(63)}1`),
    accepted('Bo', `${'1'.repeat(63)}2`),
    accepted(undefined),
  ];
  expect(unnamedCustodians(lines, [other, ours])).toEqual([
    { event: 'participant', role: 'custodian', name: 'Alice', pgp: PGP, ssh: SSH },
  ]);
});

it('takes no key from a roster that does not have that share', () => {
  expect(unnamedCustodians([accepted('Alice', '3'.repeat(64)), accepted('Zoë')], [ours])).toEqual([
    { event: 'participant', role: 'custodian', name: 'Alice' },
    { event: 'participant', role: 'custodian', name: 'Zoë' },
  ]);
});

it('names those who showed a share that went nowhere, unless the script did', () => {
  expect(
    shownCustodians([{ event: 'participant', role: 'custodian', name: 'Bo' }], ours, ['Bo', 'Alice', 'Alice', 'Eve']),
  ).toEqual([{ event: 'participant', role: 'custodian', name: 'Alice', pgp: PGP, ssh: SSH }]);
});
