import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';
import { licencesOf } from './licences.ts';

/*
 * dist/kms/quorate-kms, the KMS plugin as one file, of which OpenBao checks the SHA-256 before each start:
 *
 *   #!/bin/sh                    what sh runs, and JavaScript skips: clears what would make Node load other code, then
 *                                runs Node on this same file
 *   (function (require) {...})   the program, in a form that is right as CommonJS and as a module: how Node takes a file
 *                                without extension depends on the package.json of the folders above it
 *   //addon:...                  pkcs11js's compiled addon, in base64
 *
 * `quorate hsm plugin install` writes the absolute path of a Node into it.
 */

const root = join(import.meta.dirname, '..');

/** Where the absolute path of Node goes; without it the file only says how it is installed. */
const NODE_MARK = '@NODE@';

/** Variables that would make Node load code, or write what the plugin does. See also bin/quorate. */
const HOSTILE = [
  ...['NODE_OPTIONS', 'NODE_DEBUG', 'NODE_DEBUG_NATIVE', 'NODE_V8_COVERAGE', 'NODE_PATH', 'NODE_COMPILE_CACHE'],
  ...['NODE_REDIRECT_WARNINGS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_EXTRA_CA_CERTS', 'NODE_ICU_DATA'],
];

const say = (text: string): string => `{ echo '[ERROR] quorate-kms: ${text}' >&2; exit 1; }`;

const HEADER = [
  '#!/bin/sh',
  [
    `':' //`,
    `unset ${HOSTILE.join(' ')}`,
    'ulimit -c 0',
    'umask 077',
    `[ -x '${NODE_MARK}' ] || ${say(`there is no Node at ${NODE_MARK}; quorate hsm plugin install puts this plugin in place`)}`,
    // Compiled code would take more memory than the little work is worth, and one malloc arena is enough for it. Node
    // would read OPENSSL_CONF, which the library of an HSM may need: for Node, an empty file takes its place.
    'export MALLOC_ARENA_MAX=1',
    `exec '${NODE_MARK}' --lite-mode --openssl-config=/dev/null "$0" "$@"`,
  ].join('; '),
].join('\n');

/** In the plugin pkcs11js is part of the file, and its addon is loaded from where the main thread has unpacked it. */
const withPackedAddon: Plugin = {
  name: 'with-packed-addon',
  resolveId(id, importer) {
    if (id.endsWith('/addon.ts') && importer?.includes('/src/pkcs11/') === true) return '\0packed-addon';
    return id.endsWith('pkcs11.node') ? '\0pkcs11-node' : null;
  },
  load(id) {
    if (id === '\0packed-addon') return `import pkcs11js from 'pkcs11js'; export const loadPkcs11js = () => pkcs11js;`;
    if (id !== '\0pkcs11-node') return null;
    return `
      const { workerData } = require('node:worker_threads');
      process.dlopen(module, workerData.addon);`;
  },
};

/** Writes dist/kms. @param addon the compiled addon of pkcs11js. */
export async function kms(addon: string): Promise<void> {
  const target = join(root, 'dist/kms/quorate-kms');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const build = await rolldown({
    input: join(root, 'src/kms/main.ts'),
    cwd: root,
    platform: 'node',
    transform: { target: 'node22', define: { QUORATE_VERSION: JSON.stringify(version) } },
    plugins: [withPackedAddon],
  });
  const { output } = await build.generate({
    format: 'cjs',
    codeSplitting: false,
    strict: true,
    minify: false,
    comments: { legal: true, annotation: false, jsdoc: false },
  });
  await build.close();
  const [chunk, ...others] = output;
  if (others.length > 0) throw new Error('the plugin is one file');
  const text = [
    HEADER,
    `;(function (require, module, exports) {`,
    ascii(chunk.code),
    `})(process.getBuiltinModule('node:module').createRequire(process.argv[1]), { exports: {} }, {});`,
    `//addon:${readFileSync(addon, 'base64')}`,
    '',
  ].join('\n');
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, text);
  chmodSync(`${target}.new`, 0o755);
  renameSync(`${target}.new`, target);
  writeFileSync(join(dirname(target), 'THIRD-PARTY-LICENSES.txt'), licencesOf(chunk.moduleIds));
}

/** Anything else would double the memory that the file takes as a string. */
function ascii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
