import { join as joinPath, resolve } from 'node:path';
import { invitationDigest, type Invitation } from '../../ceremony/apart/invitation.ts';
import { giveAgain, giveApart } from '../../ceremony/apart/joining/giving.ts';
import { type Journal, journalAt } from '../../ceremony/apart/joining/journal.ts';
import { admitOwn, isSingle, ownMessage, proofOf, receiptOf, rosterFor } from '../../ceremony/apart/joining/joining.ts';
import { lookAtTask } from '../../ceremony/apart/joining/looking.ts';
import { compareCluster, joinedNamespace, type Joining } from '../../ceremony/apart/joining/surroundings.ts';
import { answerLines, RECEIPT_NAMESPACE, type ReceiptBody, receiptBytes } from '../../ceremony/apart/receipt.ts';
import { custodiansOf, type LoadedScript, loadScript } from '../../ceremony/load.ts';
import { signerName } from '../../ceremony/record/participants.ts';
import { parseShare } from '../../ceremony/share.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import { shownPath } from '../../layout.ts';
import type { Programs } from '../../programs/programs.ts';
import { readShareSource, type ShareSource } from '../share-sources.ts';
import { openShare } from '../custodian/opening.ts';
import { endLogin } from './conduct.ts';
import { joinerLogin } from './joiner-login.ts';
import { ceremonyPlace, type Place, refuseOtherNamespace, refuseWithoutSeal } from './place.ts';
import { agree, showInvitation } from './joiner-screen.ts';

export interface JoinOptions {
  readonly invitation: Invitation;
  readonly as: string;
  readonly key: string;
  readonly source?: ShareSource;
  readonly ticket?: string;
  readonly words?: string;
  readonly receipt?: string;
  readonly keep?: string;
}

interface Desk {
  readonly context: Context;
  readonly programs: Programs;
  readonly options: JoinOptions;
  readonly joining: Joining;
  readonly journal: Journal;
}

/**
 * Takes part in one step from this machine: compares, asks, gives, signs. Each part is remembered in a file before the
 * next begins, so that running it again goes on where it stopped, and gives nothing twice that counts twice.
 * @throws as the parts do; nothing was sent unless the receipt says so.
 */
export async function join(context: Context, options: JoinOptions): Promise<void> {
  const { invitation, as: custodian, ticket } = options;
  const loaded = await loadScript(invitation.script, 'the script in the invitation');
  const cluster = await context.cluster({ cluster: loaded.script.cluster });
  const known = cluster.config?.namespaces ?? [];
  const namespace = joinedNamespace(
    invitation,
    loaded,
    known.map(({ path }) => path),
  );
  refuseOtherNamespace(cluster, namespace);
  const { ceremony } = invitation;
  const login = joinerLogin(context, cluster, { ceremony, custodian, ...(ticket === undefined ? {} : { ticket }) });
  try {
    await joinAt(context, options, loaded, await ceremonyPlace(context, cluster, namespace, login.login));
  } finally {
    await endLogin(context, login);
  }
}

async function joinAt(context: Context, options: JoinOptions, loaded: LoadedScript, place: Place): Promise<void> {
  const { invitation, as: custodian } = options;
  const programs = await context.programs();
  const { cluster, roster: own, otherRosters = [] } = place;
  const joining: Joining = {
    invitation,
    loaded,
    custodian,
    cluster,
    signal: context.signal,
    now: () => new Date(),
    session: async (peer) => (await place.login(peer)).session,
  };
  const roster = invitation.task.give === 'proof' ? undefined : rosterFor(joining, own);
  const message = roster === undefined ? ownMessage(joining) : undefined;
  await refuseOtherKey(context, programs, joining, options.key);
  const journal = journalAt(options.receipt ?? defaultReceipt(context, invitation, custodian), invitation);
  const desk: Desk = { context, programs, options, joining, journal };

  const before = await journal.read();
  if (before.kind === 'done') {
    show(desk, before.body, before.line);
    return;
  }
  if (before.kind === 'answered') return sign(desk, before.body);
  await refuseWithoutSeal(place, context.signal);
  const surveys = await compareCluster(joining);
  const seen = before.kind === 'sending' ? [] : await lookAtTask(joining, surveys);
  showInvitation(context.output, joining, seen);
  await agree(context, invitation, options.words);
  if (message !== undefined) return prove(desk, message);
  if (roster === undefined) throw new QuorateError('bug', 'neither a share nor a proof is wanted');

  const share = await readOwnShare(desk, isSingle(roster));
  let body: ReceiptBody;
  try {
    const { fingerprint } = admitOwn(joining, share, roster, otherRosters);
    await journal.sending();
    const answers = before.kind === 'sending' ? await giveAgain(joining, share) : await giveApart(joining, share);
    body = receiptOf(joining, share.x, fingerprint, answers);
  } finally {
    share.bytes.wipe();
  }
  await journal.answered(body);
  return sign(desk, body);
}

