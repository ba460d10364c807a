import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';
import { licencesOf } from './licences.ts';

/*
 * dist/kms/quorate-kms, the KMS plugin as one file, of which OpenBao checks the SHA-256 before each start:
 *
 *   #!/bin/sh   two lines: sh clears what would make Node load other code, then runs Node, which reads of this same file
 *               only what it runs
 *   pkcs11js's compiled addon, the program of a token's thread, and that of the main thread, byte after byte
 *
 * Nobody holds in memory what it does not need: Node would keep the whole of a script for as long as it runs.
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

/**
 * What makes Node small: no compiler, for the work is little; garbage collected whole, and when the plugin rests (see
 * src/kms/rest.ts); one thread for V8's own work. (--no-node-snapshot would take off 8 MB more, but Node 24 then crashes
 * once in some hundred starts of two threads.) Node would read OPENSSL_CONF, which the library of an HSM may need: for
 * Node, an empty file takes its place.
 */
const FLAGS = '--lite-mode --gc-global --expose-gc --v8-pool-size=1 --openssl-config=/dev/null --input-type=commonjs';
/** The same for malloc: one heap for all threads, and what is large and free goes back at once. */
const MALLOC = 'MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=32768 MALLOC_TOP_PAD_=0';

/** Runs the last bytes of the file. It stands between single quotes of sh. */
const start = (length: number): string =>
  [
    'const f=require("node:fs"),d=f.openSync(process.argv[1],"r")',
    `b=Buffer.allocUnsafeSlow(${length.toString()})`,
    `n=f.readSync(d,b,0,b.length,f.fstatSync(d).size-b.length)`,
  ].join(',') + ';f.closeSync(d);require("node:vm").compileFunction(b.latin1Slice(0,n),["require"])(require)';

const header = (mainLength: number): string =>
  [
    '#!/bin/sh',
    [
      `unset ${HOSTILE.join(' ')}`,
      'ulimit -c 0',
      'umask 077',
      `[ -x '${NODE_MARK}' ] || ${say(`there is no Node at ${NODE_MARK}; quorate hsm plugin install puts this plugin in place`)}`,
      `export ${MALLOC}`,
      `exec '${NODE_MARK}' ${FLAGS} -e '${start(mainLength)}' "$0" "$@"`,
    ].join('; '),
    '',
  ].join('\n');

/** In the plugin pkcs11js is part of the file, and its addon is loaded from where the main thread has unpacked it. */
const withPackedAddon: Plugin = {
  name: 'with-packed-addon',
  resolveId(id, importer) {
    if (id.endsWith('/addon.ts') && importer?.includes('/src/pkcs11/') === true) return '\0packed-addon';
    return id.endsWith('pkcs11.node') ? '\0pkcs11-node' : null;
  },
  load(id) {
    if (id === '\0packed-addon') {
      return `
        import { workerData } from 'node:worker_threads';
        import { addonRefused } from ${JSON.stringify(join(root, 'src/kms/packed.ts'))};
        export const loadPkcs11js = () => {
          try { return require('pkcs11js'); } catch { throw addonRefused(workerData.addon); }
        };`;
    }
    if (id !== '\0pkcs11-node') return null;
    return `
      const { workerData } = require('node:worker_threads');
      process.dlopen(module, workerData.addon);`;
  },
};

/** Writes dist/kms. @param addon the compiled addon of pkcs11js. */
export async function kms(addon: string): Promise<void> {
  const target = join(root, 'dist/kms/quorate-kms');
  const binary = readFileSync(addon);
  const thread = await bundled('thread.ts', {});
  // The lengths are in the program whose length is one of them: it has to be settled.
  const lengths = { addon: binary.length, thread: thread.code.length, main: 0 };
  let main = await bundled('main.ts', { KMS_PARTS: JSON.stringify(lengths) });
  while (main.code.length !== lengths.main) {
    lengths.main = main.code.length;
    main = await bundled('main.ts', { KMS_PARTS: JSON.stringify(lengths) });
  }
  const parts = [header(main.code.length), binary, thread.code, main.code];
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, Buffer.concat(parts.map((part) => Buffer.from(part))));
  chmodSync(`${target}.new`, 0o755);
  renameSync(`${target}.new`, target);
  const licences = licencesOf([...main.modules, ...thread.modules]);
  writeFileSync(join(dirname(target), 'THIRD-PARTY-LICENSES.txt'), licences);
}

async function bundled(
  entry: string,
  define: Readonly<Record<string, string>>,
): Promise<{ readonly code: string; readonly modules: readonly string[] }> {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const build = await rolldown({
    input: join(root, 'src/kms', entry),
    cwd: root,
    platform: 'node',
    transform: { target: 'node22', define: { QUORATE_VERSION: JSON.stringify(version), ...define } },
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
  if (others.length > 0) throw new Error('each part of the plugin is one chunk');
  return { code: ascii(chunk.code), modules: chunk.moduleIds };
}

/** Anything else would double the memory that the file takes as a string. */
function ascii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
