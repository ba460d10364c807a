const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** What people write for a time: a number and a unit, or several (`90s`, `15m`, `1h30m`). */
export const DURATION = /^(?:[0-9]{1,6}[dhms]){1,4}$/;

/** Seconds of a text that `DURATION` matches; undefined for any other. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let seconds = 0;
  for (const [, count = '', unit = ''] of text.matchAll(/([0-9]+)([dhms])/g))
    seconds += Number(count) * (UNITS[unit] ?? 0);
  return seconds;
}

/** Whole seconds in the two largest units that say something: `1h 30m`, `45s`, `0s`. */
export function showDuration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, size] of Object.entries(UNITS).toReversed()) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 && parts.length < 2) parts.push(`${count.toString()}${unit}`);
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}
