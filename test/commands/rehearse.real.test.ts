import { execFile, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import * as v from 'valibot';
import { renderYaml } from '../../src/document.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { temporaryFolder } from '../support/cluster.ts';
import { at, call } from '../support/http.ts';
import { isRunning, processesNaming } from '../support/processes.ts';
import { errorCode, quorate, startQuorate } from '../support/quorate.ts';
import { waitUntil } from '../support/wait.ts';

const run = promisify(execFile);

/** What `--format json` promises to scripts. */
const REHEARSAL = v.object({
  directory: v.string(),
  peers: v.pipe(v.array(v.object({ address: v.string(), caFile: v.string() })), v.length(3)),
  shares: v.number(),
  threshold: v.number(),
  custodians: v.array(v.object({ name: v.string(), gnupgHome: v.string(), shareFile: v.string() })),
  roster: v.string(),
  record: v.string(),
  unsealRecord: v.string(),
  report: v.string(),
  verified: v.literal(true),
});

let folder: string;
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await temporaryFolder();
  environment = { QUORATE_BAO: await baoBinary() };
});

async function rehearse(...args: readonly string[]): Promise<v.InferOutput<typeof REHEARSAL>> {
  const ended = await quorate(['rehearse', '--format', 'json', ...args], { cwd: folder, env: environment });
  expect(ended.status, ended.stderr).toBe(0);
  return v.parse(REHEARSAL, JSON.parse(ended.stdout));
}

async function expectMarked(record: string): Promise<void> {
  const lines = (await readFile(join(record, 'record.jsonl'), 'utf8')).trim().split('\n');
  expect(lines.length).toBeGreaterThan(5);
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ mode: 'REHEARSAL' });
}

const sealed = async (peer: { readonly address: string; readonly caFile: string }): Promise<unknown> =>
  call(peer, 'GET', 'sys/seal-status').then(
    ({ body }) => at(body, 'sealed'),
    () => undefined,
  );

it('keeps a cluster whose custodians can unseal with stock tools, and ends it', async () => {
  const started = Date.now();
  // Another each time it is played, and gone however it ends.
  const kept = `kept-${started.toString()}`;
  onTestFinished(async () => {
    await quorate(['rehearse', '--stop', kept], { cwd: folder, env: environment });
  });
  const rehearsal = await rehearse('--keep', '--directory', kept);
  expect(Date.now() - started).toBeLessThan(60_000);
  const { directory, peers, custodians, threshold, record, unsealRecord, report, roster } = rehearsal;
  expect([rehearsal.shares, threshold, custodians.length]).toEqual([5, 3, 5]);
  await expectMarked(record);
  await expectMarked(unsealRecord);
  expect(await readFile(report, 'utf8')).toContain('REHEARSAL');
  expect(await readFile(roster, 'utf8')).toContain('threshold: 3');
  expect(await Promise.all(peers.map(sealed))).toEqual([false, false, false]);

  const shares = await Promise.all(
    custodians.map(async ({ gnupgHome, shareFile }) => {
      const { stdout } = await run('gpg', ['--batch', '--decrypt', shareFile], {
        env: { ...process.env, GNUPGHOME: gnupgHome },
      });
      return stdout.trim();
    }),
  );
  expect(new Set(shares).size).toBe(5);

  // Its quorate.yaml has the roster and the login that ceremonies need, and the record's own roster stays as it is.
  await Promise.all(
    shares
      .slice(0, threshold)
      .map((share, index) => writeFile(join(directory, `${index.toString()}.share`), share, { mode: 0o600 })),
  );
  const given = shares.slice(0, threshold).flatMap((_, index) => ['--share-file', `${index.toString()}.share`]);
  const drill = await quorate(['drill', ...given], { cwd: directory, env: environment });
  expect(drill.status, drill.stderr).toBe(0);
  expect(await readFile(roster, 'utf8')).not.toBe(await readFile(join(directory, 'roster.yaml'), 'utf8'));

  // One peer is restarted by hand, as a person who practises would.
  const [peer] = peers;
  if (peer === undefined) throw new Error('there is no peer');
  const config = join(directory, 'peer-1', 'server.hcl');
  const [pid] = processesNaming(`-config=${config}`);
  process.kill(pid ?? 0, 'SIGTERM');
  await waitUntil('the peer has ended', () => !isRunning(pid ?? 0));
  const server = spawn(await baoBinary(), ['server', `-config=${config}`], {
    cwd: join(directory, 'peer-1'),
    stdio: 'ignore',
  });
  try {
    await waitUntil('the peer is sealed', async () => (await sealed(peer)) === true);
    for (const share of shares.slice(-threshold)) {
      await run(await baoBinary(), ['operator', 'unseal', share], {
        env: { BAO_ADDR: peer.address, BAO_CACERT: peer.caFile, HOME: folder },
      });
    }
    await waitUntil('the peer is unsealed', async () => (await sealed(peer)) === false);

    const stopped = await quorate(['rehearse', '--stop', directory], { cwd: folder, env: environment });
    expect(stopped.status, stopped.stderr).toBe(0);
    await waitUntil('nothing of it runs', () => processesNaming(directory).length === 0, 10_000);
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  } finally {
    server.kill('SIGKILL');
  }
  const again = await quorate(['rehearse', '--stop', directory], { cwd: folder, env: environment });
  expect([again.status, errorCode(again)]).toEqual([1, 'file-missing']);
});

