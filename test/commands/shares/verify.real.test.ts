import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { callPeer } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { errorCode } from '../../support/quorate.ts';
import { asNode, moveTo, type NodeName, NODES, sharedWallet } from '../../support/wallet.ts';

const shared = sharedWallet();
const verify = () => shared().json(['shares', 'verify', 'treasury']);
const list = () => shared().json(['shares', 'list']);
const texts = (value: Readonly<Record<string, unknown>>): string[] =>
  (value['findings'] as { verdict: string; node?: string; text: string }[]).map(
    ({ verdict, node, text }) => `${verdict} ${node ?? '-'} ${text}`,
  );

/** Operators with nothing but the policy that setup makes for them. */
async function useOperators(): Promise<void> {
  for (const node of NODES) {
    const body = { policies: [`quorate-shares-treasury-${node}-operator`], no_default_policy: true };
    const { body: reply } = await shared().asRoot(node, 'POST', 'auth/token/create', body);
    const file = join(shared().folder, `${node}.token`);
    await writeFile(file, String(at(reply, 'auth', 'client_token')), { mode: 0o600 });
  }
}

beforeAll(async () => {
  const { run, giveSecretId } = shared();
  const made = await run(['shares', 'setup', 'treasury', '--yes']);
  expect(made.status, made.stderr).toBe(0);
  for (const node of NODES) await giveSecretId(node);
});

describe('with the logins and policies that setup makes', () => {
  it('nodes move, and operators carry, list and verify', async () => {
    expect((await list()).value).toMatchObject([{ wallet: 'treasury', committed: 0, settled: false, away: [] }]);
    await useOperators();
    await moveTo(shared(), 1);
    const verified = await verify();
    expect(verified.status, verified.stdout).toBe(0);
    expect(texts(verified.value).filter((text) => text.startsWith('open'))).toEqual([
      expect.stringContaining('cggmp21 is not known here'),
      expect.stringContaining('open north its encrypted shares were not seen'),
      expect.stringContaining('open south its encrypted shares were not seen'),
    ]);
    expect((await list()).value).toMatchObject([{ committed: 1, settled: true }]);
    const people = await shared().run(['shares', 'list']);
    expect(people.stdout).toContain('all nodes agree');
  });

  it('the encrypted shares are looked at by who may read them', async () => {
    for (const node of NODES) {
      const file = join(shared().folder, `${node}.token`);
      await writeFile(file, shared().clusters[node].rootToken, { mode: 0o600 });
    }
    const verified = await verify();
    expect(verified.status).toBe(0);
    expect(texts(verified.value)).toContainEqual('good south its encrypted share is stored, as it was staged');
    const path = 'mpc/data/treasury/envelopes';
    const kept = await shared().asRoot('south', 'GET', path);
    const put = (data: unknown, cas: number) =>
      shared().asRoot('south', 'POST', path, {
        data,
        options: { cas: Number(at(kept.body, 'data', 'metadata', 'version')) + cas },
      });
    await put({ envelopes: [] }, 0);
    const robbed = await verify();
    expect(robbed.status).toBe(5);
    expect(texts(robbed.value)).toContainEqual('wrong south its encrypted share is not in its store');
    await put(at(kept.body, 'data', 'data'), 1);
    expect((await verify()).status).toBe(0);
  });

  it('a verifier decides on schemes that are not known here, by its exit status, with public data alone', async () => {
    const program = join(shared().folder, 'verifier');
    const judge = async (body: string): Promise<{ status: number | null; stdout: string; stderr: string }> => {
      await writeFile(program, `#!/bin/sh\ncat > ${shared().folder}/asked\n${body}\n`);
      await chmod(program, 0o755);
      return shared().run(['shares', 'verify', 'treasury']);
    };
    await shared().describe({ wallet: { verifier: program } });
    const sound = await judge('exit 0');
    expect(sound.status, sound.stderr).toBe(0);
    expect(sound.stdout).toContain('cggmp21, says the verifier');
    const asked = JSON.parse(await readFile(join(shared().folder, 'asked'), 'utf8')) as object;
    expect(asked).toEqual({
      ...{ wallet: 'treasury', epoch: 1, scheme: 'cggmp21', threshold: 2, previous: 0, commitment: [] },
      nodes: [
        { node: 'north', index: 1 },
        { node: 'south', index: 2 },
      ],
    });
    expect((await judge('exit 1')).status).toBe(5);
    const broken = await judge('exit 7');
    expect(broken.status).toBe(2);
    expect(broken.stderr).toContain('program-failed');
    await shared().describe({ wallet: { verifier: 'verifier' } });
    expect(errorCode(await shared().run(['shares', 'verify', 'treasury']))).toBe('document-invalid');
    await shared().describe();
  });

  it('a store that is away is told, and is no agreement', async () => {
    const south = { peers: [{ name: 'south', address: 'https://127.0.0.1:1' }] };
    await shared().describe({ clusters: { south } });
    expect((await verify()).status).toBe(2);
    expect(await list()).toMatchObject({ status: 2, value: [{ away: ['south'] }] });
    await shared().describe();
  });

  it('a forged statement is found where it is', async () => {
    const { clusters, asRoot } = shared();
    const path = 'mpc/data/treasury/statements';
    const node: NodeName = 'north';
    const kept = await asRoot(node, 'GET', path);
    const statements = at(kept.body, 'data', 'data', 'statements') as { text: string }[];
    const forged = statements.map((one) => ({ ...one, text: one.text.replace('"epoch":1', '"epoch":2') }));
    const write = (list_: unknown, cas: number) =>
      callPeer(clusters[node].cluster, 0, 'POST', path, {
        token: clusters[node].rootToken,
        body: {
          data: { statements: list_ },
          options: { cas: Number(at(kept.body, 'data', 'metadata', 'version')) + cas },
        },
      });
    await write([...statements, forged[0]], 0);
    const found = await verify();
    expect(found.status).toBe(5);
    expect(texts(found.value)).toContainEqual(expect.stringContaining('wrong north 1 statement in its store'));
    const boot = await shared().run([
      ...['node', 'boot', 'treasury', ...asNode(shared().folder, node), '--exec', '--', '/bin/true'],
    ]);
    expect(boot.status, boot.stderr).toBe(0); // what nobody signed counts for nothing
    await write(statements, 1);
    expect((await verify()).status).toBe(0);
  });
});
