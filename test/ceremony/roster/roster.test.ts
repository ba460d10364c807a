import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admitShare, type AdmitOptions } from '../../../src/ceremony/roster/admit.ts';
import {
  makeClaim,
  mergeClaims,
  parseClaim,
  renderClaim,
  rosterFromClaims,
} from '../../../src/ceremony/roster/claims.ts';
import {
  identifyShare,
  nextGeneration,
  parseRoster,
  renderRoster,
  withProved,
} from '../../../src/ceremony/roster/roster.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { isQuorateError, QuorateError } from '../../../src/errors.ts';
import { entry, sample, sampleRoster, sampleText, shareOf } from './samples.ts';

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof QuorateError) return error.code;
    throw error;
  }
  return 'accepted';
};

describe('the file', () => {
  test('is read back as it was written, and written again the same', () => {
    const roster = nextGeneration(
      sampleRoster(),
      [0, 1, 2].map((number) => entry(number, 2)),
      { threshold: 2 },
    );
    const text = renderRoster(roster);
    expect(parseRoster(text, 'roster.yaml')).toEqual(roster);
    expect(renderRoster(parseRoster(text, 'roster.yaml'))).toBe(text);
  });

  test('has an x that is all digits in quotes, which YAML would take for a number', () => {
    expect(renderRoster(sampleRoster())).toContain('x: "10"');
    expect(codeOf(() => parseRoster(renderRoster(sampleRoster()).replace('x: "10"', 'x: 10'), 'r'))).toBe(
      'document-invalid',
    );
  });

  test('takes a fingerprint with blanks', () => {
    const text = renderRoster(sampleRoster()).replace('1'.repeat(40), '1111 '.repeat(10).trim());
    expect(parseRoster(text, 'r').shares[1]?.pgp).toBe('1'.repeat(40));
  });

  const broken: [string, (roster: Roster) => unknown][] = [
    ['an unknown key', (roster) => ({ ...roster, extra: 1 })],
    ['a threshold over n', (roster) => ({ ...roster, threshold: 6 })],
    ['no share', (roster) => ({ ...roster, shares: [] })],
    ['two shares of one x', (roster) => ({ ...roster, shares: [entry(0), { ...entry(1), x: entry(0).x }] })],
    [
      'two shares of one holder',
      (roster) => ({ ...roster, shares: [entry(0), { ...entry(1), holder: 'alice example' }] }),
    ],
    ['two shares for one key', (roster) => ({ ...roster, shares: [entry(0), { ...entry(1), pgp: entry(0).pgp }] })],
    ['a proof without a time', (roster) => ({ ...roster, shares: [{ ...entry(0), 'proved-at': undefined }] })],
    ['a claim with a time', (roster) => ({ ...roster, shares: [{ ...entry(0), status: 'claimed' }] })],
    ['x = 0', (roster) => ({ ...roster, shares: [{ ...entry(0), x: '00' }, entry(1)] })],
    [
      'a previous share of this generation',
      (roster) => ({
        ...roster,
        previous: [{ generation: 1, holder: 'Alice', x: '10', fingerprint: entry(0).fingerprint }],
      }),
    ],
  ];
  test.each(broken)('refuses %s', (_, change) => {
    const roster = change({ ...sampleRoster(), threshold: 1 }) as Roster;
    expect(codeOf(() => renderRoster(roster))).toBe('roster-invalid');
  });

  test('allows x = 0 for the only share of a 1 of 1', () => {
    const only: Roster = { ...sampleRoster(), threshold: 1, shares: [{ ...entry(0), x: '00' }] };
    expect(parseRoster(renderRoster(only), 'r')).toEqual(only);
  });
});