it("rehearses a team's own script, and leaves nothing running", async () => {
  const names = ["Zoë O'Neill", 'Jean-Luc Picard'];
  const notHere = (digit: string) => ({ file: 'keys/not-here.asc', fingerprint: digit.repeat(40) });
  const policy = ['sys/rotate/root/*', 'sys/generate-root-token/*']
    .map((path) => `path "${path}" { capabilities = ["create", "read", "update", "delete"] }\n`)
    .join('');
  await mkdir(join(folder, 'scripts'));
  await writeFile(
    join(folder, 'scripts', 'ours.yaml'),
    renderYaml({
      'ceremony': 'init',
      'title': 'Our init',
      'cluster': 'ours',
      'shares': 2,
      'threshold': 2,
      'administrator': { name: 'Sam' },
      'custodians': names.map((name, index) => ({ name, pgp: notHere(index.toString()) })),
      'root-token': { pgp: notHere('9') },
      'first-writes': [
        { path: 'sys/auth/people', data: { type: 'userpass' } },
        { path: 'sys/policies/acl/ceremony', data: { policy } },
      ],
      'ceremony-login': { method: 'userpass', mount: 'people', username: 'sam', policies: ['ceremony'] },
      'people': [{ before: 'prove', say: 'Look at the cards.', record: ['bag number'] }],
    }),
  );
  const rehearsal = await rehearse('scripts/ours.yaml', '--directory', 'ours');
  expect([rehearsal.shares, rehearsal.threshold]).toEqual([2, 2]);
  expect(rehearsal.custodians.map(({ name }) => name)).toEqual(names);
  await expectMarked(rehearsal.record);
  await expectMarked(rehearsal.unsealRecord);
  expect(await readFile(join(rehearsal.record, 'script.yaml'), 'utf8')).toContain('Our init');
  expect(processesNaming(rehearsal.directory)).toEqual([]);
  for (const { gnupgHome, shareFile } of rehearsal.custodians) {
    await run('gpg', ['--batch', '--decrypt', shareFile], { env: { ...process.env, GNUPGHOME: gnupgHome } });
    await run('gpgconf', ['--homedir', gnupgHome, '--kill', 'all']);
  }
});

describe('interrupted', () => {
  it.each([
    ['while people are made up', 'people'],
    ['in the middle of the init', 'records'],
  ])('%s, it leaves no process', async (_when, name) => {
    const directory = join(folder, `interrupted-${name}`);
    const running = startQuorate(['rehearse', '--keep', '--directory', directory], { cwd: folder, env: environment });
    await waitUntil(`${name} is there`, () =>
      readdir(join(directory, name)).then(
        ({ length }) => length > 0,
        () => false,
      ),
    );
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect([ended.status, errorCode(ended)]).toEqual([130, 'cancelled']);
    await waitUntil('nothing of it runs', () => processesNaming(directory).length === 0, 10_000);
  });
});

it('takes no script of another kind, and no folder that holds something', async () => {
  await writeFile(join(folder, 'unseal.yaml'), renderYaml({ ceremony: 'unseal', title: 'Unseal', cluster: 'prod' }));
  const other = await quorate(['rehearse', 'unseal.yaml', '--directory', 'no'], { cwd: folder, env: environment });
  expect([other.status, errorCode(other)]).toEqual([1, 'usage']);
  const full = await quorate(['rehearse', '--directory', '.'], { cwd: folder, env: environment });
  expect([full.status, errorCode(full)]).toEqual([1, 'file-exists']);
});
