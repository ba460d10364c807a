import type { Finding } from '../finding.ts';
import { wrapLines } from '../layout.ts';
import type { Paint } from '../ui/terminal.ts';

/** Findings as people read them: what is wrong first to catch the eye, then how to mend it. */
export function findingLines(findings: readonly Finding[], paint: Paint): string[] {
  const words = { ok: paint.good('ok     '), warning: paint.warn('warning'), fault: paint.bad('FAULT  ') };
  return findings.flatMap(({ level, about, text, mend }) => [
    `${words[level]}  ${about}: ${text}`,
    ...(mend === undefined ? [] : wrapLines(mend, 90, ' '.repeat(9))),
  ]);
}
