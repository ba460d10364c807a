import type { CeremonyOutcome } from '../../ceremony/engine.ts';
import { digestWords } from '../../ceremony/record/words.ts';
import { shownPath, wrapLines } from '../../layout.ts';

/** What people do at the end of a ceremony: compare the head, sign, keep. */
export function closingLines({ folder, head }: CeremonyOutcome, roster?: string): string[] {
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
    'Everybody signs:',
    `  quorate ceremony sign ${place} \\`,
    '    --key ~/.ssh/id_ed25519 --as "NAME"',
  ];
}
