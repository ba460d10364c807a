import type { CeremonyOutcome } from '../../ceremony/engine.ts';
import { digestWords } from '../../ceremony/record/words.ts';
import { shownPath, wrapLines } from '../../layout.ts';

/** What people do at the end of a ceremony: compare the head, sign, keep. */
export function closingLines({ folder, head, signers }: CeremonyOutcome, roster?: string): string[] {
  const place = shownPath(process.cwd(), folder);
  return [
    '',
    'Complete. Read the end of the record aloud, and compare:',
    `  ${head}`,
    ...wrapLines(digestWords(head).join(' '), 80, '  '),
    '',
    `  record  ${place}`,
    `  report  ${place}/report.html`,
    ...(roster === undefined ? [] : [`  roster  ${shownPath(process.cwd(), roster)}   (review it, commit it)`]),
    '',
    ...(signers.length === 0
      ? wrapLines('Nobody can sign it: no script named anybody who takes part, and nobody gave a share.', 80, '')
      : [
          ...wrapLines(`Everybody signs, under their own name (${signers.join(', ')}):`, 80, ''),
          `  quorate ceremony sign ${place} \\`,
          `    --key ~/.ssh/id_ed25519 --as ${JSON.stringify(signers[0])}`,
        ]),
  ];
}
