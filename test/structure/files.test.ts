import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { parse, readTracked, trackedFiles } from './source-tree.ts';

const LINES = 300;
const files = trackedFiles().filter((path) => /^(src|test)\/.*\.ts$/.test(path));

describe('source files', () => {
  it(`have at most ${LINES} lines`, () => {
    const long = files.map((path) => ({ path, lines: readTracked(path).split('\n').length - 1 }));
    expect(long.filter(({ lines }) => lines > LINES)).toEqual([]);
  });

  it('export by name, and only what they define', () => {
    const wrong = files.filter((path) =>
      parse(path).statements.some((node) => isDefaultExport(node) || (path.startsWith('src/') && isReExport(node))),
    );
    expect(wrong).toEqual([]);
  }, 60_000); // it parses the whole tree

  it('have tests in the folder that mirrors theirs', () => {
    const known = new Set(['support', 'structure', 'bench', 'faults', 'packaging', 'scenarios', 'cli', 'action']);
    const folders = new Set(files.filter((path) => path.startsWith('src/')).map((path) => path.split('/')[1]));
    const strays = files
      .filter((path) => /^test\/[^/]+\//.test(path))
      .map((path) => path.split('/')[1] ?? '')
      .filter((folder) => !known.has(folder) && !folders.has(folder));
    expect([...new Set(strays)]).toEqual([]);
  });
});

function isDefaultExport(node: ts.Statement): boolean {
  if (ts.isExportAssignment(node)) return true;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword);
}

function isReExport(node: ts.Statement): boolean {
  return ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined;
}
