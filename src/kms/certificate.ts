import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** The certificate of one process's life, for the one server that launched it. */
export interface OwnCertificate {
  readonly der: Uint8Array;
  /** PEM, as node:tls takes them. */
  readonly certificate: string;
  readonly key: string;
}

const VALID_YEARS = 30;

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OID = 0x06;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const DNS_NAME = 0x82;

const ECDSA_WITH_SHA256 = '2a8648ce3d040302';
const COMMON_NAME = '550403';
const SUBJECT_ALT_NAME = '551d11';
const EXTENDED_KEY_USAGE = '551d25';
const SERVER_AUTH = '2b06010505070301';
const CLIENT_AUTH = '2b06010505070302';

/**
 * A self-signed certificate for `localhost`: ECDSA P-256, subjectAltName dNSName, extended key usage serverAuth, as
 * OpenBao wants of a plugin (2.7.2: a common name alone is refused, and so is clientAuth alone). It outlives any
 * process, since nobody renews it. Node issues none; a library for X.509 would double the time that the plugin starts in.
 * @param client whether the certificate is for the side that connects, which then has both usages.
 */
export function makeCertificate({ client = false, now = new Date() } = {}): OwnCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(der(SET, sequence(oid(COMMON_NAME), der(UTF8_STRING, Buffer.from('localhost')))));
  const serial = randomBytes(16);
  // Positive, and without a leading zero byte.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const start = new Date(now.getTime() - 60 * 60 * 1000);
  const end = new Date(now);
  end.setUTCFullYear(end.getUTCFullYear() + VALID_YEARS);
  const algorithm = sequence(oid(ECDSA_WITH_SHA256));
  const extensions = sequence(
    extension(SUBJECT_ALT_NAME, sequence(der(DNS_NAME, Buffer.from('localhost')))),
    extension(EXTENDED_KEY_USAGE, sequence(oid(SERVER_AUTH), ...(client ? [oid(CLIENT_AUTH)] : []))),
  );
  const body = sequence(
    der(0xa0, der(INTEGER, Buffer.of(2))), // version 3
    der(INTEGER, serial),
    algorithm,
    name,
    sequence(time(start), time(end)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, algorithm, der(BIT_STRING, Buffer.concat([Buffer.of(0), signature])));
  return {
    der: new Uint8Array(certificate),
    certificate: pem(certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), der(OCTET_STRING, value));
}

function oid(hex: string): Buffer {
  return der(OID, Buffer.from(hex, 'hex'));
}

function time(date: Date): Buffer {
  return der(GENERALIZED_TIME, Buffer.from(`${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(SEQUENCE, Buffer.concat(parts));
}

/** Tag, length, value (X.690). */
function der(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, Math.floor(length / 0x100), length % 0x100];
  return Buffer.concat([Buffer.of(tag, ...size), value]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