describe('identifyShare', () => {
  const second = nextGeneration(
    sampleRoster(),
    [0, 1, 2].map((number) => entry(number, 2)),
    { threshold: 2 },
  );

  test('tells whose share it is, and of which generation', () => {
    expect(identifyShare(second, sample(1, 2))).toMatchObject({ kind: 'current', entry: { holder: 'Bo Example' } });
    expect(identifyShare(second, sample(1, 1))).toMatchObject({
      kind: 'old',
      entry: { holder: 'Bo Example', generation: 1 },
    });
    expect(identifyShare(second, sample(1, 3))).toMatchObject({ kind: 'unknown', like: { holder: 'Bo Example' } });
    expect(identifyShare(second, sample(9, 3))).toEqual({ kind: 'unknown' });
  });

  test('any typing error in a listed share makes it unknown', () => {
    const roster = sampleRoster();
    fc.assert(
      fc.property(fc.nat(4), fc.nat(65), fc.integer({ min: 1, max: 15 }), (number, at, change) => {
        const text = sampleText(number);
        const digit = (Number.parseInt(text.charAt(at), 16) ^ change).toString(16);
        const typo = `${text.slice(0, at)}${digit}${text.slice(at + 1)}`;
        fc.pre(!typo.endsWith('00'));
        expect(codeOf(() => admitShare(shareOf(typo), { roster }))).toBe('share-unknown');
      }),
    );
  });
});

describe('admitShare', () => {
  const first = sampleRoster();
  const roster = nextGeneration(
    first,
    [0, 1, 2].map((number) => entry(number, 2)),
    { threshold: 2 },
  );
  const staging: Roster = { ...sampleRoster(), cluster: 'staging', shares: [entry(4, 7)], threshold: 1 };

  test('gives holder, fingerprint and generation', () => {
    expect(admitShare(sample(1, 2), { roster, expectedHolder: 'Bo Example' })).toEqual({
      holder: 'Bo Example',
      fingerprint: roster.shares[1]?.fingerprint.sha256,
      generation: 2,
    });
    expect(admitShare(sample(1, 2), {})).toEqual({ generation: 0 });
  });

  const refusals: [string, Parameters<typeof sample>, AdmitOptions, string][] = [
    ['of somebody else', [1, 2], { roster, expectedHolder: 'Alice Example' }, 'share-owner'],
    ['given before', [1, 2], { roster, given: new Set(['11']) }, 'share-duplicate'],
    ['given before, without a roster', [1, 2], { given: new Set(['11']) }, 'share-duplicate'],
    ['of an old generation', [1, 1], { roster }, 'share-generation'],
    ['of nobody', [1, 3], { roster }, 'share-unknown'],
    ['of another cluster', [4, 7], { roster, others: [staging] }, 'cluster-mismatch'],
    ['of another cluster, without a roster', [4, 7], { others: [staging] }, 'cluster-mismatch'],
    [
      'of another cluster, overruled',
      [4, 7],
      { roster, others: [staging], overruled: new Set(['share-unknown'] as const) },
      'cluster-mismatch',
    ],
    [
      'of nobody and given before, overruled',
      [1, 3],
      { roster, given: new Set(['11']), overruled: new Set(['share-unknown'] as const) },
      'share-duplicate',
    ],
    [
      'of an old generation and somebody else, overruled',
      [1, 1],
      { roster, expectedHolder: 'Alice Example', overruled: new Set(['share-generation'] as const) },
      'share-owner',
    ],
  ];
  test.each(refusals)('refuses a share %s', (_, which, options, code) => {
    expect(codeOf(() => admitShare(sample(...which), options))).toBe(code);
  });

  test('names whose share it is', () => {
    expect(() => admitShare(sample(1, 2), { roster, expectedHolder: 'Alice Example' })).toThrow(
      "Bo Example's share, not Alice Example's. Not sent.",
    );
  });

  test('lets an overruled share through, as what it is', () => {
    expect(admitShare(sample(1, 3), { roster, overruled: new Set(['share-unknown'] as const) })).toEqual({
      generation: 0,
    });
    expect(admitShare(sample(1, 1), { roster, overruled: new Set(['share-generation'] as const) })).toMatchObject({
      holder: 'Bo Example',
      generation: 1,
    });
  });
});

