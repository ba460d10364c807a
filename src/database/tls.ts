import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { defaultAuthorities } from '../authorities.ts';
import { fileError } from '../files.ts';
import type { DatabaseTarget } from './database.ts';

/**
 * Node's TLS options for a target; undefined where it wants none. `prefer` is the caller's to fall back from.
 * @throws QuorateError `file-missing`, `file-invalid` for the authority's file.
 */
export async function tlsOptions(target: DatabaseTarget): Promise<ConnectionOptions | undefined> {
  const { tls, caFile, host } = target;
  if (tls === 'disable' || host.startsWith('/')) return undefined;
  if (tls === 'prefer' || tls === 'require') return { rejectUnauthorized: false };
  const ca = caFile === undefined ? [...defaultAuthorities()] : await readAuthority(caFile);
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ca,
    ...(tls === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  };
}

async function readAuthority(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(file, error);
  });
}
