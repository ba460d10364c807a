import type { CeremonySetting } from '../ceremony/engine.ts';
import type { CeremonyTools } from '../ceremony/tools.ts';
import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';

/** The adapters that ceremonies use, from the context. */
export async function ceremonyTools(context: Context): Promise<CeremonyTools> {
  const openpgp = await context.openpgp();
  return {
    now: () => new Date(),
    checkPublicKey: (bytes, options) => openpgp.checkPublicKey(bytes, options),
    discardedKey: () => openpgp.discardedKey(),
  };
}

/** What records say of the program that wrote them. */
export async function quorateBuild(): Promise<CeremonySetting['quorate']> {
  const { version, buildHash } = await import('../build.ts');
  const build = buildHash();
  return { version, build: build === 'source' ? build : `sha256:${build}` };
}

export const acceptOptions = {
  'accept': { value: 'CODE', repeat: true, description: 'go on although this check fails; needs --reason' },
  'reason': { value: 'TEXT', description: 'why, for the record' },
  'longest-wait': {
    value: 'MINUTES',
    description:
      'give up, and cancel what is under way, when nobody answers for so long (default: as quorate.yaml says)',
  },
} as const;

/** Where invitations and receipts lie, when custodians are not in the room. */
export const apartOption = {
  apart: {
    value: 'DIR',
    description: 'custodians take part from their own machines: invitations go to this folder, receipts come from it',
  },
} as const;

/** The findings that may fail. @throws QuorateError `usage` when no reason is given for them. */
export function acceptedFindings(values: {
  readonly accept?: readonly string[];
  readonly reason?: string;
}): ReadonlyMap<string, string> {
  const { accept = [], reason } = values;
  if (accept.length > 0 && (reason ?? '').trim() === '') {
    throw new QuorateError('usage', '--accept needs --reason: the record says why a failing check was accepted');
  }
  return new Map(accept.map((code) => [code, reason ?? '']));
}

interface ConductValues {
  readonly accept?: readonly string[];
  readonly reason?: string;
  readonly records?: string;
  readonly reset?: boolean;
  readonly apart?: string;
}

/** @throws QuorateError `usage` for anything but a number of minutes. */
function minutes(text: string): number {
  if (/^\d{1,5}(\.\d{1,3})?$/.test(text)) return Number(text);
  throw new QuorateError('usage', '--longest-wait takes a number of minutes');
}

/** The options of a command that `conduct` takes as they are. */
export function conductValues({
  accept,
  reason,
  records,
  reset,
  apart,
  ...values
}: ConductValues & { readonly 'longest-wait'?: string }): ConductValues & { readonly longestWait?: number } {
  const wait = values['longest-wait'];
  return {
    ...(wait === undefined ? {} : { longestWait: minutes(wait) }),
    ...(accept === undefined ? {} : { accept }),
    ...(reason === undefined ? {} : { reason }),
    ...(records === undefined ? {} : { records }),
    ...(reset === undefined ? {} : { reset }),
    ...(apart === undefined ? {} : { apart }),
  };
}
