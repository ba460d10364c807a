import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

export const ROOT = join(import.meta.dirname, '../..');

/** One import as it stands in a file; `to` is a path from the root for quorate's own files, else a package's name. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly own: boolean;
  /** `type` is gone at run time; `lazy` is an `import()` that runs only when it is reached. */
  readonly kind: 'static' | 'lazy' | 'type';
}

/** Every file that is tracked, or new and not ignored, by its path from the root. */
export function trackedFiles(): string[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return list.split('\0').filter((path) => path !== '' && existsSync(join(ROOT, path)));
}

export function readTracked(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readTracked(path), ts.ScriptTarget.Latest, true);
}

/** All imports of a file, and re-exports, which import too. Node's own modules are left out. */
export function importsOf(path: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, kind: Import['kind']): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier) || specifier.text.startsWith('node:')) return;
    const own = specifier.text.startsWith('.');
    const to = own ? relative(ROOT, join(ROOT, dirname(path), specifier.text)) : packageName(specifier.text);
    found.push({ from: path, to, own, kind });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword ? 'type' : 'static');
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly ? 'type' : 'static');
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], 'lazy');
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, 'type');
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(path));
  return found;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** The part of src/ that a file belongs to: its first folder, or its own name for a file directly in src/. */
export function areaOf(path: string): string {
  return path.split('/')[1]?.replace(/\.ts$/, '') ?? path;
}
