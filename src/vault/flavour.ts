import { QuorateError } from '../errors.ts';

/** The two servers that share Vault's API. */
export type Flavour = 'openbao' | 'vault';

export const FLAVOUR_NAMES: Record<Flavour, string> = { openbao: 'OpenBao', vault: 'HashiCorp Vault' };

/**
 * Which path serves which purpose. OpenBao 2.7.2 answers 405 to the legacy paths unless its listener
 * re-enables them; Vault 1.14.0 has none of OpenBao's (both observed).
 */
const ENDPOINTS = {
  'rotate-root-key': { openbao: 'sys/rotate/root', vault: 'sys/rekey' },
  'rotate-recovery-key': { openbao: 'sys/rotate/recovery', vault: 'sys/rekey-recovery-key' },
  'generate-root': { openbao: 'sys/generate-root-token', vault: 'sys/generate-root' },
  'rotate-keyring': { openbao: 'sys/rotate/keyring', vault: 'sys/rotate' },
  'namespaces': { openbao: 'sys/namespaces', vault: undefined },
} as const satisfies Record<string, Record<Flavour, string | undefined>>;

export type Purpose = keyof typeof ENDPOINTS;

/**
 * The path that serves `purpose` on `flavour`, without `/v1/`.
 * @throws QuorateError `server-unsupported` when that flavour has none (Vault's namespaces are Enterprise only).
 */
export function endpointFor(flavour: Flavour, purpose: Purpose): string {
  const path = ENDPOINTS[purpose][flavour];
  if (path === undefined) {
    throw new QuorateError('server-unsupported', `${FLAVOUR_NAMES[flavour]} has no endpoint for ${purpose}`);
  }
  return path;
}

/**
 * Tells the flavours apart by a `sys/seal-status` body, which every server answers, sealed or not:
 * OpenBao has `commit_date`, Vault `build_date` (observed on 2.7.2 and 1.14.0). OpenBao starts at version 2.0.
 */
export function flavourOf(sealStatus: Readonly<Record<string, unknown>>): Flavour {
  if (typeof sealStatus['commit_date'] === 'string') return 'openbao';
  if (typeof sealStatus['build_date'] === 'string') return 'vault';
  const version = sealStatus['version'];
  if (typeof version === 'string') return Number.parseInt(version, 10) >= 2 ? 'openbao' : 'vault';
  throw new QuorateError('server-response', 'the server does not say which version it runs', {
    hint: 'Is the address that of an OpenBao or HashiCorp Vault server?',
  });
}
