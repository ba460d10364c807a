import { describe, expect, it } from 'vitest';
import { parseLogin } from '../src/auth.ts';
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
