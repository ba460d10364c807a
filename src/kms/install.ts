import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { access, chmod, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { QuorateError } from '../errors.ts';

/** The name of the plugin's file, in a package as in a plugin folder. */
export const PLUGIN_FILE = 'quorate-kms';
/** Where the build leaves room for the path of a Node. */
const NODE_MARK = '@NODE@';
/** From src/kms as from dist/chunks, two folders up is the package. */
const TEMPLATE = join(import.meta.dirname, '../../dist/kms', PLUGIN_FILE);
const OTHERS_WRITE = 0o022;
/** ms for the first words of a plugin that nobody launched. */
const TRIAL_TIMEOUT = 30_000;
/** sh takes the path between single quotes, and the script is one line. */
const PLAIN_PATH = /^[\w@%+=:,./ -]+$/;

export interface InstallOptions {
  /** The server's plugin_directory. */
  readonly folder: string;
  /** The Node that is to run it. */
  readonly node: string;
  /** The file's name; what the stanza calls `command`. */
  readonly name?: string;
  /** Whether another file of that name may go. */
  readonly replace?: boolean;
}

export interface Installed {
  readonly path: string;
  /** Hexadecimal, of the whole file. */
  readonly sha256: string;
  readonly node: string;
  /** Whether the very same file was there already. */
  readonly unchanged: boolean;
}

/**
 * Puts the plugin into a server's plugin folder: one file, mode 0755, that runs on exactly `node`.
 * @throws QuorateError `program-missing` (this installation has no plugin, or there is no such Node), `program-failed`
 *   (that Node does not run it), `file-missing` (folder), `file-mode` (others can write the folder), `file-exists`
 *   (another file without `replace`), `usage`.
 */
export async function installPlugin({
  folder,
  node,
  name = PLUGIN_FILE,
  replace = false,
}: InstallOptions): Promise<Installed> {
  if (!/^[\w.-]+$/.test(name)) throw new QuorateError('usage', 'the name of the plugin is a plain file name');
  const text = await pluginFor(await checkedNode(node));
  const sha256 = createHash('sha256').update(text).digest('hex');
  const path = join(await checkedFolder(folder), name);
  const there = await readFile(path).catch(() => undefined);
  const result = { path, sha256, node };
  if (there !== undefined && Buffer.compare(there, text) === 0) {
    await chmod(path, 0o755);
    return { ...result, unchanged: true };
  }
  if (existsSync(path) && !replace) {
    throw new QuorateError('file-exists', `${path} is there already, and is another version or for another Node`, {
      hint: 'A server that runs checks its SHA-256 again when it restarts the plugin: install beside it with --name, and change command and sha256sum together. Or give --replace.',
    });
  }
  const temporary = `${path}.${process.pid.toString()}.new`;
  const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o755).catch(() => {
    throw new QuorateError('file-invalid', `cannot write into ${folder}`, {
      hint: 'Run this as the owner of the folder; it should be root.',
    });
  });
  try {
    await file.writeFile(text);
    // Whatever the umask was: the server's user reads and runs it.
    await file.chmod(0o755);
    await file.sync();
    await file.close();
    await tryOut(temporary, node);
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
  return { ...result, unchanged: false };
}

/** Has the file run on its Node: not launched by a server, it ends with 1 and says so as a line of the server's log. */
async function tryOut(path: string, node: string): Promise<void> {
  const said = await new Promise<string>((resolve) => {
    execFile(path, { env: {}, timeout: TRIAL_TIMEOUT }, (error, _stdout, stderr) => {
      resolve(error?.code === 1 ? stderr : (error?.message ?? ''));
    });
  });
  if (said.includes('"@level":"error"')) return;
  throw new QuorateError('program-failed', `the plugin does not run on ${node}`, {
    hint: 'Give --node the absolute path of a Node 22.15 or later; and the folder must not be mounted noexec.',
  });
}

/** Lines for the server's configuration, without the seal's own. */
export function pluginStanza({ path, sha256 }: Pick<Installed, 'path' | 'sha256'>): string[] {
  const at = path.lastIndexOf('/');
  return [
    `plugin_directory = "${path.slice(0, at)}"`,
    '',
    'plugin "kms" "quorate-kms" {',
    `  command   = "${path.slice(at + 1)}"`,
    `  sha256sum = "${sha256}"`,
    '}',
  ];
}

async function pluginFor(node: string): Promise<Buffer> {
  const template = await readFile(TEMPLATE).catch(() => {
    throw new QuorateError('program-missing', 'this installation has no KMS plugin', {
      hint: 'It is there in the npm package for linux-x64; in a checkout, sh bin/setup --tests builds it.',
    });
  });
  // The mark is in the second line only; what follows is the program, byte for byte.
  const start = template.indexOf('\n') + 1;
  const end = template.indexOf('\n', start);
  const line = template.toString('latin1', start, end).replaceAll(NODE_MARK, node);
  return Buffer.concat([template.subarray(0, start), Buffer.from(line), template.subarray(end)]);
}

async function checkedNode(node: string): Promise<string> {
  const usable = await access(node, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isAbsolute(node) || !usable) {
    throw new QuorateError('program-missing', `there is no program ${node}`, {
      hint: "Give --node the absolute path of a Node that the server's user can run.",
    });
  }
  if (!PLAIN_PATH.test(node)) throw new QuorateError('usage', 'the path of Node has characters that sh would not take');
  return node;
}

async function checkedFolder(folder: string): Promise<string> {
  const path = await realpath(folder).catch(() => folder);
  const info = await stat(path).catch(() => undefined);
  if (info?.isDirectory() !== true) {
    throw new QuorateError('file-missing', `there is no folder ${folder}`, {
      hint: "Make it, owned by root with mode 755: it is the server's plugin_directory.",
    });
  }
  if ((info.mode & OTHERS_WRITE) !== 0) {
    throw new QuorateError('file-mode', `others can write into ${folder}`, {
      hint: `chmod go-w ${folder}: whoever can write there can have the server run anything that matches a hash.`,
    });
  }
  return path;
}
