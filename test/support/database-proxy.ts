import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { atEnd } from './at-end.ts';

/** Stands between a Vault server and a real database, to take the database away. */
export interface DatabaseProxy {
  readonly port: number;
  /** Cuts all connections and refuses new ones: the database is down. */
  down(): void;
  up(): void;
  /** Lets what is sent arrive, and nothing come back, while connections stay open. */
  freeze(): void;
  /**
   * Once a client has sent bytes that hold `text` (plain connections only), they still reach the database, and the
   * connection is cut before its answer comes back. Resolves when that has happened.
   */
  cutAfter(text: string): Promise<void>;
  close(): Promise<void>;
}

const proxies: DatabaseProxy[] = [];

atEnd(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

/** Listens on a port of its own, by default on 127.0.0.1. */
export async function startDatabaseProxy(
  target: { readonly port: number },
  host = '127.0.0.1',
): Promise<DatabaseProxy> {
  const sockets = new Set<Socket>();
  let state: 'up' | 'down' | 'frozen' = 'up';
  let cut: { readonly text: string; readonly struck: () => void } | undefined;
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    if (state === 'down') {
      client.destroy();
      return;
    }
    const database = connect(target.port, '127.0.0.1');
    keep(database);
    let silent = false;
    client.on('data', (bytes) => {
      if (cut !== undefined && bytes.includes(cut.text)) {
        const { struck } = cut;
        cut = undefined;
        silent = true;
        database.write(bytes, () => {
          // Its answer tells that it has acted; nobody else hears of it.
          database.once('data', () => {
            client.destroy();
            database.destroy();
            struck();
          });
        });
        return;
      }
      database.write(bytes);
    });
    database.on('data', (bytes) => {
      if (!silent && state !== 'frozen') client.write(bytes);
    });
    client.on('close', () => database.destroy());
    database.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const proxy: DatabaseProxy = {
    port: (server.address() as AddressInfo).port,
    down() {
      state = 'down';
      destroyAll();
    },
    up() {
      if (state === 'frozen') destroyAll();
      state = 'up';
    },
    freeze() {
      state = 'frozen';
    },
    cutAfter: (text) =>
      new Promise((resolve) => {
        cut = { text, struck: resolve };
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        destroyAll();
      }),
  };
  proxies.push(proxy);
  return proxy;
}
