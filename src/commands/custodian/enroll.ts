import { resolve } from 'node:path';
import { makeClaim, mergeClaims, parseClaim, renderClaim, rosterFromClaims } from '../../ceremony/roster/claims.ts';
import { loadRoster, renderRoster } from '../../ceremony/roster/roster.ts';
import type { Roster } from '../../ceremony/roster/schema.ts';
import { parseShare } from '../../ceremony/share.ts';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readBounded, readSecretDescriptor, readSecretFile, readText, writeExclusive } from '../../files.ts';
import type { Secret } from '../../secret.ts';
import { defineCommand } from '../command.ts';
import { openMessage } from './opening.ts';

/** `quorate custodian enroll`: a roster for a cluster that lives already, one claim a custodian, then merged. */
export const command = defineCommand({
  arguments: [
    { name: 'CLAIM', optional: true, variadic: true, description: 'with --merge: the files that custodians handed in' },
  ],
  options: {
    'cluster': { value: 'NAME', description: 'the cluster, by its name in quorate.yaml' },
    'cluster-id': {
      value: 'ID',
      description: 'its id, which an unsealed server tells (`quorate status --format json`)',
    },
    'holder': { value: 'NAME', description: 'your name' },
    'share-file': { value: 'FILE', description: 'the share in a file that only you can read; a prompt asks otherwise' },
    'share-fd': { value: 'N', description: 'the share from an open file descriptor; 0 is standard input' },
    'pgp-share': { value: 'FILE', description: 'the share as an OpenPGP message, which gpg decrypts in memory' },
    'gnupg-home': { value: 'DIR', description: "with --pgp-share: another GnuPG home than the user's own" },
    'pgp-key': { value: 'KEYFILE', description: 'your OpenPGP public key' },
    'ssh-key': { value: 'KEYFILE', description: 'your SSH key, whose fingerprint goes into the roster' },
    'single': { description: 'the cluster has one share only, of 32 bytes' },
    'merge': { value: 'ROSTER', description: 'put claims into this roster, and print the result for review' },
    'shares': {
      value: 'N',
      description: 'with --merge, where there is no roster yet: the shares of the cluster in all',
    },
    'threshold': { value: 'T', description: 'with --shares: how many of them open the seal' },
    'recovery': { description: 'with --shares: they are recovery shares of an auto-unseal seal' },
    'output': { value: 'FILE', description: 'write to this new file in place of standard output' },
  },
  examples: [
    {
      command: "quorate custodian enroll --cluster prod-eu --holder 'Alice Example' --output alice.claim.yaml",
      text: 'on your own machine; asks for the share, hidden, and writes none of it',
    },
    {
      command: 'quorate custodian enroll --merge roster.yaml *.claim.yaml --shares 5 --threshold 3 --output new.yaml',
      text: 'the administrator puts the claims together',
    },
  ],
  async run(context, values, args) {
    const { merge } = values;
    if (merge === undefined) {
      if (args.length > 0) throw new QuorateError('usage', 'claims are named with --merge ROSTER');
      const claim = await claimShare(context, values);
      await give(context, values.output, claim, renderClaim(claim));
      return undefined;
    }
    const claims = await Promise.all(
      args.map(async (file) => parseClaim(await readText(resolve(context.cwd, file)), file)),
    );
    const roster = await existing(resolve(context.cwd, merge));
    const merged = roster === undefined ? rosterFromClaims(claims, begun(values)) : mergeClaims(roster, claims);
    await give(context, values.output, merged, renderRoster(merged));
    context.output.say(
      `${merged.shares.length.toString()} listed, ${(merged.unlisted ?? 0).toString()} still unlisted. Nothing was overwritten: review it, then put it in the place of ${merge}.`,
    );
    return undefined;
  },
});