describe('generations', () => {
  test('keep every share that was', () => {
    const second = nextGeneration(sampleRoster(), [entry(0, 2), entry(1, 2)], { threshold: 2 });
    const third = nextGeneration(second, [entry(0, 3), entry(1, 3)], { threshold: 2 });
    expect(third.generation).toBe(3);
    expect(third.previous?.map(({ generation }) => generation)).toEqual([1, 1, 1, 1, 1, 2, 2]);
  });

  test('do not leave unlisted shares behind unnoticed', () => {
    const partly: Roster = { ...sampleRoster(), unlisted: 2 };
    expect(codeOf(() => nextGeneration(partly, [entry(0, 2)], { threshold: 1 }))).toBe('roster-invalid');
    const next = nextGeneration(partly, [entry(0, 2)], { threshold: 1, leaveUnlisted: true });
    expect(next.unlisted).toBeUndefined();
  });

  test('are proved by name', () => {
    const claimed = entry(0);
    delete claimed['proved-at'];
    const roster: Roster = { ...sampleRoster(), shares: [{ ...claimed, status: 'claimed' }, entry(1)], threshold: 1 };
    const proved = withProved(roster, ['Alice Example'], new Date('2027-02-01T00:00:00Z'));
    expect(proved.shares[0]).toMatchObject({ 'status': 'proved', 'proved-at': '2027-02-01T00:00:00.000Z' });
    expect(proved.shares[1]).toEqual(roster.shares[1]);
    renderRoster(proved);
  });
});

describe('claims', () => {
  const claim = (number: number, holder = entry(number).holder, cluster = 'prod-eu') =>
    makeClaim(sample(number), { cluster, holder });
  const of = { shares: 3, threshold: 2, seal: 'shamir' } as const;

  test('travel as a file that holds no share', () => {
    const text = renderClaim(claim(1));
    expect(text).not.toContain(sampleText(1).slice(0, 16));
    expect(parseClaim(text, 'bo.yaml')).toMatchObject({
      cluster: 'prod-eu',
      share: { holder: 'Bo Example', status: 'claimed', x: '11' },
    });
  });

  test('that say proved are refused', () => {
    expect(
      codeOf(() =>
        parseClaim(
          renderClaim(claim(1)).replace('status: claimed', 'status: proved\n  proved-at: 2027-01-12T10:04:31Z'),
          'bo.yaml',
        ),
      ),
    ).toBe('document-invalid');
  });

  test('make a roster, a few at a time', () => {
    const begun = rosterFromClaims([claim(0)], of);
    expect(begun.unlisted).toBe(2);
    expect(codeOf(() => admitShare(sample(1), { roster: begun }))).toBe('share-unknown');
    const done = mergeClaims(begun, [claim(1), claim(2)]);
    expect(done.unlisted).toBe(0);
    expect(parseRoster(renderRoster(done), 'r').unlisted).toBeUndefined();
    expect(admitShare(sample(1), { roster: done }).holder).toBe('Bo Example');
    expect(codeOf(() => mergeClaims(done, [claim(3)]))).toBe('roster-invalid');
  });

  test('may be merged twice, and never change what is listed', () => {
    const one = claim(0);
    const begun = rosterFromClaims([one], of);
    expect(mergeClaims(begun, [one])).toEqual(begun);
    expect(codeOf(() => mergeClaims(begun, [claim(1, 'Alice Example')]))).toBe('share-duplicate');
    expect(codeOf(() => mergeClaims(begun, [claim(0, 'Bo Example')]))).toBe('share-duplicate');
    expect(codeOf(() => mergeClaims(begun, [{ ...one, share: { ...one.share, holder: 'Bo Example' } }]))).toBe(
      'share-duplicate',
    );
    expect(codeOf(() => mergeClaims(begun, [claim(0)]))).toBe('share-duplicate');
    expect(codeOf(() => mergeClaims(begun, [claim(1, 'Bo Example', 'staging')]))).toBe('cluster-mismatch');
  });

  test('need a name that can be a holder', () => {
    try {
      claim(0, 'Alice\nExample');
      expect.unreachable();
    } catch (error) {
      expect(isQuorateError(error, 'usage')).toBe(true);
    }
  });
});
