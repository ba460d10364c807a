import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { fileError, readBounded } from '../../files.ts';
import { Secret } from '../../secret.ts';

const LIMIT = 4096;
/** What others than owner and group may do. systemd's access list for the unit's user shows as the group's rights. */
const WORLD = 0o007;

/**
 * Reads a credential that systemd gave to this unit (LoadCredential=, systemd.exec(5)); the caller wipes it.
 * @throws QuorateError `usage` (no credentials here, or no plain name), `file-missing`, `file-mode`, `file-invalid`.
 */
export async function readCredential(env: Readonly<Record<string, string | undefined>>, name: string): Promise<Secret> {
  const folder = env['CREDENTIALS_DIRECTORY'] ?? '';
  if (folder === '') {
    throw new QuorateError('usage', 'this process was given no systemd credentials (CREDENTIALS_DIRECTORY)', {
      hint: 'Put LoadCredential= into its unit, or use --pin-file.',
    });
  }
  if (!/^[A-Za-z0-9_][\w.-]*$/.test(name)) throw new QuorateError('usage', 'this is no name of a credential');
  const path = join(folder, name);
  const { mode } = await stat(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  if ((mode & WORLD) !== 0) throw new QuorateError('file-mode', `${path} can be read by everybody`);
  const bytes = await readBounded(path, LIMIT);
  try {
    let end = bytes.length;
    while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
    return new Secret(bytes.subarray(0, end));
  } finally {
    bytes.fill(0);
  }
}
