import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Invitation, invitationWords, parseInvitation } from '../../src/ceremony/apart/invitation.ts';
import { renderYaml } from '../../src/document.ts';
import { type MadeKey, makeKey } from '../ceremony/record/ssh-keys.ts';
import { temporaryFolder, type LiveCluster } from './cluster.ts';
import { HOLDERS, layDesk, rosterOf } from './desk.ts';
import { MAIN } from './quorate.ts';
import { openTerminal, type TestTerminal } from './terminal.ts';
import { waitUntil } from './wait.ts';

/** An administrator and custodians who are not in the same room: each has a folder, a quorate.yaml and keys of their own. */

export const CLUSTER = 'prod';
const HANDOVER = 'handover';

export interface Custodian {
  readonly name: string;
  readonly folder: string;
  readonly key: MadeKey;
  /** Mode 0600. */
  readonly shareFile: string;
  readonly share: string;
}

export interface Apart {
  /** The administrator's folder, with quorate.yaml and the roster. */
  readonly desk: string;
  /** Where invitations and receipts lie. */
  readonly handover: string;
  readonly custodians: readonly Custodian[];
}

/** Lays out everybody's folders. `auth` is the administrator's login. */
export async function layApart(live: LiveCluster, auth?: Readonly<Record<string, unknown>>): Promise<Apart> {
  const base = await temporaryFolder();
  const desk = join(base, 'desk');
  const handover = join(desk, HANDOVER);
  await mkdir(handover, { recursive: true });
  const plain = rosterOf(live.shares, { cluster: CLUSTER, threshold: live.threshold });
  const custodians: Custodian[] = [];
  for (const [index, share] of live.shares.entries()) {
    const name = HOLDERS[index] ?? '';
    const folder = join(base, `at-${name.split(' ')[0]?.toLowerCase() ?? ''}`);
    await mkdir(folder);
    const key = makeKey(folder, 'id');
    const shareFile = join(folder, 'own.share');
    await writeFile(shareFile, `${share}\n`, { mode: 0o600 });
    custodians.push({ name, folder, key, shareFile, share });
  }
  const roster = {
    ...plain,
    shares: plain.shares.map((one, index) => ({ ...one, ssh: custodians[index]?.key.fingerprint ?? '' })),
  };
  const peers = live.cluster.peers.map(({ name, address }) => ({ name, address }));
  const described = { [CLUSTER]: { peers, ca: live.cluster.caFile, roster } };
  await layDesk(desk, described);
  for (const { folder } of custodians) await layDesk(folder, described);
  if (auth !== undefined) {
    const config = await readFile(join(desk, 'quorate.yaml'), 'utf8');
    const lines = renderYaml({ auth })
      .trimEnd()
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n');
    await writeFile(join(desk, 'quorate.yaml'), `${config.trimEnd()}\n${lines}\n`);
  }
  return { desk, handover, custodians };
}

/** The administrator's `quorate ARGS`, in a terminal. */
export function administrate({ desk }: Apart, ...args: readonly string[]): TestTerminal {
  return openTerminal(process.execPath, [MAIN, ...args], { cwd: desk, columns: 80, rows: 300 });
}

/** A custodian's `quorate ceremony join`, in a terminal of their own. */
export function joins({ name, folder, key }: Custodian, invitation: string, ...args: readonly string[]): TestTerminal {
  const command = ['ceremony', 'join', invitation, '--as', name, '--key', key.file, ...args];
  return openTerminal(process.execPath, [MAIN, ...command], { cwd: folder, columns: 80, rows: 300 });
}

/** The newest invitation for a step, that is none of `seen`, as a file that was sent to a custodian. */
export async function invitationTo(
  { handover }: Apart,
  step: string,
  seen: readonly string[] = [],
): Promise<{ readonly file: string; readonly invitation: Invitation; readonly words: string }> {
  return waitUntil(`there is an invitation for ${step}`, async () => {
    const names = (await readdir(handover)).filter((one) => one.endsWith('.invitation') && one.includes(`-${step}-`));
    const dated = await Promise.all(
      names.map(async (name) => ({ file: join(handover, name), at: (await stat(join(handover, name))).mtimeMs })),
    );
    const found = dated.filter(({ file }) => !seen.includes(file)).sort((a, b) => b.at - a.at)[0];
    if (found === undefined) return false;
    const invitation = parseInvitation(await readFile(found.file, 'utf8'));
    return { file: found.file, invitation, words: invitationWords(invitation).join(' ') };
  });
}

/** The one receipt in a custodian's folder that is not `known`. */
export async function receiptIn(
  { folder }: Custodian,
  known: readonly string[] = [],
): Promise<{ readonly file: string; readonly line: string }> {
  const names = (await readdir(folder)).filter((one) => one.endsWith('.receipt') && !known.includes(join(folder, one)));
  if (names.length !== 1) throw new Error(`${names.length.toString()} receipts in ${folder}`);
  const file = join(folder, names[0] ?? '');
  return { file, line: (await readFile(file, 'utf8')).trim() };
}

/** Puts a receipt where the administrator looks. */
export async function handIn({ handover }: Apart, file: string, as = file.split('/').at(-1) ?? ''): Promise<void> {
  await cp(file, join(handover, as));
}

/** A question that waits for its answer; those that have theirs begin with a tick. */
export const asks = (question: string): RegExp => new RegExp(`^\\? ${question}`, 'm');
