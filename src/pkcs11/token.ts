import type { Handle, PKCS11 } from 'pkcs11js';
import { QuorateError } from '../errors.ts';
import { calling } from './failure.ts';

/** The flags of a token (CKF_* of CK_TOKEN_INFO, PKCS#11 2.40 section 3.2). */
const TOKEN_FLAGS = {
  writeProtected: 0x2,
  loginRequired: 0x4,
  userPinSet: 0x8,
  /** The PIN is typed at the device. pkcs11js cannot log in to such a token without a PIN. */
  protectedPath: 0x100,
  initialised: 0x400,
  /** At least one wrong PIN since the last right one. */
  userPinCountLow: 0x1_0000,
  /** One more wrong PIN locks it. */
  userPinFinalTry: 0x2_0000,
  userPinLocked: 0x4_0000,
  userPinToBeChanged: 0x8_0000,
  soPinCountLow: 0x10_0000,
  soPinFinalTry: 0x20_0000,
  soPinLocked: 0x40_0000,
  soPinToBeChanged: 0x80_0000,
  errorState: 0x100_0000,
} as const;

export type TokenFlag = keyof typeof TOKEN_FLAGS;

/** What a token says about itself, asked anew at each call. Text is as the token gives it, without the padding. */
export interface TokenInfo {
  /** The slot's number (CK_SLOT_ID, up to 64 bits), which some libraries change when a token is initialised or moved. */
  readonly slot: bigint;
  /** Empty before the token was initialised. */
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly hardware: string;
  readonly firmware: string;
  readonly flags: Readonly<Record<TokenFlag, boolean>>;
  readonly minPinLength: number;
  readonly maxPinLength: number;
}

/** A slot with the token in it. Holds no session; `handle` is only for the library that it came from. */
export interface Token extends TokenInfo {
  readonly handle: Handle;
}

/** Which token is meant. Several of these must all fit; none at all fits the only initialised token. */
export interface TokenChoice {
  readonly label?: string;
  readonly slot?: bigint;
  readonly serial?: string;
}

/** A CK_ULONG as pkcs11js hands it out: 4 or 8 bytes in the machine's order, which is little-endian where Node runs. */
export function ulongOf(handle: Uint8Array): bigint {
  let value = 0n;
  for (const byte of handle.toReversed()) value = (value << 8n) | BigInt(byte);
  return value;
}

/** A slot's number as people write it, `123` or `0x7b`; undefined when it is neither. */
export function parseSlot(text: string): bigint | undefined {
  return /^(?:0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text) ? BigInt(text) : undefined;
}

const trimmed = (text: string): string => text.replace(/[\0 ]+$/, '');
const version = ({ major, minor }: { readonly major: number; readonly minor: number }): string =>
  `${major.toString()}.${minor.toString()}`;

/** Reads CK_TOKEN_INFO of one slot. @throws as `failureOf`, `hsm-token-missing` when there is none in it. */
export function readToken(module: PKCS11, handle: Handle): Token {
  const info = calling('C_GetTokenInfo', () => module.C_GetTokenInfo(handle));
  const flags = Object.fromEntries(
    Object.entries(TOKEN_FLAGS).map(([name, bit]) => [name, (info.flags & bit) !== 0]),
  ) as Record<TokenFlag, boolean>;
  return {
    handle,
    slot: ulongOf(handle),
    // What an uninitialised token has for a label means nothing.
    label: flags.initialised ? trimmed(info.label) : '',
    manufacturer: trimmed(info.manufacturerID),
    model: trimmed(info.model),
    serial: trimmed(info.serialNumber),
    hardware: version(info.hardwareVersion),
    firmware: version(info.firmwareVersion),
    flags,
    minPinLength: info.minPinLen,
    maxPinLength: info.maxPinLen,
  };
}

/** `label "seal", slot 3`, for messages. */
export function describeChoice({ label, slot, serial }: TokenChoice): string {
  const parts = [
    ...(label === undefined ? [] : [`label "${label}"`]),
    ...(slot === undefined ? [] : [`slot ${slot.toString()}`]),
    ...(serial === undefined ? [] : [`serial ${serial}`]),
  ];
  return parts.join(', ');
}

/**
 * The one token of `tokens` that is meant.
 * @throws QuorateError `hsm-token-missing` when none fits, `hsm-token-ambiguous` when several do.
 */
export function chooseToken(tokens: readonly Token[], choice: TokenChoice): Token {
  const { label, slot, serial } = choice;
  const named = label !== undefined || slot !== undefined || serial !== undefined;
  const fitting = tokens.filter(
    (token) =>
      (label === undefined || token.label === label) &&
      (slot === undefined || token.slot === slot) &&
      (serial === undefined || token.serial === serial) &&
      (named || token.flags.initialised),
  );
  const [token, ...others] = fitting;
  const what = named ? `token with ${describeChoice(choice)}` : 'initialised token';
  if (token === undefined) {
    const there = tokens.filter(({ flags }) => flags.initialised).map((one) => `"${one.label}"`);
    throw new QuorateError('hsm-token-missing', `the library sees no ${what}`, {
      hint: there.length === 0 ? 'It sees no initialised token at all.' : `It sees ${there.join(', ')}.`,
    });
  }
  if (others.length > 0) {
    throw new QuorateError('hsm-token-ambiguous', `${fitting.length.toString()} tokens fit: ${what}`, {
      hint: `Name one by its serial: ${fitting.map((one) => one.serial).join(', ')}.`,
    });
  }
  return token;
}
