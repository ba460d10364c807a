import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { UploadSource } from '../../src/vault/peer.ts';
import { codeOf } from '../support/errors.ts';
import { listen, type Listener } from '../support/listener.ts';
import { waitUntil } from '../support/wait.ts';
import { connectPeer, Secret } from './subject.ts';

const PATH = 'sys/storage/raft/snapshot-force';
const TOKEN = Secret.fromText('s.AbCdEfGhIjKlMnOpQrStUvWx');
const PIECE = 64 << 10;

const listeners: Listener[] = [];
const servers: Server[] = [];
const sockets = new Set<Socket>();

afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))));
});

/** A session at a listener below HTTP, which is told each connection. */
async function startRaw(play: (socket: Socket) => void): Promise<ReturnType<typeof sessionAt>> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    play(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return sessionAt(`http://127.0.0.1:${(server.address() as { port: number }).port.toString()}`);
}

const sessionAt = (address: string) => connectPeer({ name: 'peer', address, timeout: 5000 }).session(TOKEN);

/** `pieces` of the same letter; `ended` is called when nobody wants more. */
function letters(pieces: number, size = pieces * PIECE, ended = (): void => undefined): UploadSource {
  return {
    size,
    async *chunks() {
      try {
        for (let sent = 0; sent < pieces; sent += 1) yield await Promise.resolve(new Uint8Array(PIECE).fill(0x61));
      } finally {
        ended();
      }
    },
  };
}

describe('an upload', () => {
  it('sends all with its length, and gives the hash of what was sent', async () => {
    const listener = await listen((_seen, reply) => {
      reply(204);
    });
    listeners.push(listener);
    const sent = await sessionAt(listener.address).upload(PATH, letters(5));
    expect(sent).toEqual({
      sha256: '0e5b113b9f40bdd263fc20a75fc39dc112029e4b8c3b645e65856685465e7bd3',
      size: 5 * PIECE,
    });
    const [seen] = listener.seen;
    expect(listener.seen).toHaveLength(1);
    expect(seen).toMatchObject({ method: 'POST', url: `/v1/${PATH}`, body: 'a'.repeat(5 * PIECE) });
    expect(seen?.headers['content-length']).toBe((5 * PIECE).toString());
    expect(seen?.headers['transfer-encoding']).toBeUndefined();
  });

  it('is never whole when the source is shorter, longer, or breaks', async () => {
    const listener = await listen((_seen, reply) => {
      reply(204);
    });
    listeners.push(listener);
    const session = sessionAt(listener.address);
    expect(await codeOf(session.upload(PATH, letters(2, 3 * PIECE)))).toBe('file-invalid');
    expect(await codeOf(session.upload(PATH, letters(3, 2 * PIECE)))).toBe('file-invalid');
    expect(listener.seen).toEqual([]);
  });

  it('is sent once, and ends when the server breaks off', async () => {
    let connections = 0;
    let ended = 0;
    const session = await startRaw((socket) => {
      connections += 1;
      socket.once('data', () => socket.destroy());
    });
    const source = letters(2000, 2000 * PIECE, () => (ended += 1));
    expect(await codeOf(session.upload(PATH, source))).toBe('server-unreachable');
    expect(connections).toBe(1);
    await waitUntil('the source is closed', () => ended === 1);
  });

  it('takes a refusal that comes before all is read, and leaves the source', async () => {
    let ended = 0;
    const session = await startRaw((socket) => {
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}');
      });
    });
    const source = letters(2000, 2000 * PIECE, () => (ended += 1));
    expect(await codeOf(session.upload(PATH, source))).toBe('denied');
    await waitUntil('the source is closed', () => ended === 1);
  });
});
