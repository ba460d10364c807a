import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { programRunner } from '../../src/programs/run.ts';
import { sshKeygen } from '../../src/programs/ssh-keygen.ts';

const folder = mkdtempSync(join(tmpdir(), 'quorate-ssh-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const ssh = sshKeygen(programRunner(process.env));
const at = (name: string): string => join(folder, name);
const makeKey = (name: string, type = 'ed25519'): string => {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', `SHA256:${'A'.repeat(43)}`, '-f', at(name)]);
  return readFileSync(at(`${name}.pub`), 'utf8');
};
const dana = makeKey('dana');
const mallory = makeKey('mallory', 'ecdsa');
writeFileSync(at('allowed'), `"Dana Example,dana" namespaces="quorate-record" ${dana}`);
const bytes = new TextEncoder().encode('one line\nand another');

async function signature(key: string, namespace: string, name: string): Promise<string> {
  writeFileSync(at(name), await ssh.sign({ key: at(key), namespace, bytes }));
  return at(name);
}

describe('signing', () => {
  test('the stock command accepts what it signed', async () => {
    const file = await signature('dana', 'quorate-record', 'stock.sig');
    const out = execFileSync(
      'ssh-keygen',
      ['-Y', 'verify', '-f', at('allowed'), '-I', 'dana', '-n', 'quorate-record', '-s', file],
      { input: bytes },
    );
    expect(out.toString()).toContain('Good');
  });

  test('with a key that only an agent holds', async () => {
    const started = execFileSync('ssh-agent', ['-s', '-a', at('agent')]).toString();
    const pid = /SSH_AGENT_PID=(\d+)/.exec(started)?.[1] ?? '';
    try {
      const env = { ...process.env, SSH_AUTH_SOCK: at('agent') };
      makeKey('held');
      execFileSync('ssh-add', ['-q', at('held')], { env, stdio: 'ignore' });
      rmSync(at('held'));
      const signed = await sshKeygen(programRunner(env)).sign({ key: at('held.pub'), namespace: 'n', bytes });
      expect(new TextDecoder().decode(signed)).toContain('BEGIN SSH SIGNATURE');
    } finally {
      process.kill(Number(pid));
    }
  });

  test('a missing key, and a public key without an agent', async () => {
    await expect(ssh.sign({ key: at('nobody'), namespace: 'n', bytes })).rejects.toMatchObject({
      code: 'key-unusable',
    });
    const alone = sshKeygen(programRunner({ PATH: process.env['PATH'] }));
    writeFileSync(at('alone.pub'), dana);
    await expect(alone.sign({ key: at('alone.pub'), namespace: 'n', bytes })).rejects.toMatchObject({
      code: 'key-unusable',
    });
  });
});

describe('verifying', () => {
  const verify = (identity: string, namespace: string, file: string, what = bytes): ReturnType<typeof ssh.verify> =>
    ssh.verify({ allowedSigners: at('allowed'), identity, namespace, signature: file, bytes: what });

  test('says which key signed, whatever the comment of the key and the identity say', async () => {
    const file = await signature('dana', 'quorate-record', 'good.sig');
    const key = await ssh.fingerprint(at('dana.pub'));
    expect(key).not.toContain('AAAAAAAA');
    expect(await verify('Dana Example', 'quorate-record', file)).toEqual({ ok: true, key });
    expect(await ssh.fingerprint(at('dana'))).toBe(key);
  });

  test('refuses other bytes, another namespace, another identity and another key', async () => {
    const file = await signature('dana', 'quorate-record', 'one.sig');
    expect(await verify('dana', 'quorate-record', file, bytes.subarray(1))).toEqual({ ok: false });
    expect(await verify('dana', 'quorate-dissent', file)).toEqual({ ok: false });
    expect(await verify('mallory', 'quorate-record', file)).toEqual({ ok: false });
    const foreign = await signature('mallory', 'quorate-record', 'foreign.sig');
    expect(await verify('dana', 'quorate-record', foreign)).toEqual({ ok: false });
    writeFileSync(at('broken.sig'), 'nothing\n');
    expect(await verify('dana', 'quorate-record', at('broken.sig'))).toEqual({ ok: false });
  });

  test('says which key signed where nobody is trusted yet', async () => {
    const file = await signature('mallory', 'quorate-receipt', 'checked.sig');
    const check = (namespace: string, what = bytes): ReturnType<typeof ssh.check> =>
      ssh.check({ namespace, signature: file, bytes: what });
    expect(await check('quorate-receipt')).toEqual({ ok: true, key: await ssh.fingerprint(at('mallory.pub')) });
    expect(await check('quorate-record')).toEqual({ ok: false });
    expect(await check('quorate-receipt', bytes.subarray(1))).toEqual({ ok: false });
  });

  test('finds whose key it was', async () => {
    const file = await signature('dana', 'quorate-record', 'whose.sig');
    const foreign = await signature('mallory', 'quorate-record', 'whose-not.sig');
    expect(mallory).toContain('ecdsa');
    expect(await ssh.findPrincipals({ allowedSigners: at('allowed'), signature: file })).toEqual([
      'Dana Example',
      'dana',
    ]);
    expect(await ssh.findPrincipals({ allowedSigners: at('allowed'), signature: foreign })).toEqual([]);
  });

  test('what is no key has no fingerprint', async () => {
    await expect(ssh.fingerprint(at('allowed-not'))).rejects.toMatchObject({ code: 'key-unusable' });
  });
});
