import { resolve } from 'node:path';
import type { CeremonyOutcome } from '../ceremony/engine.ts';
import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';
import { readBounded } from '../files.ts';
import { conductShort, quorumOptions } from './short-ceremony.ts';

/** The options of both rotations that issue shares. */
export const rotationOptions = {
  custodian: {
    value: 'NAME=KEYFILE',
    repeat: true,
    description: 'who gets a new share, with their OpenPGP public key; once for each',
  },
  threshold: { value: 'N', description: 'how many of the new shares are needed' },
  ...quorumOptions,
} as const;

type Values = Parameters<typeof conductShort>[2] & {
  readonly 'custodian'?: readonly string[];
  readonly 'threshold'?: string;
  readonly 'auto-unseal'?: boolean;
};

/** Runs a rotation from a reviewed script, or from flags that make one. @throws QuorateError `usage`. */
export async function conductRotation(
  context: Context,
  verb: 'rotate-root-key' | 'rotate-recovery-key',
  values: Values,
  file: string | undefined,
): Promise<CeremonyOutcome> {
  if (file !== undefined) return conductShort(context, verb, values, { file, flags: () => ({}) });
  const { custodian: people = [], threshold } = values;
  if (values['auto-unseal'] === true) {
    if (people.length > 0 || threshold !== undefined) {
      throw new QuorateError(
        'usage',
        'with --auto-unseal no shares are issued: leave out --custodian and --threshold',
        {
          hint: 'quorate rotate-recovery-key gives out new recovery shares.',
        },
      );
    }
    return conductShort(context, verb, values, {
      flags: (cluster) => ({ title: `New root key of ${cluster}`, seal: 'auto' }),
    });
  }
  if (people.length === 0 || threshold === undefined || !/^\d{1,3}$/.test(threshold)) {
    throw new QuorateError('usage', `without a script, ${verb} needs --custodian (once for each) and --threshold N`, {
      hint: `\`quorate ceremony new ${verb}\` writes a script to edit and review, which is the better way.`,
    });
  }
  const custodians = await Promise.all(people.map((one) => personOf(context, one)));
  return conductShort(context, verb, values, {
    flags: (cluster) => ({
      title: `New shares of ${cluster}`,
      shares: custodians.length,
      threshold: Number(threshold),
      custodians,
    }),
  });
}

async function personOf(
  context: Context,
  flag: string,
): Promise<{ readonly name: string; readonly pgp: { readonly file: string; readonly fingerprint: string } }> {
  const [, name, file] = /^([^=]+)=(.+)$/.exec(flag) ?? [];
  if (name === undefined || file === undefined) {
    throw new QuorateError('usage', 'a person is given as NAME=KEYFILE, such as "Alice Example=keys/alice.asc"');
  }
  const path = resolve(context.cwd, file);
  const openpgp = await context.openpgp();
  const { fingerprint } = await openpgp.checkPublicKey(await readBounded(path), {
    now: new Date(),
    minimumValidityDays: 0,
  });
  return { name, pgp: { file: path, fingerprint } };
}
