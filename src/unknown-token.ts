import type { Reply } from './vault/peer.ts';

/**
 * Whether a denial means that the server does not know the token, so that it has ended. A token that lives and has no
 * policy for the call is denied too, with more words (OpenBao 2.7.2, Vault 1.14.0).
 */
export const isUnknownToken = ({ status, errors }: Pick<Reply, 'status' | 'errors'>): boolean =>
  status === 403 && !errors.some((line) => line.includes('error occurred'));
