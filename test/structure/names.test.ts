import { describe, expect, it } from 'vitest';
import { readTracked, trackedFiles } from './source-tree.ts';

/*
 * The project speaks of itself alone: it works on any machine, from any registry. The patterns are put together from
 * pieces so that this file does not find itself.
 */
const HOME = 'ro' + 'ot';

const FORBIDDEN: Readonly<Record<string, RegExp>> = {
  // An absolute path starts after a blank, a quote or a bracket; `sys/rotate/root/init` is a server's.
  'a path of one machine': new RegExp(`(?:^|[\\s'"\`=:(])/(?:${['work', 'farm', 'home/[a-z]+'].join('|')})/`, 'm'),
  'the home of one machine': new RegExp(`(?:^|[\\s'"\`=:(])/${HOME}/(?!(?:init|update|verify|backup)\\b)`, 'm'),
  'a folder beside the checkout': new RegExp(`\\.\\./(?:${['shared', '\\.library'].join('|')})`),
  "a registry's host": new RegExp(
    ['registry\\.npm' + 'js', 'py' + 'pi\\.org', 'python' + 'hosted', 'crates' + '\\.io', 'deb\\.' + 'debian'].join(
      '|',
    ),
  ),
};

/** CI alone may use what lies beside its checkout: a server's binary that cannot be installed. */
const EXCEPT: Readonly<Record<string, string>> = { 'a folder beside the checkout': '.ci/run' };

const texts = trackedFiles()
  .map((path) => ({ path, text: readTracked(path) }))
  .filter(({ text }) => !text.includes('\0'));

describe('tracked files', () => {
  for (const [what, pattern] of Object.entries(FORBIDDEN)) {
    it(`do not name ${what}`, () => {
      const found = texts.filter(({ path, text }) => path !== EXCEPT[what] && pattern.test(text));
      expect(found.map(({ path, text }) => `${path}: ${pattern.exec(text)?.[0] ?? ''}`)).toEqual([]);
    });
  }

  it('would be found naming one', () => {
    const path = FORBIDDEN['a path of one machine'];
    expect(path?.test("cd '/" + "work/main'")).toBe(true);
    expect(path?.test('lib/work/flow')).toBe(false);
    expect(FORBIDDEN['the home of one machine']?.test('PUT sys/rotate/root/init')).toBe(false);
  });

  it('lock packages by integrity, wherever they come from', () => {
    expect(texts.filter(({ path, text }) => path.endsWith('package-lock.json') && text.includes('"resolved"'))).toEqual(
      [],
    );
  });
});
