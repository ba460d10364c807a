import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { codeOf } from '../support/errors.ts';
import { listen, type Listener, type Play, SEAL_STATUS } from '../support/listener.ts';
import { connectPeer, Secret } from './subject.ts';

const fine: Play = (_seen, reply) => {
  reply(200, SEAL_STATUS);
};
const TOKEN = Secret.fromText('s.AbCdEfGhIjKlMnOpQrStUvWx');

let folder = '';
const listeners: Listener[] = [];
const servers: Server[] = [];
const sockets = new Set<Socket>();

async function start(...args: Parameters<typeof listen>): Promise<Listener> {
  const listener = await listen(...args);
  listeners.push(listener);
  return listener;
}

/** A listener below HTTP: it does what it likes with the bytes. */
async function startRaw(play: (socket: Socket) => void): Promise<{ port: number; connections: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    play(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as { port: number }).port, connections: () => connections };
}

const peerAt = (address: string, more: object = {}): ReturnType<typeof connectPeer> =>
  connectPeer({ name: 'peer', address, timeout: 5000, ...more });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-wire-'));
});

afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('connections', () => {
  it('are kept and used again', async () => {
    const listener = await start(fine);
    const peer = peerAt(listener.address);
    for (let calls = 0; calls < 5; calls += 1) await peer.sealStatus();
    expect(listener.connections()).toBe(1);
    peer.close();
    await peer.sealStatus();
    expect(listener.connections()).toBe(2);
    peer.close();
  });

  it('go to a unix socket', async () => {
    const path = join(folder, 'peer.sock');
    const listener = await start(fine, { path });
    const peer = peerAt(`unix://${path}`);
    expect((await peer.sealStatus()).threshold).toBe(2);
    peer.close();
    expect(listener.seen[0]?.url).toBe('/v1/sys/seal-status');
  });

  it('respect a path before the API', async () => {
    const listener = await start(fine);
    const peer = peerAt(`${listener.address}/bao/`);
    await peer.sealStatus();
    peer.close();
    expect(listener.seen[0]?.url).toBe('/bao/v1/sys/seal-status');
  });
});

