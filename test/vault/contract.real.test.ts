import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { codeOf } from '../support/errors.ts';
import { listen, type Listener, type Play, SEAL_STATUS } from '../support/listener.ts';
import { contractSubjects } from './subjects.ts';

// One test for each thing that node-vault 0.12.0 does and quorate must not do: what an update of it could bring back.
// The same numbers mean the same point in contract-servers.real.test.ts.

const TOKEN = 's.CanaryTokenCanaryToken123';
const SHARE = 'c0ffee'.repeat(11);
const listeners: Listener[] = [];
const subjects = await contractSubjects();

async function start(play: Play): Promise<Listener> {
  const listener = await listen(play);
  listeners.push(listener);
  return listener;
}

const fine: Play = (_seen, reply) => {
  reply(200, SEAL_STATUS);
};
const drop: Play = (_seen, _reply, socket) => {
  socket.destroy();
};
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

interface ChildResult {
  readonly codes: readonly string[];
  readonly output: string;
}

async function runChild(
  subject: string,
  env: Record<string, string>,
  address: string,
  refused: string,
): Promise<ChildResult> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'child.ts')], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(JSON.stringify({ subject, address, refused, token: TOKEN, share: SHARE }));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { codes: JSON.parse(out.trim().split('\n').at(-1) ?? '') as string[], output: out + err };
}

