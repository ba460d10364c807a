import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { readBounded, replaceFile } from '../../files.ts';
import type { Run } from '../kind.ts';
import { sha256 } from '../record/line.ts';
import { signerName } from '../record/participants.ts';
import type { Receipt, ReceiptBody } from './receipt.ts';

/** Below the ceremony's folder. */
export const RECEIPTS = 'receipts';

/** Puts a checked receipt and its signature beside the record, as they were handed over, and records what it says. */
export async function keepReceipt(run: Run, receipt: Receipt, ssh: string): Promise<void> {
  const { body } = receipt;
  await keep(run, receipt, ssh, answersOf(body));
  for (const { peer, request, answer, progress, nonce } of body.said) {
    if (!['counted', 'again', 'complete', 'opening'].includes(answer)) continue;
    await run.record({
      event: 'share.accepted',
      who: body.custodian,
      x: body.x,
      fingerprint: body.fingerprint,
      peer,
      request,
      expected: { receipt: true },
      actual: { answer, ...(progress === undefined ? {} : { progress }) },
      ...(nonce === undefined || nonce === '' ? {} : { nonce }),
    });
  }
}

/** The same for one that counts no more. */
export async function keepLate(run: Run, receipt: Receipt, ssh: string): Promise<void> {
  await keep(run, receipt, ssh, `late; ${answersOf(receipt.body)}`);
}

async function keep(run: Run, { body, bytes, signature }: Receipt, ssh: string, answer: string): Promise<void> {
  const number = run.events.filter(({ event }) => event === 'receipt').length + 1;
  const file = `${RECEIPTS}/${number.toString().padStart(3, '0')}-${signerName(body.custodian)}.json`;
  await mkdir(join(run.folder, RECEIPTS), { recursive: true, mode: 0o700 });
  await replaceFile(join(run.folder, `${file}.sig`), signature);
  await replaceFile(join(run.folder, file), bytes);
  await run.record({ event: 'receipt', who: body.custodian, ssh, file, digest: sha256(bytes), answer });
}

/** What this ceremony has taken so far, sittings before an interruption included. @throws QuorateError `record-invalid`. */
export async function keptReceipts(run: Pick<Run, 'events' | 'folder'>): Promise<readonly ReceiptBody[]> {
  const kept: ReceiptBody[] = [];
  for (const one of run.events) {
    if (one.event !== 'receipt') continue;
    const bytes = await readBounded(join(run.folder, one.file));
    if (sha256(bytes) !== one.digest) {
      throw new QuorateError('record-invalid', `${one.file} is not the receipt that the record has`, {
        hint: 'Put back the folder of the ceremony as it was.',
      });
    }
    // It was checked when it was taken.
    kept.push(JSON.parse(new TextDecoder().decode(bytes)) as ReceiptBody);
  }
  return kept;
}

function answersOf({ said }: ReceiptBody): string {
  return said
    .map(({ peer, answer, progress }) => `${peer}: ${answer}${progress === undefined ? '' : ` ${progress.toString()}`}`)
    .join(', ')
    .slice(0, 390);
}