describe('faults', () => {
  it('repeat a read that broke off once, and nothing that is not safe to repeat', async () => {
    const listener = await start((_seen, _reply, socket) => {
      socket.destroy();
    });
    const peer = peerAt(listener.address);
    const session = peer.session(TOKEN);
    const count = async (work: () => Promise<unknown>): Promise<[string, number]> => {
      listener.seen.length = 0;
      return [await codeOf(work()), listener.seen.length];
    };
    expect(await count(() => peer.sealStatus())).toEqual(['server-unreachable', 2]);
    expect(await count(() => session.read('kv/a'))).toEqual(['server-unreachable', 2]);
    expect(await count(() => session.write('kv/a', {}))).toEqual(['server-unreachable', 1]);
    expect(await count(() => session.delete('kv/a'))).toEqual(['server-unreachable', 1]);
    expect(await count(() => peer.unseal(Secret.fromText('ab'.repeat(33))))).toEqual(['server-unreachable', 1]);
    expect(await count(() => peer.resetUnseal())).toEqual(['server-unreachable', 1]);
    expect(await count(() => peer.initialise({ shares: 3, threshold: 2, recovery: false }))).toEqual([
      'init-reply-lost',
      1,
    ]);
  });

  it('succeed at the second try', async () => {
    let calls = 0;
    const listener = await start((_seen, reply, socket) => {
      calls += 1;
      if (calls === 1) socket.destroy();
      else reply(200, SEAL_STATUS);
    });
    const peer = peerAt(listener.address);
    expect((await peer.sealStatus()).sealed).toBe(false);
    peer.close();
  });

  it('say that nobody listens', async () => {
    const { port } = await startRaw(() => undefined);
    await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))));
    const peer = peerAt(`http://127.0.0.1:${port.toString()}`);
    expect(await codeOf(peer.sealStatus())).toBe('server-unreachable');
    const init = peer.initialise({ shares: 1, threshold: 1, recovery: false });
    expect(await codeOf(init)).toBe('server-unreachable');
    expect(await codeOf(peerAt('http://peer.invalid').sealStatus())).toBe('server-unreachable');
    expect(await codeOf(peerAt(`unix://${folder}/none.sock`).sealStatus())).toBe('server-unreachable');
  });

  it('end a call in time, whether TLS, the head or the body of the reply stays away', async () => {
    const silent = await startRaw(() => undefined);
    const halting = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":');
    });
    for (const [scheme, port] of [
      ['https', silent.port],
      ['http', silent.port],
      ['http', halting.port],
    ] as const) {
      const peer = peerAt(`${scheme}://127.0.0.1:${port.toString()}`, { timeout: 60_000 });
      const started = Date.now();
      expect(await codeOf(peer.sealStatus({ timeout: 200 }))).toBe('server-timeout');
      expect(Date.now() - started).toBeLessThan(2000);
    }
    // A read that timed out is not tried again: the time is up.
    expect(silent.connections()).toBe(2);
  });

  it('leave a lost init reply open, however it got lost', async () => {
    const request = { shares: 3, threshold: 2, recovery: false };
    const cut = await startRaw((socket) => {
      socket.once('data', () => {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"keys":');
      });
    });
    const silent = await startRaw(() => undefined);
    for (const { port, connections } of [cut, silent]) {
      const peer = peerAt(`http://127.0.0.1:${port.toString()}`);
      expect(await codeOf(peer.initialise(request, { timeout: 500 }))).toBe('init-reply-lost');
      expect(connections()).toBe(1);
    }
    const controller = new AbortController();
    const cancelled = peerAt(`http://127.0.0.1:${silent.port.toString()}`).initialise(request, {
      signal: controller.signal,
    });
    setTimeout(() => {
      controller.abort();
    }, 100);
    expect(await codeOf(cancelled)).toBe('init-reply-lost');
  });

  it('are cancelled by a signal, before and during the call', async () => {
    const { port } = await startRaw(() => undefined);
    const peer = peerAt(`https://127.0.0.1:${port.toString()}`);
    expect(await codeOf(peer.sealStatus({ signal: AbortSignal.abort() }))).toBe('cancelled');
    const controller = new AbortController();
    setTimeout(() => {
      controller.abort();
    }, 50);
    expect(await codeOf(peer.sealStatus({ signal: controller.signal }))).toBe('cancelled');
  });

  it('refuse what is no HTTP, no JSON, of another shape, or endless', async () => {
    const junk = await startRaw((socket) => {
      socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    });
    expect(await codeOf(peerAt(`http://127.0.0.1:${junk.port.toString()}`).sealStatus())).toBe('server-response');
    const html = await start((_seen, reply) => {
      reply(200, '<html>s.AbCdEfGhIjKlMnOpQrStUvWx</html>');
    });
    expect(await codeOf(peerAt(html.address).sealStatus())).toBe('server-response');
    const shape = await start((_seen, reply) => {
      reply(200, { sealed: 'no' });
    });
    expect(await codeOf(peerAt(shape.address).sealStatus())).toBe('server-response');
    const endless = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const block = `10000\r\n${'a'.repeat(65_536)}\r\n`;
      const pour = (): void => {
        while (socket.writable && socket.write(block));
      };
      socket.on('drain', pour);
      pour();
    });
    expect(await codeOf(peerAt(`http://127.0.0.1:${endless.port.toString()}`).sealStatus())).toBe('server-response');
  });

  it('keep what a server says out of the terminal and short', async () => {
    const listener = await start((_seen, reply) => {
      reply(400, { errors: [`\u001b[2J${'x '.repeat(5000)}`, 'bad token s.AbCdEfGhIjKlMnOpQrStUvWx'] });
    });
    const peer = peerAt(listener.address);
    const reply = await peer.session().request('GET', 'kv/a');
    expect(reply.errors).toHaveLength(2);
    expect(reply.errors.join('')).not.toMatch(/\u001b|AbCdEf/u);
    expect(reply.errors[0]?.length).toBeLessThanOrEqual(300);
    peer.close();
  });

  it('keep the bytes of an init reply that has an unknown shape: there is no other copy', async () => {
    for (const body of ['{"shares":["a"]}', 'not even JSON']) {
      const listener = await start((_seen, reply) => {
        reply(200, body);
      });
      const reply = await peerAt(listener.address).initialise({ shares: 1, threshold: 1, recovery: false });
      expect(reply.raw.exposeText()).toBe(body);
      expect(reply.shares).toEqual([]);
      expect(reply.rootToken.length).toBe(0);
    }
  });
});
