import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Flavour } from '../../src/vault/flavour.ts';
import { sharedCluster } from '../support/cluster.ts';
import { codeOf } from '../support/errors.ts';
import { vaultBinary } from '../support/vault-binary.ts';
import { contractSubjects } from './subjects.ts';

// The points of contract.real.test.ts that only a real server can show. A number here is the point's number there.

const flavours: readonly Flavour[] = ['openbao', 'vault'];
const subjects = await contractSubjects();

afterEach(() => {
  vi.unstubAllEnvs();
});

describe.each(flavours)('%s', (flavour) => {
  describe.skipIf(flavour === 'vault' && vaultBinary() === undefined)('a server', () => {
    const live = sharedCluster({ flavour, peers: 1 });

    describe.each(subjects)('and the $name', ({ name, client: { connectPeer, Secret } }) => {
      const connect = (): ReturnType<typeof connectPeer> => {
        const { cluster } = live();
        return connectPeer({ name: 'peer-1', address: cluster.peers[0]?.address ?? '', ca: cluster.caFile });
      };
      const root = (): ReturnType<ReturnType<typeof connectPeer>['session']> =>
        connect().session(Secret.fromText(live().rootToken));

      it('5: names with #, ?, % and blanks are names, and a path upwards is refused', async () => {
        const session = root();
        const rules = 'path "kv/a" { capabilities = ["read"] }';
        for (const name of ['a#b', 'a?b', 'a b%2e']) {
          await session.write(`sys/policies/acl/${name}`, { policy: rules });
          expect(await session.read(`sys/policies/acl/${name}`)).toMatchObject({ name });
        }
        expect(await session.list('sys/policies/acl')).toEqual(expect.arrayContaining(['a#b', 'a?b', 'a b%2e']));
        expect(await session.read('sys/policies/acl/a')).toBeNull();
        expect(await codeOf(session.write('sys/policies/acl/../../seal', {}))).toBe('usage');
        // Encoded dots are part of a name for us; whatever the server makes of them, it is not the seal.
        await session.request('POST', 'sys/policies/acl/%2e%2e/%2e%2e/seal', {});
        expect((await session.peer.sealStatus()).sealed).toBe(false);
      });

      it('6: a denied path that speaks of health is denied', async () => {
        const peer = connect();
        expect(await codeOf(peer.session().read('secret/sys/health'))).toBe('denied');
        expect((await peer.health()).status).toBe(200);
      });

      it('9: a token in the environment opens nothing', async () => {
        vi.stubEnv('VAULT_TOKEN', live().rootToken);
        vi.stubEnv('BAO_TOKEN', live().rootToken);
        expect(await codeOf(connect().session().read('sys/mounts'))).toBe('denied');
      });

      it('11: the endpoints that node-vault lacks are there, with a token', async () => {
        const session = root();
        const path = await session.peer.endpoint('rotate-root-key');
        expect(await session.read(`${path}/init`)).toMatchObject({ started: false, required: 2 });
        expect(await session.read(`${await session.peer.endpoint('generate-root')}/attempt`)).toMatchObject({
          otp_length: flavour === 'vault' ? 28 : 26,
        });
      });

      it('12: logins side by side keep their tokens apart, and numbers keep their digits', async () => {
        const session = root();
        const made = await Promise.all(
          ['one', 'two', 'three', 'four'].map(async (name) => {
            const reply = await session.request('POST', 'auth/token/create', {
              display_name: name,
              policies: ['default'],
            });
            return { name, token: (reply.body as { auth: { client_token: string } }).auth.client_token };
          }),
        );
        const found = await Promise.all(
          made.map(async ({ token }) => {
            const own = session.peer.session(Secret.fromText(token));
            return (await own.read('auth/token/lookup-self')) as { display_name: string };
          }),
        );
        expect(found.map((one) => one.display_name)).toEqual(made.map(({ name }) => `token-${name}`));
        const mount = `numbers-${name}`;
        await session.write(`sys/mounts/${mount}`, { type: 'kv' });
        await session.write(`${mount}/a`, { large: 12345678901234567890n, exact: 9007199254740991, half: 0.5 });
        expect(await session.read(`${mount}/a`)).toEqual({
          large: '12345678901234567890',
          exact: 9007199254740991,
          half: 0.5,
        });
      });
    });
  });
});
