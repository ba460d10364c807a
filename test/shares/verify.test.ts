import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { verifyPublic } from '../../src/shares/commitment.ts';
import { advance, stage } from '../../src/shares/node.ts';
import { type CheckPublic, type Finding, type SeenStore, verifyWallet } from '../../src/shares/verify.ts';
import { makeWorld, relay, type WorldNode } from './world.ts';

const { BASE, Fn } = secp256k1.Point;

/** Two nodes with shares of 7 + 5x (and of another polynomial with the same key at epoch 2). */
function setUp() {
  const { wallet, nodes } = makeWorld(['north', 'south'], 2);
  const [north, south] = [...nodes.values()] as [WorldNode, WorldNode];
  const both = [north, south];
  const settle = async (rounds = 4): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      relay(north.disk, south.disk);
      relay(south.disk, north.disk);
      for (const node of both) await advance(wallet, node.over());
    }
    relay(north.disk, south.disk);
    relay(south.disk, north.disk);
  };
  const stageAll = async (epoch: number, key = 7n, slope = 5n * BigInt(epoch)): Promise<void> => {
    for (const [at, node] of both.entries()) {
      const value = (key + slope * BigInt(at + 1)) % Fn.ORDER;
      await stage(wallet, node.over(), {
        epoch,
        scheme: 'feldman-secp256k1',
        index: at + 1,
        commitment: [BASE.multiply(key).toHex(), BASE.multiply(slope).toHex()],
        share: new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex')),
      });
    }
  };
  const check: CheckPublic = async ([first]) => {
    if (first === undefined) throw new Error('no header');
    const publicKey = await verifyPublic(first);
    return publicKey === undefined ? { by: 'nobody' } : { publicKey, by: 'quorate' };
  };
  const stores = (): SeenStore[] =>
    [...nodes].map(([node, { disk }]) => ({ node, statements: disk.statements, envelopes: disk.envelopes }));
  const verify = (seen: readonly SeenStore[] = stores()) => verifyWallet(wallet, seen, check);
  return { wallet, north, south, settle, stageAll, stores, verify };
}

const verdicts = (findings: readonly Finding[]): string[] => [...new Set(findings.map(({ verdict }) => verdict))];
const wrong = (findings: readonly Finding[]): string[] =>
  findings.filter(({ verdict }) => verdict === 'wrong').map(({ text, node }) => `${node ?? ''}: ${text}`);

describe('verifying a wallet', () => {
  it('finds all well where it is, at every stage of a move', async () => {
    const { stageAll, settle, verify, north, wallet } = setUp();
    expect(verdicts(await verify())).toEqual(['good', 'open']);
    for (const epoch of [1, 2]) {
      await stageAll(epoch);
      expect(wrong(await verify())).toEqual([]);
      await advance(wallet, north.over());
      expect(wrong(await verify())).toEqual([]);
      await settle();
      expect(verdicts(await verify())).toEqual(['good']);
    }
  });

  it('says what is missing, and where', async () => {
    const { stageAll, settle, verify, stores, south } = setUp();
    await stageAll(1);
    const staged = await verify();
    expect(staged.filter(({ verdict }) => verdict === 'open').map(({ node, epoch }) => node ?? epoch)).toEqual([
      'north',
      'south',
      undefined,
      1,
    ]);
    await settle();
    const [first, second] = stores() as [SeenStore, SeenStore];
    const away = new QuorateError('server-unreachable', 'south refused the connection');
    const unreachable = await verify([first, { ...second, statements: away, envelopes: away }]);
    expect(unreachable).toContainEqual(expect.objectContaining({ verdict: 'unreachable', node: 'south' }));
    const denied = { ...second, envelopes: new QuorateError('denied', 'no') };
    expect(verdicts(await verify([first, denied]))).toEqual(['good', 'open']);
    south.disk.statements = south.disk.statements.slice(0, 2);
    expect(verdicts(await verify())).toEqual(['good', 'open']);
  });

  it('finds every forgery in a store', async () => {
    const { stageAll, settle, verify, south, north } = setUp();
    await stageAll(1);
    await settle();
    const sound = { statements: south.disk.statements, envelopes: south.disk.envelopes };
    const find = async (change: Partial<typeof sound>): Promise<string[]> => {
      Object.assign(south.disk, sound, change);
      return wrong(await verify());
    };
    expect(await find({})).toEqual([]);
    const [one] = sound.statements;
    const [envelope] = sound.envelopes;
    if (one === undefined || envelope === undefined) throw new Error('there are some');
    const forged = { ...one, text: one.text.replace('"threshold":2', '"threshold":1') };
    expect(await find({ statements: [...sound.statements, forged] })).toHaveLength(1);
    expect(await find({ envelopes: [] })).toEqual([expect.stringContaining('south')]);
    expect(await find({ envelopes: north.disk.envelopes })).toEqual([expect.stringContaining('south')]);
    expect(await find({ envelopes: [{ ...envelope, signature: one.signature }] })).toHaveLength(1);
    expect(await find({ envelopes: [{ ...envelope, text: '{}' }] })).toHaveLength(2);
  });

  it('finds another set under the same name: another key, or no point of the curve', async () => {
    const { stageAll, settle, verify } = setUp();
    await stageAll(1);
    await settle();
    await stageAll(2, 8n);
    await settle(2);
    expect(wrong(await verify())).toEqual([expect.stringContaining('different public keys')]);
  });
});

describe('a public commitment', () => {
  const good = [BASE.multiply(7n).toHex(), BASE.multiply(5n).toHex()];
  const header = { scheme: 'feldman-secp256k1', threshold: 2, index: 1, commitment: good };

  it('gives the public key, and is refused where it is none', async () => {
    expect(await verifyPublic(header)).toBe(good[0]);
    expect(await verifyPublic({ ...header, scheme: 'cggmp21' })).toBeUndefined();
    const opposite = BASE.multiply(5n).negate().toHex();
    for (const commitment of [good.slice(1), [good[0] ?? '', '00'], [BASE.multiply(5n).toHex(), opposite]]) {
      await expect(verifyPublic({ ...header, commitment })).rejects.toMatchObject({ code: 'commitment-mismatch' });
    }
  });
});
