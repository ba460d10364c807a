/*
 * How OpenBao launches a plugin and finds it (HashiCorp's go-plugin, protocol 1; observed with OpenBao 2.7.2).
 */

/** What OpenBao puts into the environment of a KMS plugin, and no other program does. */
export const COOKIE = { name: 'OPENBAO_KMS_PLUGIN', value: '39704a18-7da7-4bda-9a2d-f7c488d70328' } as const;
const PROTOCOL = '1';

export interface Launch {
  /** PEM of the only client that may connect. */
  readonly clientCertificate: string;
  /** Where the folder with the socket is made; the system's temporary folder when not given. */
  readonly socketParent: string | undefined;
  /** Whether the handshake line has a seventh field. */
  readonly multiplexField: boolean;
}

/** Why this process was not launched as a plugin, in words for a person; undefined where it was. */
export type NotLaunched = { readonly refusal: string };

/** Reads how the server launched this process. */
export function launchOf(env: Readonly<Record<string, string | undefined>>): Launch | NotLaunched {
  if (env[COOKIE.name] !== COOKIE.value) {
    return {
      refusal:
        'quorate-kms is not run by hand: OpenBao 2.7 and later launches it for a seal. quorate hsm plugin install puts it in place and prints the configuration.',
    };
  }
  const versions = (env['PLUGIN_PROTOCOL_VERSIONS'] ?? PROTOCOL).split(',');
  if (!versions.includes(PROTOCOL)) {
    return { refusal: `this server speaks other versions of the plugin protocol (${versions.join(', ')}), not 1` };
  }
  const clientCertificate = env['PLUGIN_CLIENT_CERT'] ?? '';
  if (!clientCertificate.includes('BEGIN CERTIFICATE')) {
    return { refusal: 'the server gave no certificate of its own (PLUGIN_CLIENT_CERT), so nobody could be let in' };
  }
  const parent = env['PLUGIN_UNIX_SOCKET_DIR'] ?? '';
  return {
    clientCertificate,
    socketParent: parent === '' ? undefined : parent,
    multiplexField: (env['PLUGIN_MULTIPLEX_GRPC'] ?? '') !== '',
  };
}

/** The one line on standard output that tells the server where to connect and whom to trust. */
export function handshakeLine(socket: string, certificate: Uint8Array, multiplexField: boolean): string {
  const der = Buffer.from(certificate).toString('base64').replace(/=+$/, '');
  return ['1', PROTOCOL, 'unix', socket, 'grpc', der, ...(multiplexField ? ['false'] : [])].join('|') + '\n';
}

export interface Handshake {
  readonly socket: string;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** Reads a handshake line, as the server does; undefined when it is none of protocol 1 with gRPC over a socket. */
export function readHandshake(line: string): Handshake | undefined {
  const [core, app, network, socket, protocol, certificate] = line.trim().split('|');
  if (core !== '1' || app !== PROTOCOL || network !== 'unix' || protocol !== 'grpc') return undefined;
  if (socket === undefined || certificate === undefined) return undefined;
  return { socket, certificate: new Uint8Array(Buffer.from(certificate, 'base64')) };
}