interface EnrollValues {
  readonly 'cluster'?: string;
  readonly 'cluster-id'?: string;
  readonly 'holder'?: string;
  readonly 'share-file'?: string;
  readonly 'share-fd'?: string;
  readonly 'pgp-share'?: string;
  readonly 'gnupg-home'?: string;
  readonly 'pgp-key'?: string;
  readonly 'ssh-key'?: string;
  readonly 'single'?: boolean;
}

async function claimShare(context: Context, values: EnrollValues): Promise<ReturnType<typeof makeClaim>> {
  const { cluster, holder } = values;
  if (cluster === undefined || holder === undefined)
    throw new QuorateError('usage', 'a claim needs --cluster NAME and --holder NAME');
  const keys = await keyFingerprints(context, values);
  const text = await readShare(context, values);
  try {
    const share = parseShare(text, { single: values.single === true });
    try {
      return makeClaim(share, { cluster, clusterId: values['cluster-id'], holder, ...keys });
    } finally {
      share.bytes.wipe();
    }
  } finally {
    text.wipe();
  }
}

async function keyFingerprints(context: Context, values: EnrollValues): Promise<{ pgp?: string; ssh?: string }> {
  const { 'pgp-key': pgp, 'ssh-key': ssh } = values;
  const keys: { pgp?: string; ssh?: string } = {};
  if (pgp !== undefined) {
    const openpgp = await context.openpgp();
    const bytes = await readBounded(resolve(context.cwd, pgp));
    keys.pgp = (await openpgp.checkPublicKey(bytes, { now: new Date(), minimumValidityDays: 0 })).fingerprint;
  }
  if (ssh !== undefined) {
    const { sshKeygen } = await context.programs();
    keys.ssh = await sshKeygen.fingerprint(resolve(context.cwd, ssh), context.signal);
  }
  return keys;
}

async function readShare(context: Context, values: EnrollValues): Promise<Secret> {
  const { 'share-file': file, 'share-fd': descriptor, 'pgp-share': message, 'gnupg-home': home } = values;
  if ([file, descriptor, message].filter((one) => one !== undefined).length > 1)
    throw new QuorateError('usage', '--share-file, --share-fd and --pgp-share exclude each other');
  if (file !== undefined) return await readSecretFile(resolve(context.cwd, file));
  if (descriptor !== undefined) {
    if (!/^\d{1,4}$/.test(descriptor)) throw new QuorateError('usage', '--share-fd takes the number of a descriptor');
    return await readSecretDescriptor(Number(descriptor));
  }
  if (message === undefined) return await context.prompts.secret('Your share', { instead: '--share-file FILE' });
  const { gpg } = await context.programs();
  const bytes = await readBounded(resolve(context.cwd, message), 64 << 10);
  return await openMessage(bytes, { kind: 'gpg', gpg, home, signal: context.signal });
}

async function existing(path: string): Promise<Roster | undefined> {
  try {
    return await loadRoster(path);
  } catch (error) {
    if (isQuorateError(error, 'file-missing')) return undefined;
    throw error;
  }
}

function begun(values: { readonly shares?: string; readonly threshold?: string; readonly recovery?: boolean }): {
  shares: number;
  threshold: number;
  seal: Roster['seal'];
} {
  const whole = (text: string | undefined, option: string): number => {
    if (text === undefined || !/^[1-9]\d{0,2}$/.test(text))
      throw new QuorateError('usage', `a roster that does not exist yet needs ${option}, a number from 1 to 255`);
    return Number(text);
  };
  return {
    shares: whole(values.shares, '--shares N'),
    threshold: whole(values.threshold, '--threshold T'),
    seal: values.recovery === true ? 'recovery' : 'shamir',
  };
}

/** To a new file, or as the command's result: the same text for people, the value for scripts. */
async function give(context: Context, output: string | undefined, value: unknown, text: string): Promise<void> {
  if (output !== undefined) await writeExclusive(resolve(context.cwd, output), text);
  else context.output.result(value, () => [text.trimEnd()]);
}
