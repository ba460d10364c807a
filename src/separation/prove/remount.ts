import type { PlacedRule } from '../policy/acl.ts';
import { CAN } from '../policy/parse.ts';

/** Where no mount of secrets can be. */
const RESERVED = new Set(['sys', 'auth', 'identity', 'cubbyhole']);

/** Whether a rule can speak of a path that ends so, below some mount. */
export function endsIn(rule: PlacedRule, end: readonly string[]): boolean {
  if ((rule.bits & CAN.deny) !== 0) return false;
  const parts = rule.path.replace(/\*$/, '').split('/');
  if (RESERVED.has(parts[0] ?? '')) return false;
  if (rule.path.endsWith('*')) return true;
  const last = parts.slice(-end.length);
  return parts.length > end.length && last.every((part, index) => part === '+' || part === end[index]);
}
