import { describe, expect, it } from 'vitest';
import { areaOf, type Import, importsOf, trackedFiles } from './source-tree.ts';

const SHARED = [
  'auth',
  'cidr',
  'duration',
  'authorities',
  'config',
  'wallet-config',
  'document',
  'plain-yaml',
  'hcl',
  'secret',
  'files',
  'errors',
  'finding',
  'build',
  'layout',
  'templates',
  'difference',
  'versioned',
  'setup',
  'unknown-token',
];
const ADAPTERS = ['vault', 'pkcs11', 'programs', 'openpgp', 'database', 'ui'];
const DOMAINS = ['ceremony', 'hsm', 'broker', 'shares', 'separation', 'rehearsal'];

/** What each part of src/ may import at run time, besides itself. Types may be imported from anywhere. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'main': ['cli', 'process-guard', 'build'],
  'process-guard': [],
  'cli': ['command-line', 'commands', 'context', 'ui', ...SHARED],
  'command-line': ['commands', 'context', ...SHARED],
  'commands': ['context', ...DOMAINS, 'deploy', 'kms', ...SHARED],
  'context': ['connect-cluster', ...ADAPTERS, ...SHARED],
  'connect-cluster': [...ADAPTERS, ...SHARED],
  ...Object.fromEntries([...ADAPTERS, ...DOMAINS, 'deploy'].map((area) => [area, SHARED])),
  'programs': ['openpgp', ...SHARED], // gpg's messages are OpenPGP's
  'ceremony': ['hsm', 'shares', ...SHARED],
  'rehearsal': ['ceremony', ...SHARED],
  'kms': ['pkcs11', 'secret', 'errors'],
  ...Object.fromEntries(SHARED.map((area) => [area, SHARED])),
  'errors': [],
};

/** Packages whose one place is decided; any other may be anywhere, but in one place only. */
const OWNERS: Readonly<Record<string, string>> = {
  'node-vault': 'vault',
  'pkcs11js': 'pkcs11',
  'openpgp': 'openpgp',
  'commander': 'command-line',
  'inquirer': 'ui',
  'chalk': 'ui',
  'ora': 'ui',
  'cli-table3': 'ui',
  'yaml': 'document',
};

const sources = trackedFiles().filter((path) => /^src\/.*\.ts$/.test(path));
const imports = sources.flatMap(importsOf);
const show = (i: Import): string => `${i.from} -> ${i.to}`;

describe('imports', () => {
  it('are found at all', () => {
    expect(imports).toContainEqual({ from: 'src/secret.ts', to: 'src/errors.ts', own: true, kind: 'static' });
    expect(imports).toContainEqual({ from: 'src/context.ts', to: 'src/ui/terminal.ts', own: true, kind: 'type' });
  });

  it('name files that are there', () => {
    const files = new Set(trackedFiles());
    expect(imports.filter((i) => i.own && !files.has(i.to)).map(show)).toEqual([]);
  });

  it('go in the direction of the design', () => {
    const wrong = imports.filter(({ from, to, own, kind }) => {
      if (!own || kind === 'type' || areaOf(from) === areaOf(to)) return false;
      return !(MAY_IMPORT[areaOf(from)] ?? []).includes(areaOf(to));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('bring in each package at one place only', () => {
    const places = new Map<string, Set<string>>();
    for (const { from, to, own } of imports) {
      if (own || to === 'valibot') continue;
      places.set(to, (places.get(to) ?? new Set()).add(areaOf(from)));
    }
    const wrong = [...places].filter(([name, areas]) => {
      const owner = OWNERS[name];
      return areas.size > 1 || (owner !== undefined && !areas.has(owner));
    });
    expect(wrong.map(([name, areas]) => `${name} in ${[...areas].join(', ')}`)).toEqual([]);
  });

  it('have no cycle', () => {
    expect(cycle(imports.filter((i) => i.own && i.kind !== 'type'))).toEqual([]);
  });

  it('load nothing but the command line at start', () => {
    const reached = new Set(['src/main.ts']);
    for (const path of reached) {
      for (const i of imports) if (i.from === path && i.own && i.kind === 'static') reached.add(i.to);
    }
    const heavy = new Set([
      ...ADAPTERS.filter((area) => area !== 'ui'),
      ...DOMAINS,
      'kms',
      'auth',
      'config',
      'document',
    ]);
    expect([...reached].filter((path) => heavy.has(areaOf(path)))).toEqual([]);
    const packages = imports.filter((i) => reached.has(i.from) && !i.own && i.kind === 'static').map((i) => i.to);
    expect(packages.filter((name) => name !== 'commander')).toEqual([]);
  });
});

/** The files of one cycle, in order; empty when there is none. */
function cycle(edges: readonly Import[]): string[] {
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const { to } of edges.filter((edge) => edge.from === path)) {
      const found = walk(to, [...trail, path]);
      if (found.length > 0) return found;
    }
    done.add(path);
    return [];
  };
  for (const path of new Set(edges.map((edge) => edge.from))) {
    const found = walk(path, []);
    if (found.length > 0) return found;
  }
  return [];
}

describe('the search for cycles', () => {
  const edge = (from: string, to: string): Import => ({ from, to, own: true, kind: 'static' });

  it('finds one, and finds none where there is none', () => {
    expect(cycle([edge('a', 'b'), edge('b', 'c'), edge('c', 'b')])).toEqual(['b', 'c', 'b']);
    expect(cycle([edge('a', 'b'), edge('a', 'c'), edge('b', 'c')])).toEqual([]);
  });
});
