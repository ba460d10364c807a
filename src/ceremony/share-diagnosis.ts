import { QuorateError } from '../errors.ts';

const SHAPE = 'A share is 66 hexadecimal or 44 base64 characters.';
const COUNT = `${SHAPE} Blanks do not count.`;
const ALIKE = '0 and O, 1 and l, 5 and S, 8 and B are easily taken for one another.';

/**
 * Says what a text looks like that is not a share, so that the person knows what they have in hand.
 * It tells kinds, counts and positions (from 1, blanks not counted), and never a character of the text.
 * @param raw the text as it was given. @param text the same without blanks.
 */
export function diagnose(raw: Uint8Array, text: Uint8Array, options: { readonly single: boolean }): QuorateError {
  const [message, hint] = explain(raw, text, options.single);
  return new QuorateError('share-invalid', message, { hint });
}

function explain(raw: Uint8Array, text: Uint8Array, single: boolean): readonly [string, string] {
  const length = text.length;
  if (length === 0) return ['nothing was given', SHAPE];
  return foreign(raw, text) ?? misspelt(text, length, single);
}

/** Things that people have at hand in a ceremony and give by mistake. */
function foreign(raw: Uint8Array, text: Uint8Array): readonly [string, string] | undefined {
  const decrypt = 'Decrypt it first, with `quorate custodian decrypt`, or give the file as one that is encrypted.';
  if (startsWith(text, '-----BEGINPGPMESSAGE')) return ['that is an encrypted OpenPGP message, not a share', decrypt];
  if (startsWith(text, '-----BEGIN')) return ['that is a key or certificate, not a share', SHAPE];
  if (startsWith(text, 'ssh-') || startsWith(text, 'ecdsa-sha2-') || startsWith(text, 'sk-'))
    return ['that is an SSH key, not a share', SHAPE];
  if (isToken(text))
    return [
      'that looks like a token, not a share',
      'Take it for known to whoever could see this screen, and revoke it.',
    ];
  if (startsWith(text, '{') || startsWith(text, '[')) return ['that is JSON, not a share', `${SHAPE} Give one share.`];
  if (isQuote(text[0])) return ['the share is in quotes', 'Give it without them.'];
  if (raw[0] === 0xff || raw[0] === 0xfe || raw.includes(0))
    return ['that is not plain text (UTF-16 or binary)', `${SHAPE} Save the file as UTF-8 text.`];
  if ((text[0] ?? 0) >= 0x80)
    return ['that is binary: an OpenPGP message, or the bytes of a share', `${SHAPE} ${decrypt}`];
  if (text.length > 88 && startsWithAny(text, ['wc', 'wV', 'hQ', 'hF', 'hE']) && text.every(isBase64))
    return ['that is an encrypted OpenPGP message in base64, as the server issues it, not a share', decrypt];
  if (text.includes(0x3a)) return ['a label came along with the share', 'Give only what stands after the colon.'];
  if (wordCount(raw) >= 12) return ['that is a phrase of words, not a share', SHAPE];
  return undefined;
}

/** A share, but for its spelling or its length. */
function misspelt(text: Uint8Array, length: number, single: boolean): readonly [string, string] {
  const odd = [...text.entries()].filter(([, character]) => !isHex(character)).map(([index]) => index);
  // Mostly hexadecimal (base64 has a third of its characters there), so it was meant as that.
  if (odd.length <= 4 && length > 44) {
    if (length === 66 || length === 64) {
      const [first] = odd;
      if (first !== undefined)
        return [`character ${(first + 1).toString()} of ${length.toString()} is not hexadecimal`, ALIKE];
      return single || length === 66 ? notSingle(length / 2) : withoutX();
    }
    return [`${length.toString()} hexadecimal characters, where a share has ${single ? '64' : '66'}`, COUNT];
  }
  if (length >= 42 && length <= 45 && text.some((character) => character === 0x2d || character === 0x5f))
    return ['that is url-safe base64, which the servers refuse', 'Write + for - and / for _.'];
  if (length === 44) {
    const wrong = text.findIndex((character, index) => !isBase64(character) || (character === 0x3d && index < 43));
    if (wrong >= 0) return [`character ${(wrong + 1).toString()} of 44 is not base64`, ALIKE];
    if (text[43] === 0x3d) return single ? ['character 43 of 44 is not one that base64 has there', ALIKE] : withoutX();
    return notSingle(33);
  }
  return [`${length.toString()} characters, where a share has 66 hexadecimal or 44 base64 ones`, COUNT];
}

function withoutX(): readonly [string, string] {
  return [
    '32 bytes, and a share has 33: the x-coordinate at the end is missing',
    'Two hexadecimal characters were lost, or it is the key of a cluster with one share only, or no share at all.',
  ];
}

function notSingle(bytes: number): readonly [string, string] {
  return [
    `${bytes.toString()} bytes, and the only share of a cluster has 32`,
    'It is a share of another cluster, or of a time when this one had several shares.',
  ];
}

/** OpenBao's and Vault's service, batch and recovery tokens, old and new style. */
function isToken(text: Uint8Array): boolean {
  return text.length < 400 && startsWithAny(text, ['hvs.', 'hvb.', 'hvr.', 's.', 'b.', 'r.']);
}

function startsWith(text: Uint8Array, prefix: string): boolean {
  for (let index = 0; index < prefix.length; index += 1) if (text[index] !== prefix.charCodeAt(index)) return false;
  return true;
}

function startsWithAny(text: Uint8Array, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => startsWith(text, prefix));
}

function isQuote(character = 0): boolean {
  return character === 0x22 || character === 0x27 || character === 0x60;
}

function isHex(character: number): boolean {
  const letter = character | 0x20;
  return (character >= 0x30 && character <= 0x39) || (letter >= 0x61 && letter <= 0x66);
}

function isBase64(character: number): boolean {
  const letter = character | 0x20;
  if (letter >= 0x61 && letter <= 0x7a) return true;
  return (character >= 0x2f && character <= 0x39) || character === 0x2b || character === 0x3d;
}

function wordCount(raw: Uint8Array): number {
  let words = 0;
  let length = 0;
  for (const character of raw) {
    const letter = character | 0x20;
    if (letter >= 0x61 && letter <= 0x7a && character !== 0x20) length += 1;
    else {
      if (length >= 3) words += 1;
      length = 0;
    }
  }
  return length >= 3 ? words + 1 : words;
}
