import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../files.ts';
import type { Run } from '../kind.ts';
import { sha256 } from '../record/line.ts';
import { signerName } from '../record/participants.ts';
import type { Receipt, ReceiptBody } from './receipt.ts';

/** Below the ceremony's folder. */
export const RECEIPTS = 'receipts';

/** Puts a checked receipt and its signature beside the record, as they were handed over, and records what it says. */
export async function keepReceipt(run: Run, { body, bytes, signature }: Receipt, ssh: string): Promise<void> {
  const number = run.events.filter(({ event }) => event === 'receipt').length + 1;
  const file = `${RECEIPTS}/${number.toString().padStart(3, '0')}-${signerName(body.custodian)}.json`;
  await mkdir(join(run.folder, RECEIPTS), { recursive: true, mode: 0o700 });
  await replaceFile(join(run.folder, `${file}.sig`), signature);
  await replaceFile(join(run.folder, file), bytes);
  await run.record({
    event: 'receipt',
    who: body.custodian,
    ssh,
    file,
    digest: sha256(bytes),
    answer: answersOf(body),
  });
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

function answersOf({ said }: ReceiptBody): string {
  return said
    .map(({ peer, answer, progress }) => `${peer}: ${answer}${progress === undefined ? '' : ` ${progress.toString()}`}`)
    .join(', ')
    .slice(0, 390);
}
