import { describe, expect, it } from 'vitest';
import type { Flavour } from '../../src/vault/flavour.ts';
import type { InitReply, Peer } from '../../src/vault/peer.ts';
import { freshCluster, reseal, sharedCluster } from '../support/cluster.ts';
import { codeOf } from '../support/errors.ts';
import { vaultBinary } from '../support/vault-binary.ts';
import { waitUntil } from '../support/wait.ts';
import { connectPeer, Secret } from './subject.ts';

const flavours: readonly Flavour[] = ['openbao', 'vault'];

describe.each(flavours)('%s', (flavour) => {
  describe.skipIf(flavour === 'vault' && vaultBinary() === undefined)('a server', () => {
    it('is initialised, told so again, and unsealed', async () => {
      const cluster = await freshCluster({ flavour, peers: 1 });
      const peer = connectPeer({ name: 'p', address: cluster.peers[0]?.address ?? '', ca: cluster.caFile });
      expect(await peer.sealStatus()).toMatchObject({ flavour, initialised: false, sealed: true, shares: 0 });
      expect(await peer.health()).toMatchObject({ status: 501, initialised: false });
      expect(await codeOf(peer.unseal(Secret.fromText('ab'.repeat(33))))).toBe('not-initialised');
      expect(await codeOf(peer.initialise({ shares: 3, threshold: 4, recovery: false }))).toBe('server-error');
      const request = { shares: 3, threshold: 2, recovery: false };
      const reply = await peer.initialise(request);
      const raw = JSON.parse(reply.raw.exposeText()) as { keys_base64: string[]; root_token: string };
      expect(texts(reply)).toEqual(raw.keys_base64);
      expect(reply.rootToken.exposeText()).toBe(raw.root_token);
      expect(await codeOf(peer.initialise(request))).toBe('already-initialised');
      const [first, second] = reply.shares;
      if (first === undefined || second === undefined) throw new Error('too few shares');
      expect(await peer.unseal(first)).toMatchObject({ sealed: true, progress: 1, threshold: 2, shares: 3 });
      await peer.unseal(second);
      await active(peer);
      const root = peer.session(reply.rootToken);
      expect(await root.read('auth/token/lookup-self')).toMatchObject({ policies: ['root'] });
      peer.close();
    });

    describe('that lives', () => {
      const live = sharedCluster({ flavour, peers: 1 });
      const connect = (namespace?: string): Peer => {
        const { cluster } = live();
        const settings = { name: 'p', address: cluster.peers[0]?.address ?? '', ca: cluster.caFile };
        return connectPeer(namespace === undefined ? settings : { ...settings, namespace });
      };
      const token = (): Secret => Secret.fromText(live().rootToken);
      const share = (index: number): Secret => Secret.fromText(live().shares[index] ?? '');

      it('tells its status, health and leader', async () => {
        const peer = connect();
        const status = await peer.sealStatus();
        expect(status).toMatchObject({ flavour, initialised: true, sealed: false, shares: 3, threshold: 2 });
        expect(status.clusterId).toMatch(/^[0-9a-f-]{36}$/);
        const health = await peer.health();
        expect(health).toMatchObject({ status: 200, sealed: false, standby: false });
        // The server's clock is this machine's, in whole seconds.
        expect(Math.abs(health.serverTime - health.localTime)).toBeLessThan(3000);
        expect(await peer.leader()).toMatchObject({ haEnabled: true, isSelf: true, leaderAddress: peer.address });
        expect(peer.certificate).toMatch(/^[0-9a-f]{64}$/);
        peer.close();
      });

      it('keeps, lists and deletes what a session writes', async () => {
        const session = connect().session(token());
        await session.write('sys/mounts/kv', { type: 'kv' });
        expect(await session.write('kv/a b/c#d', { value: Secret.fromText('quo"te') })).toBeNull();
        expect(await session.list('kv/a b')).toEqual(['c#d']);
        expect(await session.read('kv/a b/c#d')).toEqual({ value: 'quo"te' });
        await session.delete('kv/a b/c#d');
        expect(await session.read('kv/a b/c#d')).toBeNull();
        expect(await session.list('kv/a b')).toEqual([]);
        expect(await codeOf(session.read('kv/../sys/seal'))).toBe('usage');
        session.peer.close();
      });

      it('refuses by kind: no token, a wrong token, a wrong request', async () => {
        const peer = connect();
        expect(await codeOf(peer.session().read('sys/mounts'))).toBe('denied');
        expect(await codeOf(peer.session(Secret.fromText('s.wrong')).read('sys/mounts'))).toBe('denied');
        const session = peer.session(token());
        expect(await codeOf(session.write('sys/mounts/x', { type: 'no-such-engine' }))).toBe('server-error');
        const reply = await session.request('POST', 'sys/mounts/x', { type: 'no-such-engine' });
        expect([reply.status, reply.errors.length]).toEqual([400, 1]);
        expect(await codeOf(session.delete('no/such/mount'))).toBe('server-error');
        peer.close();
      });

      it('has namespaces, or they are refused', async () => {
        const peer = connect();
        const session = peer.session(token());
        if (flavour === 'vault') {
          // It would ignore the header and act in the root namespace.
          expect(await codeOf(session.inNamespace('team').write('sys/mounts/stray', { type: 'kv' }))).toBe(
            'server-unsupported',
          );
          expect(await codeOf(connect('team').session(token()).read('sys/mounts'))).toBe('server-unsupported');
          expect(await codeOf(peer.endpoint('namespaces'))).toBe('server-unsupported');
          expect(await session.read('sys/mounts')).not.toHaveProperty('stray/');
          return;
        }
        await session.write(`${await peer.endpoint('namespaces')}/team`, {});
        await session.inNamespace('team').write('sys/mounts/inner', { type: 'kv' });
        expect(await connect('team').session(token()).read('sys/mounts')).toHaveProperty('inner/');
        expect(await session.read('sys/mounts')).not.toHaveProperty('inner/');
        peer.close();
      });

      it('names each way in which unsealing fails', async () => {
        await reseal(live());
        const peer = connect();
        const session = peer.session(token());
        expect(await codeOf(session.read('sys/mounts'))).toBe('sealed');
        expect(await codeOf(peer.leader())).toBe('sealed');
        expect(await peer.health()).toMatchObject({ status: 503, sealed: true });
        for (const text of ['abc', 'zz zz', 'ab'.repeat(40)]) {
          expect(await codeOf(peer.unseal(Secret.fromText(text)))).toBe('share-invalid');
        }
        expect((await peer.sealStatus()).progress).toBe(0);
        // The same share twice counts once.
        expect((await peer.unseal(share(0))).progress).toBe(1);
        expect((await peer.unseal(share(0))).progress).toBe(1);
        expect(await peer.resetUnseal()).toMatchObject({ progress: 0, nonce: '' });
        const second = live().shares[1] ?? '';
        const flipped = (second.startsWith('0') ? '1' : '0') + second.slice(1);
        const sameX = `${flipped.slice(0, -2)}${(live().shares[0] ?? '').slice(-2)}`;
        for (const wrong of [flipped, sameX]) {
          expect((await peer.unseal(share(0))).progress).toBe(1);
          expect(await codeOf(peer.unseal(Secret.fromText(wrong)))).toBe('shares-wrong');
          expect((await peer.sealStatus()).progress).toBe(0);
        }
        await peer.unseal(share(0));
        expect((await peer.unseal(share(2))).sealed).toBe(false);
        await active(peer);
        expect(await codeOf(peer.resetUnseal())).toBe('server-error');
        peer.close();
      });
    });
  });
});

async function active(peer: Peer): Promise<void> {
  await waitUntil('the server is active', async () => (await peer.health()).status === 200);
}

function texts(reply: InitReply): readonly string[] {
  return reply.shares.map((share) => share.exposeText());
}
