import { type ErrorCode, QuorateError } from '../errors.ts';

/** What a call of the library said: the name of its CKR value, or undefined when it was no answer of the library at all. */
export interface Answer {
  /** `CKR_PIN_INCORRECT`; a value that has no name here is written as `CKR 0x80000123`. */
  readonly name: string;
}

/** PKCS#11 3.0 and 3.1 values that pkcs11js 2.1.7 calls CKR_VENDOR_DEFINED. */
const NEWER: Readonly<Record<number, string>> = {
  0x1b: 'CKR_ACTION_PROHIBITED',
  0x35: 'CKR_AEAD_DECRYPT_FAILED',
  0x201: 'CKR_TOKEN_RESOURCE_EXCEEDED',
  0x202: 'CKR_OPERATION_CANCEL_FAILED',
};

/** The CKR value in what pkcs11js threw, whose message is `CKR_NAME` or, from some of its methods, `CKR_NAME:NUMBER`. */
export function answerOf(error: unknown): Answer | undefined {
  if (!(error instanceof Error)) return undefined;
  const match = /^(CKR_[A-Z0-9_]+)(?::(\d+))?/.exec(error.message);
  if (match === null) return undefined;
  const [, name = '', number] = match;
  if (name !== 'CKR_VENDOR_DEFINED') return { name };
  const value = Number(number ?? (error as { code?: unknown }).code ?? 0);
  return { name: NEWER[value] ?? `CKR 0x${value.toString(16)}` };
}

const named = (names: string): readonly string[] => names.split(' ').map((name) => `CKR_${name}`);

interface Meaning {
  readonly code: ErrorCode;
  readonly words: string;
  readonly hint?: string;
}

const MEANINGS: readonly (readonly [readonly string[], Meaning])[] = [
  [
    named('PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE'),
    {
      code: 'pin-wrong',
      words: 'the token refused the PIN',
      hint: 'Find the right one before another try: tokens lock the PIN after a few wrong ones. quorate hsm tokens shows how near that is.',
    },
  ],
  [
    named('PIN_LOCKED'),
    {
      code: 'pin-locked',
      words: 'the PIN is locked after too many wrong ones',
      hint: "Only the token's security officer can set a new one; the keys are not lost by that.",
    },
  ],
  [
    named('PIN_EXPIRED PIN_TOO_WEAK USER_PIN_NOT_INITIALIZED'),
    {
      code: 'pin-unusable',
      words: 'the token wants another PIN',
      hint: "Set one with the vendor's tool, or with quorate hsm init on a token that holds nothing yet.",
    },
  ],
  [
    named('TOKEN_NOT_PRESENT DEVICE_REMOVED SLOT_ID_INVALID TOKEN_NOT_RECOGNIZED'),
    {
      code: 'hsm-token-missing',
      words: 'the token is not there',
      hint: 'Is it plugged in, powered, and reachable from here? quorate hsm tokens lists what the library sees.',
    },
  ],
  [
    named(
      'SESSION_HANDLE_INVALID SESSION_CLOSED CRYPTOKI_NOT_INITIALIZED OBJECT_HANDLE_INVALID KEY_HANDLE_INVALID USER_NOT_LOGGED_IN OPERATION_ACTIVE OPERATION_NOT_INITIALIZED OPERATION_CANCEL_FAILED',
    ),
    { code: 'hsm-session-lost', words: 'the session with the token has ended', hint: 'Run the command again.' },
  ],
  [
    named('MECHANISM_INVALID MECHANISM_PARAM_INVALID FUNCTION_NOT_SUPPORTED'),
    {
      code: 'hsm-mechanism-missing',
      words: 'the token does not offer this mechanism, or not with these parameters',
      hint: 'quorate hsm tokens --mechanisms lists what it offers; some tokens offer less in FIPS mode.',
    },
  ],
  [
    named('KEY_FUNCTION_NOT_PERMITTED KEY_TYPE_INCONSISTENT KEY_SIZE_RANGE ACTION_PROHIBITED'),
    {
      code: 'hsm-key-unfit',
      words: 'the key is not allowed to do this',
      hint: 'quorate hsm inspect shows what it may do.',
    },
  ],
  [
    named('ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE AEAD_DECRYPT_FAILED'),
    {
      code: 'hsm-decryption-failed',
      words: 'what was to be decrypted is not what this key encrypted',
    },
  ],
  [named('TOKEN_WRITE_PROTECTED SESSION_READ_ONLY'), { code: 'hsm-failed', words: 'the token is write-protected' }],
  [
    named('SESSION_EXISTS SESSION_COUNT TOKEN_RESOURCE_EXCEEDED'),
    {
      code: 'hsm-failed',
      words: 'other programs hold sessions with the token',
      hint: 'End them (a server that uses the token is one), or wait, and try again.',
    },
  ],
];

/** How some tokens refuse a tampered text: SoftHSM 2.6.1 answers CKR_GENERAL_ERROR, as it does to real failures. */
const VAGUE = new Set(named('GENERAL_ERROR FUNCTION_FAILED DATA_INVALID DATA_LEN_RANGE ARGUMENTS_BAD'));

/**
 * What a failed call of the library means, always with the name of its CKR value in the message:
 *
 * - `pin-wrong`, `pin-locked`, `pin-unusable`: never try the same PIN again.
 * - `hsm-token-missing`: removed or unreachable; `reinitialise` the library, and look again.
 * - `hsm-session-lost`: this session, or the whole library, was closed by another; open a new one.
 * - `hsm-mechanism-missing`, `hsm-key-unfit`: trying again changes nothing.
 * - `hsm-decryption-failed`: the text, the key, the IV or the additional data are not those of the encryption. From
 *   `C_Decrypt` also where the token answered so vaguely that its own failure is possible; the message says so.
 * - `hsm-failed`: anything else (the device, memory, a vendor's own value): may be gone at the next try.
 *
 * Never carries the library's own text, a PIN, or data. @param call such as `C_Login`.
 */
export function failureOf(call: string, error: unknown): QuorateError {
  if (error instanceof QuorateError) return error;
  const answer = answerOf(error);
  if (answer === undefined) {
    const kind = error instanceof Error ? error.name : typeof error;
    return new QuorateError('bug', `${call} was called wrongly (${kind})`);
  }
  const { name } = answer;
  // SoftHSM 2.6.1 says so of an OAEP hash that it does not do.
  const meant = name === 'CKR_ARGUMENTS_BAD' && call.endsWith('cryptInit') ? 'CKR_MECHANISM_PARAM_INVALID' : name;
  const known = MEANINGS.find(([names]) => names.includes(meant))?.[1];
  if (known !== undefined) {
    return new QuorateError(
      known.code,
      `${known.words} (${name} from ${call})`,
      known.hint === undefined ? {} : { hint: known.hint },
    );
  }
  if (call === 'C_Decrypt' && VAGUE.has(name)) {
    return new QuorateError(
      'hsm-decryption-failed',
      `the token did not decrypt: not what this key encrypted, or the token failed (${name} from ${call})`,
    );
  }
  return new QuorateError('hsm-failed', `the token or its library failed (${name} from ${call})`, {
    hint: "Try again; if it stays, the vendor's log says more.",
  });
}

/** Runs one call of the library, and throws `failureOf` what it throws. */
export function calling<T>(call: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failureOf(call, error);
  }
}
