import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Stands before the compiled addon, in base64, in the last line of the one-file program. */
const MARK = '//addon:';

/**
 * Writes the addon that the program file carries into `folder`. `done` removes it: once it is loaded, the file is not
 * needed any more. undefined where the program carries none, as when it runs from its source.
 */
export function unpackAddon(
  program: string,
  folder: string,
): { readonly path: string; readonly done: () => void } | undefined {
  const text = readFileSync(program, 'latin1');
  const at = text.lastIndexOf(`\n${MARK}`);
  if (at < 0) return undefined;
  const path = join(folder, 'pkcs11.node');
  writeFileSync(path, Buffer.from(text.slice(at + 1 + MARK.length).trim(), 'base64'), { mode: 0o700, flag: 'wx' });
  return {
    path,
    done: () => {
      rmSync(path, { force: true });
    },
  };
}
