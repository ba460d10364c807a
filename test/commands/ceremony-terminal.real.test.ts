import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { initScriptText } from '../support/ceremony.ts';
import { freshCluster, temporaryFolder } from '../support/cluster.ts';
import { madeUpCustodians } from '../support/custodians.ts';
import { lastRecord, layDesk } from '../support/desk.ts';
import { type GnupgHome, gnupgHome } from '../support/gnupg.ts';
import { MAIN, quorate } from '../support/quorate.ts';
import { OPEN, standings } from '../support/sealed.ts';
import { openTerminal, type TestTerminal } from '../support/terminal.ts';

const NAMES = ['Alice', 'Bo', 'Cleo'] as const;
const PASSWORD = 'Qm7-not-on-any-screen';
const run = promisify(execFile);
let folder: string;
let home: GnupgHome;
let cluster: ThrowawayCluster;

beforeAll(async () => {
  [folder, home, cluster] = await Promise.all([temporaryFolder(), gnupgHome(), freshCluster()]);
  const people = await madeUpCustodians(...NAMES, 'Erin');
  // One machine with everybody's cards, as it were.
  for (const { gnupgHome: own, fingerprint } of people) {
    const secret = await run('gpg', ['--homedir', own, '--batch', '--armor', '--export-secret-keys', fingerprint]);
    const file = join(await mkdtemp(join(folder, 'key-')), 'secret.asc');
    await writeFile(file, secret.stdout, { mode: 0o600 });
    await home.gpg('--import', file);
  }
  await mkdir(join(folder, 'ceremonies'));
  const text = initScriptText(people, {
    'title': 'Initialisation of prod',
    'cluster': 'prod',
    'administrator': { name: 'Erin' },
    'first-writes': [
      { path: 'sys/auth/userpass', data: { type: 'userpass' } },
      {
        path: 'sys/policies/acl/ceremony',
        data: {
          policy: ['sys/rotate/root/*', 'sys/generate-root-token/*']
            .map((path) => `path "${path}" { capabilities = ["create", "read", "update", "delete"] }\n`)
            .join(''),
        },
      },
    ],
    'ceremony-login': { method: 'userpass', username: 'erin', policies: ['ceremony'] },
    'people': [{ before: 'initialise', say: 'All present say their name.', record: ['who is present'] }],
  });
  await writeFile(join(folder, 'ceremonies', 'init.yaml'), text);
  const peers = cluster.peers.map(({ name, address }) => ({ name, address }));
  await layDesk(folder, { prod: { peers, ca: cluster.caFile } });
  const config = await readFile(join(folder, 'quorate.yaml'), 'utf8');
  await writeFile(join(folder, 'quorate.yaml'), config.replace(/^( +)peers:/m, '$1roster: prod.roster.yaml\n$1peers:'));
});

afterAll(() => home.remove());

const open = (...args: readonly string[]): TestTerminal =>
  openTerminal(process.execPath, [MAIN, ...args], {
    cwd: folder,
    columns: 80,
    rows: 300,
    env: { GNUPGHOME: home.path },
  });

/** A question that waits for its answer; those that have theirs begin with a tick. */
const asks = (question: string): RegExp => new RegExp(`^\\? ${question}`, 'm');

/** Nothing needed more than the terminal's width, and no path leads there from the root. */
function expectTidy(terminal: TestTerminal): void {
  for (const line of terminal.screen().split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(terminal.screen()).not.toContain(folder);
}

/** Cleo decrypts at home, and brings the line that was printed there; before that, a line that is none. */
async function proveElsewhere(terminal: TestTerminal): Promise<void> {
  for (const line of ['not a proof', undefined]) {
    await terminal.waitFor(asks('Cleo, how do you prove'));
    terminal.press('down', 'enter');
    await terminal.waitFor(asks('The line that it printed'));
    const issued = join((await lastRecord(folder)).folder, 'issued', 'cleo.pgp');
    const args = ['custodian', 'decrypt', issued, '--proof'];
    const proof = await quorate(args, { cwd: folder, env: { GNUPGHOME: home.path } });
    terminal.enter(line ?? proof.stdout.trim());
  }
}

it('checks and runs an init at a terminal, all by keyboard', async () => {
  const check = open('ceremony', 'check', 'ceremonies/init.yaml', '--live');
  expect((await check.exit).code, check.screen()).toBe(0);
  expect(check.screen()).toContain('no peer is initialised');
  expectTidy(check);

  const terminal = open('ceremony', 'run', 'ceremonies/init.yaml');
  await terminal.waitFor(asks('who is present:'));
  terminal.enter('Alice, Bo, Cleo, Erin');
  for (const name of ['Alice', 'Bo']) {
    await terminal.waitFor(asks(`${name}, how do you prove`));
    terminal.press('enter');
  }
  await proveElsewhere(terminal);
  // The wrong file is called by its owner, and the custodian asked again.
  await terminal.waitFor(asks('Share 1 of 2: who gives it'));
  terminal.press('enter');
  await terminal.waitFor(asks('Alice, your share'));
  terminal.press('enter');
  await terminal.waitFor(asks('File with the share'));
  terminal.enter(join((await lastRecord(folder)).folder, 'issued', 'bo.pgp').slice(folder.length + 1));
  await terminal.waitFor("Bo's share, not Alice's");
  for (const [index, name] of ['Alice', 'Bo'].entries()) {
    await terminal.waitFor(asks(`Share ${(index + 1).toString()} of 2: who gives it\\?`));
    terminal.press('enter');
    await terminal.waitFor(asks(`${name}, your share \\(hidden`));
    terminal.press('enter');
    // The file that was issued to them is offered.
    await terminal.waitFor(asks(`File with the share \\(records/.*/issued/${name.toLowerCase()}\\.pgp\\)`));
    terminal.press('enter');
    await terminal.waitFor(`accepted from ${name}`);
  }
  await terminal.waitFor(asks('.*assword'), 60_000);
  terminal.enter(PASSWORD);
  await terminal.waitFor(asks('Once more'));
  terminal.enter(PASSWORD);
  // The login is tried out twice, with the password that was chosen.
  const ended = await terminal.exit;
  expect(ended.code, terminal.screen()).toBe(0);
  expect(await standings({ cluster })).toEqual([OPEN, OPEN, OPEN]);
  expectTidy(terminal);
  // The prompts break lines themselves: what a person chose stands on one.
  expect(terminal.screen()).toMatch(/^✔ Alice, how do you prove that you can read your share\? here, with gpg$/m);
  expect(terminal.screen()).toMatch(/^✔ File with the share records\/[^ ]+\/issued\/alice\.pgp$/m);

  const { folder: record, lines } = await lastRecord(folder);
  expect(lines.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
  expect(await readFile(join(folder, 'prod.roster.yaml'), 'utf8')).toContain('generation: 1');
  // Nothing secret was on the screen: neither what was typed, nor what gpg decrypts.
  const seen = terminal.raw().toString('latin1');
  expect(seen).not.toContain(PASSWORD.slice(0, 8));
  for (const file of ['alice.pgp', 'bo.pgp', 'cleo.pgp', 'root-token.pgp']) {
    const secret = (await home.gpg('--decrypt', join(record, 'issued', file))).toString().trim();
    for (let at = 0; at + 12 <= secret.length; at += 1) expect(seen).not.toContain(secret.slice(at, at + 12));
  }
});
