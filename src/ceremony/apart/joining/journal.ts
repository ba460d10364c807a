import { unlink } from 'node:fs/promises';
import { isQuorateError, QuorateError } from '../../../errors.ts';
import { readText, replaceFile } from '../../../files.ts';
import { type Invitation, invitationDigest } from '../invitation.ts';
import { parseReceipt, type ReceiptBody, receiptBytes, renderReceipt } from '../receipt.ts';

/**
 * What a custodian's machine remembers of one invitation, so that being killed at any moment loses nothing: that a
 * share is about to be given, what the servers answered, and the receipt. It holds no share. Files are mode 0600.
 */
export type Remembered =
  | { readonly kind: 'nothing' }
  /** It may have been given; the answer was not read. */
  | { readonly kind: 'sending' }
  /** The answer was read, and is not signed yet. */
  | { readonly kind: 'answered'; readonly body: ReceiptBody }
  | { readonly kind: 'done'; readonly line: string; readonly body: ReceiptBody };

export interface Journal {
  /** Where the receipt is, or will be. */
  readonly file: string;
  /** @throws QuorateError `file-exists` when a receipt for something else is there. */
  read(): Promise<Remembered>;
  /** Before anything is sent. */
  sending(): Promise<void>;
  answered(body: ReceiptBody): Promise<void>;
  /** @returns the receipt's line. */
  done(body: ReceiptBody, signature: Uint8Array): Promise<string>;
}

export function journalAt(file: string, invitation: Invitation): Journal {
  const digest = invitationDigest(invitation);
  const pending = `${file}.pending`;
  return {
    file,
    async read() {
      const line = (await textOf(file))?.trim();
      if (line !== undefined) {
        const { body } = parseReceipt(line);
        if (body.invitation === digest) return { kind: 'done', line, body };
        throw new QuorateError('file-exists', `${file} is a receipt for another invitation`, {
          hint: 'Name another file with --receipt.',
        });
      }
      const [of = '', text = ''] = ((await textOf(pending)) ?? '').split('\n');
      if (of !== digest) return { kind: 'nothing' };
      return text === '' ? { kind: 'sending' } : { kind: 'answered', body: JSON.parse(text) as ReceiptBody };
    },
    sending: () => replaceFile(pending, `${digest}\n`),
    answered: (body) => replaceFile(pending, `${digest}\n${new TextDecoder().decode(receiptBytes(body))}`),
    async done(body, signature) {
      const line = renderReceipt({ bytes: receiptBytes(body), signature });
      await replaceFile(file, `${line}\n`);
      await unlink(pending).catch(() => undefined);
      return line;
    },
  };
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readText(file);
  } catch (error) {
    if (isQuorateError(error, 'file-missing')) return undefined;
    throw error;
  }
}
