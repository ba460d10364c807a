import { describe, expect, it } from 'vitest';
import { checkReceipt, isLate, type Signer } from '../../../src/ceremony/apart/check.ts';
import { INVITATION } from '../../../src/ceremony/apart/handed-out.ts';
import { type Invitation, invitationDigest } from '../../../src/ceremony/apart/invitation.ts';
import type { ReceiptBody } from '../../../src/ceremony/apart/receipt.ts';
import type { Run } from '../../../src/ceremony/kind.ts';
import { sha256 } from '../../../src/ceremony/record/line.ts';
import { codeOf } from '../../support/errors.ts';
import { aReceipt, anInvitation, KEY } from './samples.ts';

const invitation = anInvitation();
const OTHER_KEY = `SHA256:${'B'.repeat(43)}`;
const signers: readonly Signer[] = [
  { holder: 'Alice Example', ssh: KEY, share: { x: '3f', fingerprint: `sha256:${'ab'.repeat(32)}` } },
  { holder: 'Bo Example', ssh: OTHER_KEY },
  { holder: 'Cleo Example' },
];

/** A run that has handed out these invitations. */
function runOf(...handedOut: readonly Invitation[]): Pick<Run, 'events' | 'cluster'> {
  const events = handedOut.map((one) => ({
    event: 'check',
    code: INVITATION,
    ok: true,
    finding: 'invited',
    facts: { digest: invitationDigest(one), give: one.task.give, step: one.step.id, nonce: one.task.nonce },
  }));
  return { events, cluster: { name: 'prod', peers: [{ name: 'vault-1' }] } } as unknown as Pick<
    Run,
    'events' | 'cluster'
  >;
}

function check(body: ReceiptBody, key: string | undefined = KEY, held: readonly ReceiptBody[] = []): Promise<string> {
  const receipt = { body, bytes: new Uint8Array(), signature: new Uint8Array() };
  return codeOf(() => checkReceipt(runOf(invitation), invitation, signers, held, receipt, key));
}

describe('a receipt', () => {
  it('counts when it is for this, by whom it says', async () => {
    expect(await check(aReceipt(invitation))).toBe('nothing was thrown');
  });

  it.each([
    ['by nobody', undefined],
    ['by somebody else of the roster', OTHER_KEY],
    ['by a key that nobody has', `SHA256:${'C'.repeat(43)}`],
  ])('signed %s is refused', async (_who, key) => {
    const receipt = { body: aReceipt(invitation), bytes: new Uint8Array(), signature: new Uint8Array() };
    expect(await codeOf(() => checkReceipt(runOf(invitation), invitation, signers, [], receipt, key))).toBe(
      'signature-invalid',
    );
  });

  it('in the name of somebody without a key is refused', async () => {
    expect(await check(aReceipt(invitation, { custodian: 'Cleo Example' }))).toBe('signature-invalid');
  });

  it.each([
    ['ceremony', { ceremony: '2027-01-12-rotate-root-key-00000000' }],
    ['script', { script: `sha256:${'00'.repeat(32)}` }],
    ['step', { step: 'verify' }],
    ['kind of giving', { give: 'verification' }],
    ['nonce', { nonce: '3b8d0000-0000-4000-8000-000000000001' }],
    ['round', { round: 1 }],
    ['invitation', { invitation: `sha256:${'00'.repeat(32)}` }],
    ['server', { said: [{ peer: 'vault-9', request: 'PUT x', answer: 'counted' }] }],
    ['share', { x: '40' }],
    ['fingerprint', { fingerprint: `sha256:${'00'.repeat(32)}` }],
  ] as const)('of another %s is refused', async (_what, changes) => {
    expect(await check(aReceipt(invitation, changes as Partial<ReceiptBody>))).toBe('receipt-mismatch');
  });

  it('counts once', async () => {
    const held = aReceipt(invitation);
    expect(await check(aReceipt(invitation, { time: '2027-01-12T10:05:00.000Z' }), KEY, [held])).toBe(
      'receipt-duplicate',
    );
  });
});

describe('a receipt for an invitation that is over', () => {
  const nonce = '3b8d0000-0000-4000-8000-000000000002';
  const before = anInvitation({ task: { give: 'rotation', nonce, purpose: 'rotate-root-key', use: 'rotation' } });
  const bytes = new TextEncoder().encode('as it was signed');
  const late = (body: ReceiptBody, key: string | undefined = KEY, run = runOf(before, invitation)): boolean =>
    isLate(run, invitation, signers, { body, bytes, signature: new Uint8Array() }, key);

  it('is late, where it is of this ceremony and by whom it says', () => {
    expect(late(aReceipt(before))).toBe(true);
    expect(late(aReceipt(before), OTHER_KEY)).toBe(false);
    expect(late(aReceipt(before, { custodian: 'Bo Example' }))).toBe(false);
    expect(late(aReceipt(before, { nonce: '3b8d0000-0000-4000-8000-000000000003' }))).toBe(false);
    expect(late(aReceipt(before), KEY, runOf(invitation))).toBe(false);
    expect(late(aReceipt(invitation))).toBe(false);
  });

  it('is kept once', () => {
    const { events, cluster } = runOf(before, invitation);
    const kept = { event: 'receipt', digest: sha256(bytes) } as unknown as (typeof events)[number];
    expect(late(aReceipt(before), KEY, { events: [...events, kept], cluster })).toBe(false);
  });

  it('counts where a later step asks for the same with the same nonce', async () => {
    const later = anInvitation({ step: { ...invitation.step, id: 'settle' } });
    const receipt = { body: aReceipt(invitation), bytes, signature: new Uint8Array() };
    const run = runOf(invitation, later);
    expect(await codeOf(() => checkReceipt(run, later, signers, [], receipt, KEY))).toBe('nothing was thrown');
  });
});