describe.each(subjects)('the $name against a loopback listener', ({ client: { connectPeer, Secret }, file }) => {
  const peerAt = (address: string): ReturnType<typeof connectPeer> =>
    connectPeer({ name: 'peer', address, timeout: 5000 });

  it('1: TLS is verified whatever VAULT_SKIP_VERIFY says', async () => {
    // The TLS tests stub the variable and prove it in full; here, that no value of it reaches a plain listener's peer.
    for (const value of ['true', 'false', '1', '0']) {
      vi.stubEnv('VAULT_SKIP_VERIFY', value);
      const listener = await start(fine);
      const peer = peerAt(listener.address.replace('http:', 'https:'));
      expect(await codeOf(peer.sealStatus())).toBe('server-identity');
      expect(listener.seen).toEqual([]);
    }
  });

  it('2: a redirect is followed once, for reads, within the origin, and takes the token nowhere else', async () => {
    const stranger = await start(fine);
    const results: Record<string, string> = {};
    for (const [name, location] of Object.entries({
      'another port': `${stranger.address}/v1/kv/a`,
      'another host name': `http://localhost:${new URL(stranger.address).port}/v1/kv/a`,
      'no scheme': `//${new URL(stranger.address).host}/v1/kv/a`,
      'out of the API': '/ui/',
      'itself, for ever': '/v1/kv/a',
      'nowhere': 'http://',
    })) {
      const listener = await start((_seen, reply) => {
        reply(307, '', { Location: location });
      });
      results[name] = await codeOf(peerAt(listener.address).session(Secret.fromText(TOKEN)).read('kv/a'));
    }
    expect(new Set(Object.values(results))).toEqual(new Set(['server-redirect']));
    const once = await start((seen, reply) => {
      if (seen.url === '/v1/kv/a') reply(307, '', { Location: '/v1/kv/b' });
      else reply(200, { data: { found: seen.url, token: seen.headers['x-vault-token'] } });
    });
    const session = peerAt(once.address).session(Secret.fromText(TOKEN));
    expect(await session.read('kv/a')).toEqual({ found: '/v1/kv/b', token: TOKEN });
    expect(await codeOf(session.write('kv/a', { key: Secret.fromText(SHARE) }))).toBe('server-redirect');
    expect(await codeOf(peerAt(once.address).session().delete('kv/a'))).toBe('server-redirect');
    const unsealing = await start((_seen, reply) => {
      reply(307, '', { Location: '/v1/sys/other' });
    });
    expect(await codeOf(peerAt(unsealing.address).unseal(Secret.fromText(SHARE)))).toBe('server-redirect');
    const init = peerAt(unsealing.address).initialise({ shares: 1, threshold: 1, recovery: false });
    expect(await codeOf(init)).toBe('server-redirect');
    expect(unsealing.seen.map((one) => one.url)).toEqual(['/v1/sys/unseal', '/v1/sys/init']);
    expect(stranger.seen).toEqual([]);
  });

  it('3: errors carry no token, no share, no request and no cause', async () => {
    const echo: Play = (seen, reply) => {
      reply(400, { errors: [`cannot use ${seen.body} of ${String(seen.headers['x-vault-token'])}`] });
    };
    for (const play of [drop, echo]) {
      const listener = await start(play);
      const peer = peerAt(listener.address);
      const session = peer.session(Secret.fromText(TOKEN));
      const short = Secret.fromText('pass word');
      for (const work of [
        () => session.read('kv/a'),
        () => session.write('kv/a', { key: Secret.fromText(SHARE), list: [short] }),
        () => peer.unseal(Secret.fromText(SHARE)),
      ]) {
        const error: unknown = await work().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).toBeInstanceOf(Error);
        const shown =
          inspect(error, { depth: Infinity, showHidden: true, customInspect: false }) +
          inspect(error) +
          JSON.stringify(error) +
          ((error as Error).stack ?? '');
        expect(shown).not.toMatch(/CanaryToken|c0ffee|pass word/);
        expect((error as Error).cause).toBeUndefined();
      }
      const reply = await session.request('POST', 'kv/a', { list: [short] }).catch(() => undefined);
      expect(JSON.stringify(reply ?? '')).not.toMatch(/CanaryToken|pass word/);
    }
  });

  it('4: DEBUG prints neither bodies nor headers', async () => {
    const listener = await start(fine);
    const broken = await start(drop);
    for (const debug of ['*', 'node-vault', 'follow-redirects,axios,node-vault*']) {
      const { codes, output } = await runChild(file, { DEBUG: debug }, listener.address, broken.address);
      expect(codes.filter((code) => code === 'ok').length).toBeGreaterThan(3);
      expect(codes).toContain('server-unreachable');
      expect(output).not.toMatch(/CanaryToken|c0ffee/);
    }
    expect(listener.seen.some((one) => one.body.includes(SHARE))).toBe(true);
  });

  it('5: a name never changes which path is called', async () => {
    const listener = await start(fine);
    const session = peerAt(listener.address).session(Secret.fromText(TOKEN));
    for (const path of ['sys/policies/acl/../../seal', '../sys/seal', 'kv/./a', '/sys/seal', 'kv//a']) {
      expect(await codeOf(session.write(path, {}))).toBe('usage');
    }
    expect(listener.seen).toEqual([]);
    for (const name of ['a#b', 'a?b', 'a%2fb', '%2e%2e', 'a&#x2F;b', 'a{{b}}', 'a b']) {
      await session.read(`kv/${name}`);
      expect(listener.seen.at(-1)?.url).toBe(`/v1/kv/${encodeURIComponent(name)}`);
    }
    await session.read('kv/a', { query: { 'version': '2', 'x&y': 'a=b' } });
    expect(listener.seen.at(-1)?.url).toBe('/v1/kv/a?version=2&x%26y=a%3Db');
  });

  it('6: a 403 is a denial, also where the path speaks of health', async () => {
    const listener = await start((_seen, reply) => {
      reply(403, { errors: ['permission denied'] });
    });
    const peer = peerAt(listener.address);
    expect(await codeOf(peer.session().read('kv/sys/health'))).toBe('denied');
    expect(await codeOf(peer.session().write('sys/health', {}))).toBe('denied');
    expect(await codeOf(peer.health())).toBe('server-response');
  });

  it('7: each session sends its own token, and a call without one sends none', async () => {
    const listener = await start(fine);
    const peer = peerAt(listener.address);
    const one = peer.session(Secret.fromText('s.one'));
    const two = peer.session(Secret.fromText('s.two'));
    await Promise.all([one.read('a'), two.read('a'), one.read('a'), peer.sealStatus(), two.read('a')]);
    await peer.session().read('a');
    await one.read('a');
    const count = (token: string | undefined): number =>
      listener.seen.filter((seen) => seen.headers['x-vault-token'] === token).length;
    expect([count('s.one'), count('s.two'), count(undefined)]).toEqual([3, 2, 2]);
    one.close();
    expect(await codeOf(one.read('a'))).toBe('bug');
  });

  it('8: a body holds what was given, and nothing else', async () => {
    const listener = await start(fine);
    const peer = peerAt(listener.address);
    const options = { timeout: 1000, signal: new AbortController().signal, query: { a: 'b' } };
    await peer.session(Secret.fromText(TOKEN)).write('sys/mounts/kv', { type: 'kv' }, options);
    await peer.unseal(Secret.fromText(SHARE), { ...options, migrate: true });
    await peer.resetUnseal(options);
    await peer.session().delete('sys/mounts/kv', options);
    expect(listener.seen.map((seen) => seen.body)).toEqual([
      '{"type":"kv"}',
      `{"key":"${SHARE}","migrate":true}`,
      '{"reset":true}',
      '',
    ]);
  });

  it('9: the environment adds no token, namespace, prefix or address', async () => {
    vi.stubEnv('VAULT_TOKEN', TOKEN);
    vi.stubEnv('VAULT_NAMESPACE', 'elsewhere');
    vi.stubEnv('VAULT_PREFIX', '/prefix');
    vi.stubEnv('VAULT_ADDR', 'http://127.0.0.1:1');
    const listener = await start(fine);
    const peer = peerAt(listener.address);
    await peer.unseal(Secret.fromText(SHARE));
    await peer.session().read('kv/a');
    await peer.session(Secret.fromText('s.own')).read('kv/a');
    expect(listener.seen.map((seen) => seen.url)).toEqual(['/v1/sys/unseal', '/v1/kv/a', '/v1/kv/a']);
    expect(listener.seen.map((seen) => seen.headers['x-vault-token'])).toEqual([undefined, undefined, 's.own']);
    expect(listener.seen.every((seen) => seen.headers['x-vault-namespace'] === undefined)).toBe(true);
  });

  it('10: https without a scheme, and 202 is a success', async () => {
    const listener = await start((_seen, reply) => {
      reply(202, { data: { accepted: true } });
    });
    expect(await codeOf(peerAt(listener.address.replace('http://', '')).sealStatus())).toBe('server-identity');
    expect(await peerAt(listener.address).session().write('kv/a', {})).toEqual({ accepted: true });
  });

  it('11: init sends every field it has, and answers with recovery shares', async () => {
    const answer = { keys: [], keys_base64: [], recovery_keys_base64: ['cmVj'], root_token: 'cm9vdA==' };
    const listener = await start((_seen, reply) => {
      reply(200, answer);
    });
    const request = { shares: 1, threshold: 1, pgpKeys: ['a2V5'], rootTokenPgpKey: 'cm9vdA==' };
    const reply = await peerAt(listener.address).initialise({ ...request, recovery: true });
    await peerAt(listener.address).initialise({ ...request, recovery: false });
    expect(listener.seen.map((seen) => JSON.parse(seen.body) as unknown)).toEqual([
      { root_token_pgp_key: 'cm9vdA==', recovery_shares: 1, recovery_threshold: 1, recovery_pgp_keys: ['a2V5'] },
      { root_token_pgp_key: 'cm9vdA==', secret_shares: 1, secret_threshold: 1, pgp_keys: ['a2V5'] },
    ]);
    expect(reply.shares.map((share) => share.exposeText())).toEqual(['cmVj']);
    expect(JSON.parse(reply.raw.exposeText())).toEqual(answer);
  });

  it('13: no proxy is used, and none is told anything', async () => {
    const proxy = await start(fine);
    const listener = await start(fine);
    const broken = await start(drop);
    const variables = [
      'HTTP_PROXY',
      'HTTPS_PROXY',
      'ALL_PROXY',
      'BAO_PROXY_ADDR',
      'VAULT_PROXY_ADDR',
      'VAULT_HTTP_PROXY',
    ];
    const env = Object.fromEntries(
      variables.flatMap((name) => [
        [name, proxy.address],
        [name.toLowerCase(), proxy.address],
      ]),
    );
    const { codes } = await runChild(file, { ...env, NODE_USE_ENV_PROXY: '1' }, listener.address, broken.address);
    expect(codes.filter((code) => code === 'ok').length).toBeGreaterThan(3);
    expect(listener.seen.length).toBeGreaterThan(5);
    expect(proxy.connections()).toBe(0);
  });
});
