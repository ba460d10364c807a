import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLogin } from '../src/auth.ts';
import { loadConfig } from '../src/config.ts';
import { renderYaml } from '../src/document.ts';
import { codeOf } from './support/errors.ts';

const parse = (line: string) => parseLogin(line, '/jobs');

describe('--login', () => {
  it('has the settings of auth in quorate.yaml, with their defaults, and files from the working folder', () => {
    expect(parse('token')).toEqual({ method: 'token' });
    expect(parse('jwt,role=ci,github-audience=https://vault.example')).toEqual({
      'method': 'jwt',
      'mount': 'jwt',
      'role': 'ci',
      'github-audience': 'https://vault.example',
    });
    expect(parse('approle,mount=ci/approle,role-id=r,wrapped-secret-id-file=w')).toEqual({
      'method': 'approle',
      'mount': 'ci/approle',
      'role-id': 'r',
      'wrapped-secret-id-file': '/jobs/w',
    });
    expect(parse('cert,certificate=c.pem,key=/k.pem')).toMatchObject({ certificate: '/jobs/c.pem', key: '/k.pem' });
    expect(parse('kubernetes,role=job')).toMatchObject({
      file: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    });
  });

  it.each([
    'nothing',
    '',
    'jwt',
    'jwt,role=ci',
    'jwt,role=ci,file=a,variable=B',
    'jwt,role=ci,role=other,file=a',
    'jwt,role=../sys,file=a',
    'jwt,role=ci,mount=a/../b,file=a',
    'jwt,role=ci,file=a,__proto__=x',
    'jwt,role=ci,file=a,constructor=x',
    'jwt,role=ci,variable=A B',
    'approle,role-id=r',
    'approle,role-id=r,secret-id-file=a,wrapped-secret-id-file=b',
    'cert,key=k',
    'token,file=x',
    'token-file',
  ])('refuses %s', async (line) => {
    expect(await codeOf(() => parse(line))).toBe('usage');
  });

  it.each(['jwt,role=ci,file=a,secret=hvs.AAAABBBB', 'hvs.AAAABBBB', 'jwt,hvs.AAAABBBB', 'jwt,role=hvs AAAABBBB'])(
    'does not repeat what it was given',
    (line) => {
      let said = '';
      try {
        parse(line);
      } catch (error) {
        said = JSON.stringify(error);
      }
      expect(said).toContain('usage');
      expect(said).not.toContain('AAAABBBB');
    },
  );
});

describe('auth in quorate.yaml', () => {
  const load = async (auth: object): ReturnType<typeof loadConfig> => {
    const folder = await mkdtemp(join(tmpdir(), 'quorate-auth-'));
    try {
      const node = { 'cluster': 'one', 'signing-key': `ed25519:${'A'.repeat(43)}=` };
      const text = renderYaml({
        clusters: { one: { peers: [{ name: 'a', address: 'https://a.example:8200' }], auth } },
        wallets: { w: { threshold: 2, nodes: { north: { ...node, auth }, south: node } } },
      });
      await writeFile(join(folder, 'quorate.yaml'), text);
      return await loadConfig(join(folder, 'quorate.yaml'));
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  it('names its files from the folder of the file, for clusters and for nodes', async () => {
    const { clusters, wallets, folder } = await load({ method: 'cert', certificate: 'c.pem', key: '/k.pem' });
    const auth = { method: 'cert', mount: 'cert', certificate: join(folder, 'c.pem'), key: '/k.pem' };
    expect(clusters['one']?.auth).toEqual(auth);
    expect(wallets['w']?.nodes['north']?.auth).toEqual(auth);
    expect(wallets['w']?.nodes['south']?.auth).toBeUndefined();
  });

  it('is refused where it does not say all, or says too much', async () => {
    expect(await codeOf(load({ method: 'jwt', role: 'ci' }))).toBe('document-invalid');
    expect(await codeOf(load({ method: 'jwt', role: 'ci', variable: 'A', file: 'b' }))).toBe('document-invalid');
    expect(await codeOf(load({ 'method': 'approle', 'role-id': 'x' }))).toBe('document-invalid');
    expect(await codeOf(load({ method: 'kubernetes' }))).toBe('document-invalid');
  });
});
