import { fingerprintShare, parseShare, type Share } from '../../../src/ceremony/share.ts';
import type { Roster, RosterEntry } from '../../../src/ceremony/roster/schema.ts';
import { Secret } from '../../../src/secret.ts';

export const shareOf = (hex: string): Share => parseShare(Secret.fromText(hex));

/** A share of data that tells its number, with x = 16 + number. */
export const sampleText = (number: number, generation = 1): string =>
  `${`${generation.toString(16)}${number.toString(16)}`.repeat(32)}${(16 + number).toString(16)}`;

export const sample = (number: number, generation = 1): Share => shareOf(sampleText(number, generation));

const HOLDERS = ['Alice Example', 'Bo Example', 'Cleo Example', "Dan O'Example", 'Eve Example'];

export const entry = (number: number, generation = 1): RosterEntry => ({
  'holder': HOLDERS[number] ?? '',
  'x': (16 + number).toString(16),
  'fingerprint': fingerprintShare(sample(number, generation)),
  'pgp': number.toString(16).repeat(40),
  'status': 'proved',
  'proved-at': '2027-01-12T10:04:31.000Z',
});

export const sampleRoster = (): Roster => ({
  'cluster': 'prod-eu',
  'cluster-id': '84980d23-701a-821c-de95-1936219b6c55',
  'generation': 1,
  'threshold': 3,
  'seal': 'shamir',
  'shares': [0, 1, 2, 3, 4].map((number) => entry(number)),
});
