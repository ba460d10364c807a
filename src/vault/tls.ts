import { X509Certificate } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';
import { type Address, isAddressLiteral } from './address.ts';
import { defaultAuthorities, leaveOutDefaultAuthorities } from '../authorities.ts';
import { QuorateError } from '../errors.ts';
import { fileError, readBounded, readSecretFile, readText } from '../files.ts';
import type { PeerSettings } from './settings.ts';

/** What a TLS connection to one peer is made with. */
export interface TlsIdentity {
  readonly context: SecureContext;
  /** The name or address that the certificate must be for. */
  readonly expected: string;
  /** Lower-case hexadecimal. */
  readonly pin: string | undefined;
  /** False when the pin stands in for authority, name and dates. */
  readonly checkAuthority: boolean;
}

const LARGEST_PEM = 4 << 20;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Reads the files that `settings` names.
 * @throws QuorateError `file-missing`, `file-mode` (the client's key), `file-invalid` (no certificate, no usable
 * key), `usage` (a pin that is none, a certificate without its key).
 */
export async function loadIdentity(settings: PeerSettings, address: Address): Promise<TlsIdentity> {
  const pin = settings.pin === undefined ? undefined : parsePin(settings.pin);
  const ca = settings.ca === undefined ? undefined : await readAuthorities(settings.ca);
  return {
    // A pin alone needs no authority at all.
    context: await secureContext(settings, ca ?? (pin === undefined ? undefined : [])),
    expected: settings.serverName ?? address.host,
    pin,
    checkAuthority: pin === undefined || ca !== undefined,
  };
}

/**
 * Starts a TLS connection. The caller waits for `secureConnect` and then calls `refusal` before it sends a byte.
 * `rejectUnauthorized` is always given, so that NODE_TLS_REJECT_UNAUTHORIZED means nothing here.
 */
export function openTls(address: Address, identity: TlsIdentity): TLSSocket {
  const { expected } = identity;
  return connect({
    host: address.host,
    port: address.port,
    secureContext: identity.context,
    rejectUnauthorized: identity.checkAuthority,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServerIdentity(expected, certificate),
    ALPNProtocols: ['http/1.1'],
    ...(isAddressLiteral(expected) ? {} : { servername: expected }),
  });
}

/** SHA-256 of the leaf certificate that the other side of `socket` showed, in hexadecimal. */
export function leafFingerprint(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate?.fingerprint256.replaceAll(':', '').toLowerCase();
}

/** Why a connection that was made must not be used, or undefined when it may. */
export function refusal(socket: TLSSocket, identity: TlsIdentity): string | undefined {
  if (identity.checkAuthority && !socket.authorized) return 'its certificate could not be verified';
  if (identity.pin !== undefined && leafFingerprint(socket) !== identity.pin) {
    return 'its certificate is not the pinned one';
  }
  return undefined;
}

/** A pin as 64 lower-case hexadecimal digits. @throws QuorateError `usage`. */
export function parsePin(text: string): string {
  const digits = text
    .trim()
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(digits)) {
    throw new QuorateError('usage', 'the pin of a peer is not the SHA-256 of a certificate', {
      hint: 'openssl x509 -in peer.pem -noout -fingerprint -sha256 prints it.',
    });
  }
  return digits;
}

/** All certificates of a PEM file, or of the PEM files in a folder (files without a certificate are passed over). */
export async function readAuthorities(path: string): Promise<readonly string[]> {
  const certificates: string[] = [];
  for (const file of filesAt(path)) {
    const bytes = await readBounded(file, LARGEST_PEM);
    const found = Buffer.from(bytes).toString('latin1').match(CERTIFICATE) ?? [];
    for (const certificate of found) {
      if (!isCertificate(certificate)) throw new QuorateError('file-invalid', `${file} holds a broken certificate`);
      certificates.push(certificate);
    }
  }
  if (certificates.length === 0) throw new QuorateError('file-invalid', `${path} holds no certificate in PEM`);
  return certificates;
}

/** `path` itself, or the files in it where it is a folder. */
function filesAt(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .sort()
      .map((name) => join(path, name))
      .filter(isFile);
  } catch (error) {
    throw fileError(path, error);
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

/** For all peers without a CA, a pin or a client certificate: reading all those authorities takes longer than a request. */
let ordinary: SecureContext | undefined;

async function secureContext(settings: PeerSettings, ca: readonly string[] | undefined): Promise<SecureContext> {
  const { clientCertificate, clientKey } = settings;
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    throw new QuorateError('usage', 'a client certificate needs its key, and a key its certificate', {
      hint: 'Give both client-certificate and client-key (BAO_CLIENT_CERT and BAO_CLIENT_KEY), or neither.',
    });
  }
  leaveOutDefaultAuthorities();
  const make = (own: SecureContextOptions = {}): SecureContext =>
    createSecureContext({ minVersion: 'TLSv1.2', ca: [...(ca ?? defaultAuthorities())], ...own });
  if (clientCertificate === undefined || clientKey === undefined) {
    return ca === undefined ? (ordinary ??= make()) : make();
  }
  const certificate = await readText(clientCertificate);
  const key = await readSecretFile(clientKey);
  try {
    return key.expose((bytes) =>
      make({ cert: certificate, key: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) }),
    );
  } catch {
    throw new QuorateError('file-invalid', `${clientCertificate} and ${clientKey} are no certificate and its key`, {
      hint: 'Both must be PEM, the key without a passphrase.',
    });
  } finally {
    key.wipe();
  }
}
