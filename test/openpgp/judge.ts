import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { baoBinary } from '../support/bao-binary.ts';

/** One server with one share, whose rotations judge keys: encrypting to one that is bad fails and changes nothing. */
export class Judge {
  readonly #server: ChildProcess;
  readonly #address: string;
  readonly folder: string;
  #token = '';
  #key = '';

  constructor(server: ChildProcess, address: string, folder: string) {
    this.#server = server;
    this.#address = address;
    this.folder = folder;
  }

  static async start(): Promise<Judge> {
    const folder = await mkdtemp(join(tmpdir(), 'quorate-'));
    const port = await freePort();
    const address = `http://127.0.0.1:${port.toString()}`;
    const config = join(folder, 'config.hcl');
    await writeFile(
      config,
      `storage "inmem" {}\nlistener "tcp" { address = "127.0.0.1:${port.toString()}"\n tls_disable = true }\napi_addr = "${address}"\n`,
    );
    const bao = await baoBinary();
    const judge = new Judge(spawn(bao, ['server', `-config=${config}`], { stdio: 'ignore' }), address, folder);
    await judge.#initialise();
    return judge;
  }

  async #initialise(): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      const answer = await this.#call('GET', 'sys/init').catch(() => undefined);
      if (answer?.status === 200) break;
      await sleep(100);
    }
    const { body } = await this.#call('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 });
    this.#token = String(body['root_token']);
    this.#key = String((body['keys'] as string[])[0]);
    await this.#call('PUT', 'sys/unseal', { key: this.#key });
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await this.#call('GET', 'sys/health')).status === 200) return;
      await sleep(100);
    }
  }

  async #call(method: string, path: string, body?: unknown) {
    const response = await fetch(`${this.#address}/v1/${path}`, {
      method,
      headers: { 'X-Vault-Token': this.#token, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
  }

  /** What the server encrypted to this key (base64 of the binary export), or undefined when it could not. */
  async encryptTo(keyBase64: string): Promise<Uint8Array | undefined> {
    const request = { secret_shares: 1, secret_threshold: 1, pgp_keys: [keyBase64], require_verification: true };
    const begun = await this.#call('PUT', 'sys/rotate/root/init', request);
    if (begun.status !== 200) return undefined;
    const { nonce } = begun.body['data'] as { nonce: string };
    const done = await this.#call('PUT', 'sys/rotate/root/update', { key: this.#key, nonce });
    if (done.status === 200) {
      await this.#call('DELETE', 'sys/rotate/root/verify');
      await this.#call('DELETE', 'sys/rotate/root/init', { nonce });
      const { keys_base64: keys } = done.body['data'] as { keys_base64: string[] };
      return Uint8Array.from(Buffer.from(keys[0] ?? '', 'base64'));
    }
    await this.#call('DELETE', 'sys/rotate/root/init', { nonce });
    return undefined;
  }

  async stop(): Promise<void> {
    this.#server.kill('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
