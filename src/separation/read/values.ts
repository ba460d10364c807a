/** Members of answers, taken for what they should be; what they are not is left out, and nothing else is taken along. */

export type Answer = Readonly<Record<string, unknown>>;

export function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function textOf(answer: Answer, key: string): string {
  const value = answer[key];
  return typeof value === 'string' ? value : '';
}

/** A list of texts; servers write an empty one as null too, and some lists as text with commas. */
export function textsOf(answer: Answer, key: string): string[] {
  const value = answer[key];
  if (typeof value === 'string') return value === '' ? [] : value.split(',').map((one) => one.trim());
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

export function flagOf(answer: Answer, key: string): boolean {
  return answer[key] === true;
}

export function countOf(answer: Answer, key: string): number {
  const value = answer[key];
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

/** A map of texts. */
export function pairsOf(answer: Answer, key: string): Record<string, string> {
  const value = answer[key];
  if (!isAnswer(value)) return {};
  return Object.fromEntries(Object.entries(value).filter((one): one is [string, string] => typeof one[1] === 'string'));
}

/** A map of lists of texts. */
export function listsOf(answer: Answer, key: string): Record<string, string[]> {
  const value = answer[key];
  return isAnswer(value) ? Object.fromEntries(Object.keys(value).map((one) => [one, textsOf(value, one)])) : {};
}

/** A list of answers. */
export function answersOf(answer: Answer, key: string): readonly Answer[] {
  const value = answer[key];
  return Array.isArray(value) ? value.filter(isAnswer) : [];
}
