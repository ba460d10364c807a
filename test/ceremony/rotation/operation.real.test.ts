import { beforeAll, describe, expect, it } from 'vitest';
import { RotationOperation } from '../../../src/ceremony/rotation/operation.ts';
import { parseShare, type Share } from '../../../src/ceremony/share.ts';
import { loadOpenPgp } from '../../../src/openpgp/openpgp.ts';
import { Secret } from '../../../src/secret.ts';
import { peersOf } from '../../support/ceremony.ts';
import { type LiveCluster, leaderIndex, sharedCluster } from '../../support/cluster.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

const share = (hex: string): Share => parseShare(Secret.fromText(hex));

async function operationOn({ cluster, rootToken }: LiveCluster): Promise<RotationOperation> {
  const peer = peersOf(cluster)[(await leaderIndex(cluster)) ?? 0];
  if (peer === undefined) throw new Error('no peer leads');
  return RotationOperation.on(peer.session(Secret.fromText(rootToken)), 'rotate-root-key');
}

describe.each(['openbao', 'vault'] as const)('a rotation on %s', (flavour) => {
  describe.skipIf(flavour === 'vault' && vaultBinary() === undefined)('on a real server', () => {
    const live = sharedCluster({ flavour, peers: 1 });
    let pgpKey: string;
    beforeAll(async () => {
      pgpKey = (await (await loadOpenPgp()).discardedKey()).binaryBase64;
    });

    it('tells each answer apart', async () => {
      const operation = await operationOn(live());
      const [one, two, three] = live().shares.map(share);
      if (one === undefined || two === undefined || three === undefined) throw new Error('three shares are needed');
      expect(await operation.status()).toMatchObject({ started: false, nonce: '', required: 2 });
      expect(await operation.verification()).toBeUndefined();
      expect(await operation.backup()).toBeUndefined();
      expect(await operation.give(one, 'e0a1c2b3-0000-0000-0000-000000000000')).toEqual({ kind: 'gone' });

      const { nonce } = await operation.start({ shares: 1, threshold: 1, pgpKeys: [pgpKey], backup: true });
      await expect(operation.start({ shares: 1, threshold: 1, pgpKeys: [pgpKey], backup: true })).rejects.toMatchObject(
        { code: 'server-error' },
      );
      expect(await operation.give(one, 'e0a1c2b3-0000-0000-0000-000000000000')).toEqual({ kind: 'nonce changed' });
      expect(await operation.give(one, nonce)).toEqual({ kind: 'progress', progress: 1 });
      expect(await operation.give(one, nonce)).toEqual({ kind: 'counted before' });
      expect(await operation.give(share('ab'.repeat(33)), nonce)).toEqual({ kind: 'wrong set' });
      expect(await operation.status()).toMatchObject({ nonce, progress: 0 });

      await operation.give(two, nonce);
      const complete = await operation.give(three, nonce);
      if (complete.kind !== 'complete') throw new Error(`the quorum gave ${complete.kind}`);
      expect(complete.issued.shares).toHaveLength(1);
      expect(complete.issued.fingerprints).toHaveLength(1);
      expect(await operation.give(one, nonce)).toEqual({ kind: 'verifying' });

      const { verificationNonce } = complete.issued;
      expect(await operation.verification()).toMatchObject({ nonce: verificationNonce, progress: 0, threshold: 1 });
      const void32 = parseShare(Secret.fromText('cd'.repeat(32)), { single: true });
      expect(await operation.giveForVerification(void32, nonce)).toEqual({ kind: 'nonce changed' });
      expect(await operation.giveForVerification(void32, verificationNonce)).toEqual({ kind: 'wrong set' });
      const restarted = await operation.restartVerification();
      expect(restarted?.nonce).not.toBe(verificationNonce);

      const backup = await operation.backup();
      expect(backup?.nonce).toBe(nonce);
      expect([...(backup?.shares.keys() ?? [])]).toEqual(complete.issued.fingerprints);
      expect(backup?.shares.get(complete.issued.fingerprints[0] ?? '')).toEqual(complete.issued.shares);
      await operation.deleteBackup();
      expect(await operation.backup()).toBeUndefined();
      await operation.cancel(nonce);
      expect(await operation.status()).toMatchObject({ started: false });
      expect(await operation.giveForVerification(void32, verificationNonce)).toEqual({ kind: 'gone' });
    });
  });
});
