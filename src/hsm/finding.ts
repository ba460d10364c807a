/** One thing that was looked at. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'fault';
  /** What it is about: `seal`, `plugin`, `library`, `token "a"`, `key`, `PIN`, ... */
  readonly about: string;
  readonly text: string;
  /** What to do about it. */
  readonly mend?: string;
}

export const ok = (about: string, text: string): Finding => ({ level: 'ok', about, text });

export const warning = (about: string, text: string, mend?: string): Finding => ({
  ...{ level: 'warning', about, text },
  ...(mend === undefined ? {} : { mend }),
});

export const fault = (about: string, text: string, mend?: string): Finding => ({
  ...{ level: 'fault', about, text },
  ...(mend === undefined ? {} : { mend }),
});

export const hasFault = (findings: readonly Finding[]): boolean => findings.some(({ level }) => level === 'fault');
