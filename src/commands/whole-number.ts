import { QuorateError } from '../errors.ts';

/** What an option that counts something was given. @throws QuorateError `usage`: none was, or it is below `least`. */
export function wholeNumber(text: string | undefined, option: string, least = 1): number {
  const number = Number(text);
  if (text !== undefined && /^\d{1,10}$/.test(text) && number >= least) return number;
  throw new QuorateError('usage', `${option} wants a whole number from ${least.toString()} on`);
}
