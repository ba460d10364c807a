import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InitScript } from '../ceremony/kinds/init/script.ts';
import { ROSTER_FILE } from '../ceremony/kinds/init/roster.ts';
import { renderYaml } from '../document.ts';
import { fileError, readText, replaceFile } from '../files.ts';
import { CONFIG_FILE } from './layout.ts';

/** What the init of a rehearsal has left for the ceremonies after it. */
export interface PracticeOptions {
  readonly directory: string;
  /** The folder of the init's record. */
  readonly record: string;
  readonly login: InitScript['ceremony-login'];
  readonly roleIdFile: string;
  readonly secretIdFile: string;
}

/**
 * Makes a kept cluster fit to practise ceremonies on: its quorate.yaml names a roster, which is a copy because drills and
 * rotations change it, and the login that the init has made.
 * @throws QuorateError `file-missing`, `file-invalid`.
 */
export async function preparePractice(options: PracticeOptions): Promise<void> {
  const { directory, record, login } = options;
  const copy = join(directory, ROSTER_FILE);
  await copyFile(join(record, ROSTER_FILE), copy).catch((error: unknown) => {
    throw fileError(copy, error);
  });
  const auth =
    login?.method === 'approle'
      ? {
          'method': 'approle',
          'mount': login.mount,
          'role-id': (await readText(join(record, options.roleIdFile))).trim(),
          'secret-id-file': options.secretIdFile,
        }
      : undefined;
  const more = renderYaml({ roster: ROSTER_FILE, ...(auth === undefined ? {} : { auth }) });
  const config = join(directory, CONFIG_FILE);
  // The cluster is the last thing in the file that was written for it.
  await replaceFile(config, `${await readText(config)}${more.replaceAll(/^(?=.)/gm, '    ')}`);
}
