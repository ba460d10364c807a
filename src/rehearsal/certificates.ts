import { randomBytes, webcrypto } from 'node:crypto';
import { Secret } from '../secret.ts';

const DAY = 24 * 60 * 60 * 1000;
const LIFETIME_DAYS = 90;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface PeerCertificate {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8 as PEM; the caller wipes it. */
  readonly key: Secret;
}

export interface Certificates {
  /** The CA's certificate, PEM. Its private key is gone when this exists. */
  readonly ca: string;
  readonly peers: readonly PeerCertificate[];
}

/**
 * Makes a certificate authority for one throwaway cluster and, signed by it, a server certificate for each of
 * `names`, good for 127.0.0.1 and localhost (ECDSA P-256, 90 days). The CA's private key is a WebCrypto key that
 * cannot be exported: it never leaves this function.
 */
export async function makeCertificates(names: readonly string[]): Promise<Certificates> {
  // @peculiar/x509 needs the Reflect metadata API in place before it is loaded.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  // Node's WebCrypto is the browser's but for the types.
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  const notBefore = new Date(Date.now() - DAY);
  const notAfter = new Date(Date.now() + LIFETIME_DAYS * DAY);

  const caKeys = await webcrypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=quorate rehearsal CA',
    notBefore,
    notAfter,
    keys: caKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });

  const peers = await Promise.all(
    names.map(async (name): Promise<PeerCertificate> => {
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: `CN=${name}`,
        issuer: ca.subject,
        notBefore,
        notAfter,
        publicKey: keys.publicKey,
        signingKey: caKeys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          new x509.SubjectAlternativeNameExtension([
            { type: 'ip', value: '127.0.0.1' },
            { type: 'dns', value: 'localhost' },
          ]),
          await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
          await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
        ],
      });
      return { certificate: pemLines(certificate.toString('pem')), key: await exportKey(keys.privateKey) };
    }),
  );
  return { ca: pemLines(ca.toString('pem')), peers };
}

/** 127 random bits: positive as an ASN.1 integer, and never zero. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pemLines(pem: string): string {
  return `${pem.trimEnd()}\n`;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<Secret> {
  const der = new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', key));
  try {
    const base64 = Buffer.from(der.buffer).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
    return Secret.fromText(`-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----\n`);
  } finally {
    der.fill(0);
  }
}
