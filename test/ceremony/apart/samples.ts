import { type Invitation, invitationDigest, scriptDigest } from '../../../src/ceremony/apart/invitation.ts';
import type { ReceiptBody } from '../../../src/ceremony/apart/receipt.ts';

export const KEY = `SHA256:${'A'.repeat(43)}`;
const DIGEST = 'ab'.repeat(32);

/** An invitation to give one of today's shares to a rotation. */
export function anInvitation(changes: Partial<Invitation> = {}): Invitation {
  return {
    invitation: 1,
    ceremony: '2027-01-12-rotate-root-key-19fe0c2d',
    administrator: 'Erin Example',
    script: 'ceremony: rotate-root-key\n',
    step: { number: '2', id: 'collect', title: 'custodians give their shares' },
    task: {
      give: 'rotation',
      nonce: '3b8d0000-0000-4000-8000-000000000000',
      purpose: 'rotate-root-key',
      use: 'rotation',
    },
    round: 0,
    clusterId: '84980d23-701a-821c-de95-1936219b6c55',
    peers: [{ name: 'vault-1', certificate: DIGEST }],
    wanted: 'the old shares',
    rehearsal: false,
    ...changes,
  };
}

/** Alice's receipt for it. */
export function aReceipt(invitation: Invitation, changes: Partial<ReceiptBody> = {}): ReceiptBody {
  return {
    receipt: 1,
    ceremony: invitation.ceremony,
    script: scriptDigest(invitation),
    invitation: invitationDigest(invitation),
    step: invitation.step.id,
    give: invitation.task.give,
    nonce: invitation.task.nonce,
    round: invitation.round,
    custodian: 'Alice Example',
    x: '3f',
    fingerprint: `sha256:${DIGEST}`,
    time: '2027-01-12T10:04:31.000Z',
    said: [{ peer: 'vault-1', request: 'PUT sys/rotate/root/update', answer: 'counted', progress: 1 }],
    ...changes,
  };
}
