import * as tls from 'node:tls';

/**
 * The certificate authorities, in PEM, that are trusted where none is named: those that Node brings, those that
 * NODE_EXTRA_CA_CERTS adds, and with NODE_USE_SYSTEM_CA=1 or --use-system-ca the machine's. Whoever connects and has
 * no other gives these to Node by name, as the launcher and `leaveOutDefaultAuthorities` leave Node no default.
 */
export function defaultAuthorities(): readonly string[] {
  const { env, execArgv } = process;
  const options = [...execArgv, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  const system = env['NODE_USE_SYSTEM_CA'] === '1' || options.includes('--use-system-ca');
  return [
    ...tls.getCACertificates('bundled'),
    ...tls.getCACertificates('extra'),
    ...(system ? tls.getCACertificates('system') : []),
  ];
}

/**
 * Makes Node trust nobody by default. With the first context for TLS Node reads all its default authorities, also
 * where others are given (they would not be trusted there): that takes longer than asking a server does.
 */
export function leaveOutDefaultAuthorities(): void {
  // Node 22.15 to 22.18 and 24.0 to 24.4 cannot; there it only takes longer.
  (tls as Partial<typeof tls>).setDefaultCACertificates?.([]);
}
