import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Package {
  readonly name: string;
  readonly version: string;
  /** Old packages have objects here. */
  readonly license?: string | readonly { readonly type: string }[];
}

/**
 * The licence texts of the npm packages that the given modules (absolute paths) belong to, as one text, by name.
 * Throws when a package has neither a licence file nor a licence field: it could not be published.
 */
export function licencesOf(modules: readonly string[]): string {
  const folders = new Set(modules.map(packageFolder).filter((folder) => folder !== undefined));
  const sections = [...folders].map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Package;
    const files = readdirSync(folder)
      .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
      .sort();
    if (files.length === 0 && license === undefined) throw new Error(`${name} states no licence`);
    const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
    const stated = typeof license === 'object' ? license.map(({ type }) => type).join(' or ') : license;
    return [`${name} ${version}${stated === undefined ? '' : ` (${stated})`}`, ...texts].join('\n\n');
  });
  return `quorate's chunks hold these packages.\n\n${sections.sort().join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** The folder of the package that a module belongs to; none for quorate's own and for the bundler's. */
function packageFolder(module: string): string | undefined {
  if (!module.includes('node_modules/')) return undefined;
  for (let folder = dirname(module); !folder.endsWith('node_modules'); folder = dirname(folder)) {
    // A nested package.json may only set "type".
    const path = join(folder, 'package.json');
    if (existsSync(path) && 'version' in (JSON.parse(readFileSync(path, 'utf8')) as object)) return folder;
  }
  throw new Error(`no package.json above ${module}`);
}
