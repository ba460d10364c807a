import { isAbsolute, join } from 'node:path';
import { type Environment, readVariable } from '../environment.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { Secret } from '../../secret.ts';

const LONGEST_TOKEN = 8192;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * The token helper that the user has configured for `bao` or `vault`: `token_helper = "/path"` in the file that
 * BAO_CONFIG_PATH names, else in ~/.bao (OpenBao), else in ~/.vault (HashiCorp Vault). Undefined when there is none.
 * @throws QuorateError `file-invalid` for a setting that is no absolute path, `file-missing` for a named file.
 */
export async function configuredHelper(env: Environment, home: string): Promise<string | undefined> {
  const named = readVariable(env, 'CONFIG_PATH');
  const files = named === undefined ? [join(home, '.bao'), join(home, '.vault')] : [named];
  for (const file of files) {
    const text = await readText(file).catch((error: unknown) => {
      if (named === undefined && isQuorateError(error, 'file-missing')) return undefined;
      throw error;
    });
    const helper = text === undefined ? undefined : helperIn(text, file);
    if (helper !== undefined) return helper;
  }
  return undefined;
}

/** HCL or JSON, of which these files hold one key. */
function helperIn(text: string, file: string): string | undefined {
  const uncommented = text.replace(/^\s*(#|\/\/).*$/gm, '');
  const setting = /(?:^|[{,\s])"?token_helper"?\s*[=:]\s*("(?:[^"\\\n]|\\.)*")?/.exec(uncommented);
  if (setting === null) return undefined;
  const path = setting[1] === undefined ? undefined : unquote(setting[1]);
  if (path === '') return undefined;
  if (path === undefined || !isAbsolute(path)) {
    throw new QuorateError('file-invalid', `${file}: token_helper is not an absolute path in quotes`);
  }
  return path;
}

function unquote(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}

/**
 * Runs `helper get` and takes what it prints as the token. It keeps the terminal, for a helper that asks something.
 * @throws QuorateError `program-missing`, `program-failed` (its exit status, or too much output), `cancelled`.
 */
export async function tokenFromHelper(helper: string, env: Environment, signal?: AbortSignal): Promise<Secret> {
  const { spawn } = await import('node:child_process');
  const child = spawn(helper, ['get'], { env: { ...env }, stdio: ['inherit', 'pipe', 'inherit'], shell: false });
  const chunks: Uint8Array[] = [];
  const stop = (): void => {
    child.kill();
  };
  signal?.addEventListener('abort', stop);
  try {
    if (signal?.aborted === true) stop();
    let size = 0;
    child.stdout.on('data', (chunk: Uint8Array) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > LONGEST_TOKEN) stop();
    });
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', () => {
        reject(new QuorateError('program-missing', `the token helper ${helper} could not be started`));
      });
      child.once('close', resolve);
    });
    if (signal?.aborted === true) throw new QuorateError('cancelled', 'asking the token helper was cancelled');
    if (status !== 0 || size > LONGEST_TOKEN) {
      throw new QuorateError('program-failed', `the token helper ${helper} gave no token`);
    }
    return joined(chunks, size);
  } finally {
    signal?.removeEventListener('abort', stop);
    for (const chunk of chunks) chunk.fill(0);
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Secret {
  const all = new Uint8Array(size);
  let length = 0;
  for (const chunk of chunks) {
    all.set(chunk, length);
    length += chunk.length;
  }
  try {
    while (length > 0 && (all[length - 1] === NEWLINE || all[length - 1] === RETURN)) length -= 1;
    return new Secret(all.subarray(0, length));
  } finally {
    all.fill(0);
  }
}