function defaultReceipt({ cwd }: Context, invitation: Invitation, custodian: string): string {
  const { ceremony, step } = invitation;
  const digest = invitationDigest(invitation).slice('sha256:'.length, 'sha256:'.length + 8);
  return joinPath(cwd, `${ceremony}-${step.id}-${digest}-${signerName(custodian)}.receipt`);
}

/** Before a share is given: a receipt by another key would be refused. */
async function refuseOtherKey(
  { signal }: Context,
  { sshKeygen }: Programs,
  { invitation, loaded, custodian }: Joining,
  key: string,
): Promise<void> {
  const listed =
    invitation.roster?.shares.find(({ holder }) => holder === custodian)?.ssh ??
    custodiansOf(loaded.script).find(({ name }) => name === custodian)?.ssh?.fingerprint;
  const own = await sshKeygen.fingerprint(key, signal);
  if (listed === own) return;
  throw new QuorateError('key-unusable', `${key} is not the SSH key that is known for ${custodian}`, {
    hint:
      listed === undefined
        ? 'None is known: have it put on the roster (custodian enroll --ssh-key).'
        : `Known is ${listed}, this key is ${own}.`,
  });
}

/** From where the options say, else asked for, until it is one that may be read. */
async function readOwnShare(
  { context, programs, options, joining }: Desk,
  single: boolean,
): Promise<ReturnType<typeof parseShare>> {
  const { prompts } = context;
  const given = async () => {
    const source = options.source;
    const gpgOptions = { signal: context.signal };
    if (source !== undefined) return readShareSource(context, programs, source, gpgOptions);
    const wanted = joining.invitation.wanted.replace(/^the /, '').replace(/shares$/, 'share');
    const text = await prompts.secret(`${joining.custodian}, your ${wanted} (hidden; leave it empty to give a file)`, {
      instead: '--share-file FILE',
    });
    if (text.length > 0) return { text };
    const path = await prompts.text('File with the share, or your PGP file');
    return readShareSource(context, programs, { kind: 'file', path: resolve(context.cwd, path) }, gpgOptions);
  };
  const { text } = await given();
  try {
    return parseShare(text, { single });
  } finally {
    text.wipe();
  }
}

/** An issued share is decrypted here, and kept as it was issued. */
async function prove(desk: Desk, { ciphertext }: { readonly ciphertext: string }): Promise<void> {
  const { context, programs, options, joining, journal } = desk;
  const message = new Uint8Array(Buffer.from(ciphertext, 'base64'));
  const { gpg } = programs;
  const share = await openShare(message, { kind: 'gpg', gpg, signal: context.signal });
  let body: ReceiptBody;
  try {
    body = proofOf(joining, share, message, await giveApart(joining, share));
  } finally {
    share.bytes.wipe();
  }
  const kept = options.keep ?? `${journal.file.replace(/\.receipt$/, '')}.pgp`;
  await replaceFile(kept, message);
  context.output.say(`  your new share, encrypted to you: ${shownPath(context.cwd, kept)}. Keep it safe.`);
  await journal.answered(body);
  await sign(desk, body);
}

async function sign(desk: Desk, body: ReceiptBody): Promise<void> {
  const { programs, options, journal, context } = desk;
  const bytes = receiptBytes(body);
  const { signal } = context;
  const signature = await programs.sshKeygen.sign({ key: options.key, namespace: RECEIPT_NAMESPACE, bytes, signal });
  show(desk, body, await journal.done(body, signature));
}

function show({ context, journal }: Desk, body: ReceiptBody, line: string): void {
  const { ceremony, step, custodian, said } = body;
  const file = shownPath(context.cwd, journal.file);
  context.output.result({ ceremony, step, custodian, said, receipt: file, line }, () => [
    '',
    ...answerLines(body).map((text) => `  ${text}`),
    '',
    `Hand this receipt to the administrator, as the file ${file}`,
    'or as this one line. There is no share in it.',
    '',
    line,
  ]);
}
