import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  invitationWords,
  parseInvitation,
  renderInvitation,
  saysWords,
} from '../../../src/ceremony/apart/invitation.ts';
import { parseReceipt, receiptBytes, renderReceipt } from '../../../src/ceremony/apart/receipt.ts';
import { codeOf } from '../../support/errors.ts';
import { aReceipt, anInvitation } from './samples.ts';

const signature = new TextEncoder().encode('-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n');

describe('an invitation', () => {
  it('is one line, read back as it was, also when a paste broke it', () => {
    const line = renderInvitation(anInvitation());
    expect(line).toMatch(/^quorate-invitation:[A-Za-z0-9_-]+$/);
    expect(parseInvitation(` ${line.slice(0, 40)}\n  ${line.slice(40)}\n`)).toEqual(anInvitation());
  });

  it('has other words when anything in it is another', () => {
    const one = anInvitation();
    const words = invitationWords(one).join(' ');
    expect(invitationWords(one)).toHaveLength(12);
    expect(saysWords(words.toUpperCase().replaceAll(' ', '  '), one)).toBe(true);
    expect(saysWords(words.split(' ').slice(0, 11).join(' '), one)).toBe(false);
    for (const changes of [{ round: 1 }, { clusterId: undefined }, { script: 'ceremony: unseal\n' }, { wanted: 'x' }]) {
      const { clusterId, ...rest } = { ...one, ...changes };
      expect(invitationWords({ ...rest, ...(clusterId === undefined ? {} : { clusterId }) }).join(' ')).not.toBe(words);
    }
  });

  const packed = (value: unknown): string =>
    `quorate-invitation:${deflateRawSync(JSON.stringify(value)).toString('base64url')}`;

  it.each([
    ['nothing', ''],
    ['a share', 'ab'.repeat(33)],
    ['a receipt', renderReceipt({ bytes: receiptBytes(aReceipt(anInvitation())), signature })],
    ['one that is cut short', renderInvitation(anInvitation()).slice(0, -30)],
    ['more fields', packed({ ...anInvitation(), more: 1 })],
    ['a bomb', `quorate-invitation:${deflateRawSync(Buffer.alloc(8 << 20)).toString('base64url')}`],
    ['control characters', packed(anInvitation({ wanted: 'the shares\u001b[2J' }))],
  ])('is not %s', async (_what, line) => {
    expect(await codeOf(() => parseInvitation(line))).toBe('invitation-invalid');
  });
});

describe('a receipt', () => {
  const line = renderReceipt({ bytes: receiptBytes(aReceipt(anInvitation())), signature });

  it('is one line, read back with the bytes that were signed', () => {
    const receipt = parseReceipt(`${line}\n`);
    expect(receipt.body).toEqual(aReceipt(anInvitation()));
    expect(receipt.bytes).toEqual(receiptBytes(receipt.body));
    expect(receipt.signature).toEqual(signature);
  });

  it('has no place for a share', async () => {
    const share = 'ab'.repeat(33);
    const said = [{ peer: 'vault-1', request: 'PUT x', answer: 'unclear' as const, why: `it said ${share}` }];
    expect(await codeOf(() => receiptBytes(aReceipt(anInvitation(), { said })))).toBe('bug');
  });

  const packed = (value: unknown): string =>
    `quorate-receipt:${deflateRawSync(JSON.stringify(value)).toString('base64url')}`;
  const text = new TextDecoder().decode(receiptBytes(aReceipt(anInvitation())));
  const armour = new TextDecoder().decode(signature);

  it.each([
    ['a share', 'ab'.repeat(33)],
    ['unsigned', packed([text])],
    ['signed by other words', packed([text, 'trust me'])],
    ['in another form than was signed', packed([` ${text}`, armour])],
    ['with more fields', packed([JSON.stringify({ ...aReceipt(anInvitation()), more: 1 }), armour])],
  ])('is not what is %s', async (_what, other) => {
    expect(await codeOf(() => parseReceipt(other))).toBe('receipt-invalid');
  });
});
