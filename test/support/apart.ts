import { cp, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Invitation, invitationWords, parseInvitation } from '../../src/ceremony/apart/invitation.ts';
import { renderYaml } from '../../src/document.ts';
import type { MadeUpCustodian } from '../../src/rehearsal/custodians.ts';
import { callPeer, leaderIndex, type LiveCluster, temporaryFolder } from './cluster.ts';
import { madeUpCustodians } from './custodians.ts';
import { formsOf, layDesk, rosterOf } from './desk.ts';
import { at } from './http.ts';
import { MAIN } from './quorate.ts';
import { writeNamespacePolicy } from './namespaces.ts';
import { ceremonyToken } from './quorum.ts';
import { openTerminal, type TestTerminal } from './terminal.ts';
import { waitUntil } from './wait.ts';

/** An administrator and custodians who are not in one room: each has a folder, a quorate.yaml and keys of their own. */

export const CLUSTER = 'prod';

export interface Custodian extends Pick<MadeUpCustodian, 'name' | 'gnupgHome' | 'sshKeyFile'> {
  /** Where they work. */
  readonly home: string;
  /** In hexadecimal, and in a file of mode 0600. */
  readonly share: string;
  readonly shareFile: string;
}

export interface Desk {
  /** The administrator's folder. */
  readonly desk: string;
  /** Where invitations and receipts lie. */
  readonly handover: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Apart extends Desk {
  readonly live: LiveCluster;
  readonly people: readonly [Custodian, Custodian, Custodian];
  readonly crew: readonly MadeUpCustodian[];
}

export interface LayOptions {
  readonly seal?: 'shamir' | 'recovery';
  /** Whose shares these are: a namespace, and what the server calls it. */
  readonly inside?: { readonly path: string; readonly id: string };
}

/**
 * Everybody's folders. The administrator's login has what ceremonies/init.yaml gives, and may issue tickets; for a
 * namespace also what the README says.
 */
export async function layApart(live: LiveCluster, { seal = 'shamir', inside }: LayOptions = {}): Promise<Apart> {
  const base = await temporaryFolder();
  const [desk, handover] = [join(base, 'desk'), join(base, 'desk', 'handover')];
  await mkdir(handover, { recursive: true });
  const crew = await madeUpCustodians('Alice', 'Bo', 'Cleo');
  const cluster = inside === undefined ? CLUSTER : `${CLUSTER}/${inside.path}`;
  const clusterId = inside === undefined ? {} : { clusterId: inside.id };
  const plain = { ...rosterOf(live.shares, { cluster, ...clusterId, threshold: live.threshold }), seal };
  const shares = plain.shares.map((one, index) => ({
    ...one,
    holder: crew[index]?.name ?? '',
    ssh: crew[index]?.sshFingerprint ?? '',
  }));
  const roster = { ...plain, shares };
  const described = {
    [CLUSTER]: {
      peers: addressesOf(live),
      ca: live.cluster.caFile,
      ...(inside === undefined ? { roster } : { namespaces: [{ path: inside.path, roster }] }),
    },
  };
  const people: Custodian[] = [];
  for (const [index, { name, gnupgHome, sshKeyFile }] of crew.entries()) {
    const home = join(base, name);
    await mkdir(home);
    await layDesk(home, described);
    const share = live.shares[index] ?? '';
    const shareFile = join(home, 'own.share');
    await writeFile(shareFile, `${share}\n`, { mode: 0o600 });
    people.push({ name, gnupgHome, sshKeyFile, home, share, shareFile });
  }
  await layDesk(desk, described);
  await writeFile(join(desk, 'token'), await administratorToken(live, inside?.path), { mode: 0o600 });
  const config = await readFile(join(desk, 'quorate.yaml'), 'utf8');
  const auth = '    auth: { method: token-file, file: token }\n';
  await writeFile(
    join(desk, 'quorate.yaml'),
    `${config.trimEnd()}\n${auth}policy: { shortest-key-validity-days: 0 }\n`,
  );
  const [alice, bo, cleo] = people;
  if (alice === undefined || bo === undefined || cleo === undefined) throw new Error('three shares are wanted');
  return { live, desk, handover, people: [alice, bo, cleo], crew };
}

const addressesOf = ({ cluster }: LiveCluster): readonly { name: string; address: string }[] =>
  cluster.peers.map(({ name, address }) => ({ name, address }));

async function administratorToken(live: LiveCluster, namespace?: string): Promise<string> {
  await ceremonyToken(live);
  const inner = namespace === undefined ? [] : [await writeNamespacePolicy(live, namespace)];
  const body = { policies: ['ceremony', 'ceremony-tickets', ...inner], ttl: '1h' };
  const leader = (await leaderIndex(live.cluster)) ?? 0;
  const reply = await callPeer(live.cluster, leader, 'POST', 'auth/token/create', { token: live.rootToken, body });
  return at(reply.body, 'auth', 'client_token') as string;
}

/** The custodian reaches the peers under these addresses; with none, directly again. */
export async function reroute({ live }: Apart, { home }: Custodian, addresses?: readonly string[]): Promise<void> {
  const config = await readFile(join(home, 'quorate.yaml'), 'utf8');
  let index = 0;
  const routed = config.replaceAll(/address: .*/g, () => {
    const direct = live.cluster.peers[index]?.address ?? '';
    index += 1;
    return `address: ${addresses?.[index - 1] ?? direct}`;
  });
  await writeFile(join(home, 'quorate.yaml'), routed);
}

/** A script in the administrator's folder. */
export async function writeScript(
  { desk }: Apart,
  name: string,
  script: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeFile(join(desk, name), renderYaml({ title: 'In a test', cluster: CLUSTER, ...script }));
}

const desks = new Map<string, TestTerminal>();

/** The administrator's `quorate ARGS --apart handover`, in a terminal. */
export function administrate({ desk, env = {} }: Desk, ...args: readonly string[]): TestTerminal {
  const command = [MAIN, ...args, '--apart', 'handover'];
  const terminal = openTerminal(process.execPath, command, { cwd: desk, columns: 80, rows: 400, env });
  desks.set(desk, terminal);
  return terminal;
}

/** A custodian's `quorate ceremony join`, in a terminal of their own. */
export function joins(
  { name, home, sshKeyFile, gnupgHome }: Custodian,
  invitation: string,
  ...args: readonly string[]
): TestTerminal {
  const command = [MAIN, 'ceremony', 'join', invitation, '--as', name, '--key', sshKeyFile, ...args];
  // Nobody else's token in a home folder counts.
  const env = { GNUPGHOME: gnupgHome, HOME: home };
  return openTerminal(process.execPath, command, { cwd: home, columns: 80, rows: 300, env });
}

export interface Invited {
  readonly file: string;
  readonly invitation: Invitation;
  readonly words: string;
}

/** The newest invitation for a step that is none of `seen`; it joins them. Fails when the ceremony ends without one. */
export async function invitationTo(
  { handover, desk }: Desk,
  step: string,
  seen: Set<string> = new Set(),
): Promise<Invited> {
  const terminal = desks.get(desk);
  let over = false;
  void terminal?.exit.then(() => {
    over = true;
  });
  const found = await waitUntil(
    `there is an invitation for ${step}`,
    async () => {
      const ended = over;
      const names = (await readdir(handover)).filter((one) => one.endsWith('.invitation') && one.includes(`-${step}-`));
      const dated = await Promise.all(
        names.map(async (name) => ({ file: join(handover, name), at: (await stat(join(handover, name))).mtimeMs })),
      );
      const [newest] = dated.filter(({ file }) => !seen.has(file)).sort((a, b) => b.at - a.at);
      if (newest === undefined && ended) throw new Error(`no invitation for ${step}:\n${terminal?.screen() ?? ''}`);
      return newest === undefined ? false : newest.file;
    },
    60_000,
  );
  seen.add(found);
  const invitation = parseInvitation(await readFile(found, 'utf8'));
  return { file: found, invitation, words: invitationWords(invitation).join(' ') };
}

/** Joins with a share from a file (the own one where none is named), to the end. @returns the receipt's file. */
export async function joinWith(
  person: Custodian,
  { file, words, invitation }: Invited,
  ...args: readonly string[]
): Promise<string> {
  const proof = invitation.task.give === 'proof';
  const share = proof || args.includes('--share-file') ? [] : ['--share-file', person.shareFile];
  const terminal = joins(person, file, '--words', words, ...share, ...args);
  const { code } = await terminal.exit;
  expect(code, terminal.screen()).toBe(0);
  expectNothingOf(terminal, person.share);
  return receiptOf(person, invitation);
}

/** The file of a custodian's receipt for an invitation. */
export async function receiptOf({ home }: Custodian, { ceremony, step }: Invitation): Promise<string> {
  const names = (await readdir(home)).filter(
    (one) => one.endsWith('.receipt') && one.startsWith(`${ceremony}-${step.id}-`),
  );
  const dated = await Promise.all(names.map(async (one) => ({ one, at: (await stat(join(home, one))).mtimeMs })));
  const newest = dated.sort((a, b) => b.at - a.at)[0]?.one;
  if (newest === undefined) throw new Error(`no receipt in ${home}`);
  return join(home, newest);
}

/** Puts a receipt where the administrator looks, whole from the first moment: it is taken away when it is read. */
export async function handIn({ handover }: Desk, file: string, as = file.split('/').at(-1) ?? ''): Promise<void> {
  const onItsWay = join(handover, `${as}.coming`);
  await cp(file, onItsWay);
  await rename(onItsWay, join(handover, as));
}

/** No form of these shares was ever on the screen. */
export function expectNothingOf(terminal: TestTerminal, ...secrets: readonly string[]): void {
  const seen = terminal.raw().toString('latin1');
  for (const hex of secrets.filter((one) => one !== ''))
    for (const form of formsOf(hex)) expect(seen).not.toContain(form);
}

/** A question that waits for its answer; those that have theirs begin with a tick. */
export const asks = (question: string): RegExp => new RegExp(`^\\? ${question}`, 'm');
