import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { QuorateError } from './errors.ts';
import { readText } from './files.ts';

/** From dist/chunks in a package, from src in a checkout. */
const FOLDERS = [join(import.meta.dirname, '..', '..', 'ceremonies'), join(import.meta.dirname, '..', 'ceremonies')];

/** The ready script of a kind, as it is shipped. @throws QuorateError `file-missing` when the installation lacks it. */
export async function readTemplate(kind: string): Promise<{ readonly text: string; readonly file: string }> {
  const file = FOLDERS.map((folder) => join(folder, `${kind}.yaml`)).find(existsSync);
  if (file === undefined) {
    throw new QuorateError('file-missing', `the script for ${kind} is missing from this installation`, {
      hint: 'Install quorate again.',
    });
  }
  return { text: await readText(file), file };
}
