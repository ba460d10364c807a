import { QuorateError } from '../errors.ts';

const BEGIN = '-----BEGIN PGP MESSAGE-----';
const END = '-----END PGP MESSAGE-----';
/** No message to a public key is shorter; a share is. */
const SHORTEST = 60;
const ARMOUR_START = '-----BEGIN';

/**
 * The binary form of an encrypted OpenPGP message that came as binary, as armoured text, or as base64 or
 * hexadecimal text (`keys_base64` and `keys` in a server's reply). Only the form is looked at.
 * @throws QuorateError `share-undecryptable` when it is none of these.
 */
export function messageBytes(input: Uint8Array): Uint8Array {
  // Every OpenPGP packet starts with a byte that has its highest bit set (RFC 9580, section 4.2); text does not.
  if ((input[0] ?? 0) >= 0x80 && !startsWithMark(input)) return encrypted(Uint8Array.from(input));
  const text = new TextDecoder('utf-8').decode(input).trim();
  if (text.startsWith(BEGIN)) return encrypted(dearmour(text));
  if (text.startsWith(ARMOUR_START))
    throw refuse('that is not an encrypted OpenPGP message, but something else with armour');
  const dense = text.replace(/\s+/g, '');
  if (/^(?:[0-9a-fA-F]{2})+$/.test(dense)) return encrypted(Uint8Array.from(Buffer.from(dense, 'hex')));
  if (isBase64(dense)) return encrypted(Uint8Array.from(Buffer.from(dense, 'base64')));
  throw refuse('that is not an OpenPGP message');
}

/** The radix-64 body between the headers and the checksum, which adds nothing to the message's own integrity check. */
function dearmour(text: string): Uint8Array {
  const end = text.indexOf(END);
  if (end < 0) throw refuse('the OpenPGP message is cut off: its END line is missing');
  if (text.slice(end + END.length).trim() !== '') throw refuse('something follows the OpenPGP message in the file');
  const lines = text.slice(BEGIN.length, end).replaceAll('\r', '').split('\n');
  const body = lines
    .slice(1)
    .filter((line) => !/^[A-Za-z]+: /.test(line) && !/^=[A-Za-z0-9+/]{4}\s*$/.test(line))
    .join('')
    .replace(/\s+/g, '');
  if (!isBase64(body)) throw refuse('the OpenPGP message is damaged');
  return Uint8Array.from(Buffer.from(body, 'base64'));
}

/** A message to a public key starts with a session key packet (tag 1), or a marker (tag 10) before it. */
function encrypted(bytes: Uint8Array): Uint8Array {
  const first = bytes[0] ?? 0;
  const tag = (first & 0xc0) === 0xc0 ? first & 0x3f : (first & 0x3c) >> 2;
  if (first >= 0x80 && (tag === 1 || tag === 10) && bytes.length >= SHORTEST) return bytes;
  const isKey = first >= 0x80 && [5, 6, 7, 14].includes(tag);
  throw refuse(isKey ? 'that is an OpenPGP key, not an encrypted message' : 'that is not an encrypted OpenPGP message');
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

/** A UTF-8 byte order mark, as some editors put before text. */
function startsWithMark(input: Uint8Array): boolean {
  return input[0] === 0xef && input[1] === 0xbb && input[2] === 0xbf;
}

function refuse(message: string): QuorateError {
  return new QuorateError('share-undecryptable', message, {
    hint: 'Give the file that the ceremony wrote for you: binary, armoured, base64 or hexadecimal.',
  });
}
