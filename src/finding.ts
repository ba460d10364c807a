/** One thing that was looked at, by `quorate hsm doctor` and its like. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'fault';
  /** For scripts: what it is about without the name, in small letters: `seal`, `plugin-log`, `token`. */
  readonly code: string;
  /** What it is about: `seal`, `plugin`, `token "a"`, `login`, `user "app-read-..."` */
  readonly about: string;
  readonly text: string;
  /** What to do about it. */
  readonly mend?: string;
}

function finding(level: Finding['level'], about: string, text: string, mend?: string): Finding {
  const code = about.replace(/ ".*$/, '').replaceAll(' ', '-').toLowerCase();
  return { level, code, about, text, ...(mend === undefined ? {} : { mend }) };
}

export const ok = (about: string, text: string): Finding => finding('ok', about, text);

export const warning = (about: string, text: string, mend?: string): Finding => finding('warning', about, text, mend);

export const fault = (about: string, text: string, mend?: string): Finding => finding('fault', about, text, mend);

export const hasFault = (findings: readonly Finding[]): boolean => findings.some(({ level }) => level === 'fault');
