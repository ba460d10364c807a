import { resolve } from 'node:path';
import { EXIT, isQuorateError, QuorateError } from '../../errors.ts';
import { readBounded } from '../../files.ts';
import type { OpenPgp, PublicKeyFacts } from '../../openpgp/openpgp.ts';
import type { Paint } from '../../ui/terminal.ts';
import { defineCommand } from '../command.ts';

const DEFAULT_DAYS = 365;

/** What was found out about one key file. */
export type KeyVerdict =
  | ({ readonly file: string; readonly usable: true } & PublicKeyFacts)
  | { readonly file: string; readonly usable: false; readonly error: QuorateError };

/** Looks at every key; a bad one is a verdict, not an exception, because all should be known at once. */
export async function checkKeys(
  openpgp: OpenPgp,
  files: readonly { readonly name: string; readonly read: () => Promise<Uint8Array> }[],
  options: { readonly now: Date; readonly minimumValidityDays: number },
): Promise<readonly KeyVerdict[]> {
  const verdicts: KeyVerdict[] = [];
  for (const { name, read } of files) {
    try {
      const facts = await openpgp.checkPublicKey(await read(), options);
      const twin = verdicts.find((one) => one.usable && one.fingerprint === facts.fingerprint);
      if (twin !== undefined)
        throw new QuorateError('key-unusable', `it is the same key as ${twin.file}`, {
          hint: 'Two custodians must not share a key.',
        });
      verdicts.push({ file: name, usable: true, ...facts });
    } catch (error) {
      if (!isQuorateError(error) || error.code === 'bug') throw error;
      verdicts.push({ file: name, usable: false, error });
    }
  }
  return verdicts;
}

/** `1F2E 77AB ...  ...`: groups of four, a wider gap in the middle, as people read it aloud. */
export function grouped(fingerprint: string): string {
  const groups = fingerprint.match(/.{1,4}/g) ?? [];
  const half = groups.length / 2;
  return `${groups.slice(0, half).join(' ')}  ${groups.slice(half).join(' ')}`;
}

/** `quorate custodian check`: are these public keys ones that a share can be encrypted to? */
export const command = defineCommand({
  arguments: [{ name: 'KEYFILE', variadic: true, description: 'public keys, binary or armoured, one a file' }],
  options: {
    'valid-for': {
      value: 'DAYS',
      description: `refuse keys that expire sooner (default: ${DEFAULT_DAYS.toString()}; 0: they need only be usable now)`,
    },
  },
  examples: [
    { command: 'quorate custodian check alice.asc', text: 'before you hand your key to the administrator' },
    { command: 'quorate custodian check keys/*.asc', text: 'all keys of a ceremony; no two may be the same' },
  ],
  async run(context, values, args) {
    const days = values['valid-for'] ?? DEFAULT_DAYS.toString();
    if (!/^\d{1,5}$/.test(days)) throw new QuorateError('usage', '--valid-for takes a number of days');
    const files = args.map((name) => ({ name, read: async () => await readBounded(resolve(context.cwd, name)) }));
    const verdicts = await checkKeys(await context.openpgp(), files, {
      now: new Date(),
      minimumValidityDays: Number(days),
    });
    context.output.result(verdicts.map(asJson), () =>
      verdicts.flatMap((verdict) => lines(verdict, context.output.paint)),
    );
    return verdicts.every(({ usable }) => usable) ? EXIT.done : EXIT.usage;
  },
});

function asJson(verdict: KeyVerdict): Record<string, unknown> {
  if (!verdict.usable) return { file: verdict.file, usable: false, error: verdict.error.toJSON() };
  const { file, fingerprint, userIds, algorithm, expires } = verdict;
  return { file, usable: true, fingerprint, userIds, algorithm, expires: expires?.toISOString() ?? null };
}

function lines(verdict: KeyVerdict, paint: Paint): readonly string[] {
  if (!verdict.usable) {
    const { message, hint } = verdict.error;
    return [`${paint.bad('FAIL')}  ${verdict.file}   ${message}`, ...(hint === undefined ? [] : [`      ${hint}`])];
  }
  const { file, fingerprint, userIds, algorithm, expires } = verdict;
  const end = expires === null ? 'never expires' : `expires ${expires.toISOString().slice(0, 10)}`;
  return [
    `${paint.good('ok')}    ${file}   ${userIds.map(printable).join(', ')}`,
    `      ${grouped(fingerprint)}`,
    `      ${algorithm}, ${end}`,
  ];
}

/** A user id is anybody's text. */
function printable(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]/gu, '?');
}
