import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'rolldown';
import { licencesOf } from './bin/licences.ts';

/*
 * What is published is dist/:
 *
 *   quorate.cjs               checks Node's version in words any Node understands, then loads chunks/main.cjs
 *   chunks/                   the program: CommonJS in small chunks, because that starts fastest
 *   openpgp/                  OpenPGP.js (LGPL) as its authors built it; another build of it can be put in its place
 *   prebuilt/                 pkcs11js with its addon compiled, put there by `node bin/build.ts addon`
 *   THIRD-PARTY-LICENSES.txt  the licence of every package in chunks/
 *   SHA256SUMS                of all these; its own SHA-256 is what records name as the build
 *
 * As all else is bundled, package.json lists every package but pkcs11js (not needed without an HSM, and absent where
 * the addon is not prebuilt and cannot be compiled) as a devDependency.
 */

const root = import.meta.dirname;
const dist = join(root, 'dist');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

/**
 * What packages require and quorate never reaches; leaving it out halves the start. VaultClient gives node-vault its own
 * transport (for axios and https), logging, validator, templates and endpoints; no verb of ours is another program, as
 * commander's may be; pg's other ways to its server are not for this one.
 */
const DEAD_WEIGHT: Readonly<Record<string, readonly string[]>> = {
  'node-vault': ['axios', 'https', 'debug', 'tv4', 'mustache', './commands.js'],
  'commander': ['node:child_process'],
  'pg': ['pg-native', 'pg-cloudflare'],
};

const withoutDeadWeight: Plugin = {
  name: 'without-dead-weight',
  resolveId(id, importer) {
    const from = /\/node_modules\/([^/]+)\/[^\0]*$/.exec(importer ?? '')?.[1] ?? '';
    return DEAD_WEIGHT[from]?.includes(id) === true ? { id: `\0unused ${id}` } : null;
  },
  load: {
    filter: { id: /^\0unused / },
    handler: (id) => `
      const refuse = () => { throw new Error(${JSON.stringify(`${id.slice(8)} is not part of quorate`)}); };
      // Made when it is loaded, as debug and node-vault do; none of it may be called later.
      module.exports = Object.assign(() => refuse, { create: refuse, request: refuse, spawn: refuse });`,
  },
};

const separateOpenpgp: Plugin = {
  name: 'separate-openpgp',
  resolveId: { filter: { id: /^openpgp$/ }, handler: () => ({ id: '../openpgp/openpgp.cjs', external: true }) },
  writeBundle() {
    const from = join(root, 'node_modules/openpgp');
    const to = join(dist, 'openpgp');
    mkdirSync(to, { recursive: true });
    cpSync(join(from, 'dist/node/openpgp.min.cjs'), join(to, 'openpgp.cjs'));
    cpSync(join(from, 'LICENSE'), join(to, 'LICENSE'));
    cpSync(join(from, 'package.json'), join(to, 'package.json'));
  },
};

/** Chunks carry the hash of what is in them, so an old one never stands in for a new one, but has to be removed. */
const finish: Plugin = {
  name: 'finish',
  writeBundle(_options, bundle) {
    for (const name of readdirSync(join(dist, 'chunks'))) {
      if (!(`chunks/${name}` in bundle)) rmSync(join(dist, 'chunks', name));
    }
    const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
    writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), licencesOf(modules));
    writeFileSync(join(dist, 'quorate.cjs'), entry);
    writeFileSync(join(dist, 'SHA256SUMS'), sums());
  },
};

/** The first file that Node reads. An old Node must be able to parse it, so it is written as for Node 0.10. */
const entry = `'use strict';
var parts = process.versions.node.split('.');
var major = Number(parts[0]);
if (major >= 26 || major === 24 || (major === 22 && Number(parts[1]) >= 15)) {
  require('./chunks/main.cjs');
} else {
  process.stderr.write(
    'error  this is Node ' + process.versions.node + ', and quorate needs 22.15, 24, or 26 and later\\n' +
    'hint   Install one of these, or set QUORATE_NODE to where it is.\\n'
  );
  process.exitCode = 1;
}
`;

function sums(): string {
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((path) => path !== 'SHA256SUMS' && statSync(join(dist, path)).isFile())
    .sort()
    .map(
      (path) =>
        `${createHash('sha256')
          .update(readFileSync(join(dist, path)))
          .digest('hex')}  ${path}\n`,
    )
    .join('');
}

/**
 * What is loaded together, by all commands or by those that must start fast: a chunk each, with all that it needs,
 * because finding and reading a file of its own for each part takes longer than the part itself. The rest is left as
 * rolldown splits it. What is named first is taken first, so that nothing is drawn into a chunk that others load.
 */
const loadedTogether = [
  // By everything.
  { name: 'error-codes', test: /\/src\/errors\.ts$/ },
  // By every command.
  {
    name: 'command',
    test: /\/src\/(command-line|context|files|layout|ui\/(output|prompts)|commands\/(cluster-options|command|whole-number))\.ts$/,
  },
  // By who asks a server, and by who logs in there.
  { name: 'client', test: /\/src\/(connect-cluster|versioned)\.ts$/ },
  { name: 'login', test: /\/src\/(commands\/log-in|vault\/login\/(login|approle))\.ts$/ },
  // By who reads anything by a schema, and by who reads a quorate.yaml.
  { name: 'schema', test: /\/src\/auth\.ts$/ },
  { name: 'config', test: /\/src\/config\.ts$/ },
  // By a node that boots: until it has sent its login, and while it waits for the reply.
  { name: 'node', test: /\/src\/(commands\/(node\/boot|shares\/wallet)|shares\/(hand-over|home))\.ts$/ },
  { name: 'boot', test: /\/src\/shares\/(boot|kv-store)\.ts$/ },
];

/**
 * The same code as yaml's build for Node, but in modules, which load in half the time; and it does not print what it
 * reads when LOG_STREAM or LOG_TOKENS is set.
 */
const yamlModules = join(root, 'node_modules/yaml/browser/dist/index.js');

export default defineConfig({
  input: { 'main': 'src/main.ts', 'pkcs11-host': 'src/pkcs11/host.ts' },
  cwd: root,
  platform: 'node',
  resolve: { alias: { yaml: yamlModules } },
  external: ['pkcs11js'],
  transform: { target: 'node22', define: { QUORATE_VERSION: JSON.stringify(version) } },
  plugins: [withoutDeadWeight, separateOpenpgp, finish],
  output: {
    dir: dist,
    format: 'cjs',
    entryFileNames: 'chunks/[name].cjs',
    chunkFileNames: 'chunks/[name]-[hash].cjs',
    strict: true,
    codeSplitting: { groups: loadedTogether },
    // Readable for who audits it, and without the comments, which would be read at every start.
    minify: false,
    comments: { legal: true, annotation: false, jsdoc: false },
  },
});
