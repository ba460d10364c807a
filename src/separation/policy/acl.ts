import { CAN, type Parameters, type PolicyRule } from './parse.ts';

/** A rule in the place where it holds: its path starts with its namespace's. */
export interface PlacedRule extends PolicyRule {
  /** The policy that it is from, and that policy's namespace (`team/a/`, empty for the root). */
  readonly policy: string;
  readonly namespace: string;
}

/** What holds at a path: the rules that are merged for it. */
export interface Permissions {
  readonly bits: number;
  readonly rules: readonly PlacedRule[];
  readonly allowed: Parameters | undefined;
  readonly denied: Parameters | undefined;
  readonly required: readonly string[];
}

/** A rule that matches, as it is compared with others. */
interface Candidate {
  readonly isPrefix: boolean;
  /** Where its first wildcard is, in bytes as the server counts. */
  readonly first: number;
  readonly wildcards: number;
  readonly text: string;
  readonly bytes: number;
  permissions: Permissions;
}

interface SegmentRule extends Candidate {
  readonly parts: readonly string[];
}

/**
 * What a set of policies allows, by the precedence of OpenBao 2.7 (internal/vault/policy/acl.go): rules of one path are
 * merged, `deny` among them wins; an exact path beats all others, whatever these say; then the longest prefix (`*`) and
 * the paths with `+` are compared by where their first wildcard is, `*` at the end, the number of `+`, length and text.
 */
export class Acl {
  readonly #exact = new Map<string, Permissions>();
  readonly #prefixes = new Map<string, Permissions>();
  /** The lengths of prefixes, the longest first. */
  readonly #lengths: readonly number[];
  readonly #segments: readonly SegmentRule[];

  /**
   * @param rules in the order of their policies, without those that have expired.
   */
  constructor(rules: readonly PlacedRule[]) {
    const segments = new Map<string, SegmentRule>();
    for (const rule of rules) {
      const path = rule.namespace + rule.path;
      if (hasSegments(path)) {
        const known = segments.get(path);
        if (known === undefined) segments.set(path, segmentRule(path, fresh(rule)));
        else known.permissions = merged(known.permissions, rule);
        continue;
      }
      const isPrefix = path.endsWith('*');
      const tree = isPrefix ? this.#prefixes : this.#exact;
      const key = isPrefix ? path.slice(0, -1) : path;
      const known = tree.get(key);
      tree.set(key, known === undefined ? fresh(rule) : merged(known, rule));
    }
    this.#lengths = [...new Set([...this.#prefixes.keys()].map((key) => key.length))].sort((a, b) => b - a);
    this.#segments = [...segments.values()];
  }

  /**
   * What holds at `path` (from the root, without `/v1/`); undefined where no rule does. For a list or a scan
   * (`listing`) the path without its last slash counts too, as with `sys/capabilities`.
   */
  at(path: string, listing = false): Permissions | undefined {
    const trimmed = listing && path.endsWith('/') ? path.slice(0, -1) : undefined;
    return (
      this.#exact.get(path) ??
      (trimmed === undefined ? undefined : this.#exact.get(trimmed)) ??
      this.#inexact(path) ??
      (trimmed === undefined ? undefined : this.#inexact(trimmed))
    );
  }

  #inexact(path: string): Permissions | undefined {
    const prefix = this.#longestPrefix(path);
    if (this.#segments.length === 0) return prefix?.permissions;
    const parts = path.split('/');
    let best: Candidate | undefined = prefix;
    for (const rule of this.#segments) {
      if (matches(rule, parts) && (best === undefined || compare(rule, best) > 0)) best = rule;
    }
    return best?.permissions;
  }

  #longestPrefix(path: string): Candidate | undefined {
    for (const length of this.#lengths) {
      if (length > path.length) continue;
      const text = path.slice(0, length);
      const permissions = this.#prefixes.get(text);
      if (permissions === undefined) continue;
      const bytes = Buffer.byteLength(text);
      return { isPrefix: true, first: bytes, wildcards: 0, text, bytes, permissions };
    }
    return undefined;
  }
}

/** What stands for `path` in the words of `sys/capabilities`: sorted; `deny` where nothing is allowed. */
export function capabilitiesOf(permissions: Permissions | undefined): readonly string[] {
  const bits = permissions?.bits ?? 0;
  const words = Object.entries(CAN).filter(([, bit]) => (bits & bit) !== 0);
  if (words.length === 0 || (bits & CAN.deny) !== 0) return ['deny'];
  return words.map(([word]) => word).sort();
}

/**
 * Whether a request with one of `parameters` can pass what the rules say of parameters; one that they require is sent
 * along. Where a rule pins values, somebody may hold one of them: that passes.
 */
export function passes({ allowed, denied, required }: Permissions, parameters: readonly string[]): boolean {
  const fits = (name: string): boolean => {
    if (denied?.has('*') === true) return false;
    const never = denied?.get(name);
    if (never !== undefined && (never.length === 0 || never.includes('*'))) return false;
    return allowed === undefined || allowed.size === 0 || allowed.has('*') || allowed.has(name);
  };
  return required.every(fits) && parameters.some(fits);
}

/** Whether a path with such a text is matched segment by segment. */
export function hasSegments(path: string): boolean {
  return path === '+' || path.startsWith('+/') || path.includes('/+');
}

function segmentRule(path: string, permissions: Permissions): SegmentRule {
  const isPrefix = path.endsWith('*');
  const text = isPrefix ? path.slice(0, -1) : path;
  const parts = text.split('/');
  return {
    parts,
    isPrefix,
    first: Buffer.byteLength(path.slice(0, path.indexOf('+'))),
    wildcards: parts.filter((part) => part === '+').length,
    text,
    bytes: Buffer.byteLength(text),
    permissions,
  };
}

function matches({ parts, isPrefix }: SegmentRule, path: readonly string[]): boolean {
  if (isPrefix ? path.length < parts.length : path.length !== parts.length) return false;
  const last = parts.length - 1;
  return parts.every((part, index) => {
    if (part === '+' || part === path[index]) return true;
    return isPrefix && index === last && (path[index] ?? '').startsWith(part);
  });
}

/** Positive where `a` wins. */
function compare(a: Candidate, b: Candidate): number {
  if (a.first !== b.first) return a.first - b.first;
  if (a.isPrefix !== b.isPrefix) return a.isPrefix ? -1 : 1;
  if (a.wildcards !== b.wildcards) return b.wildcards - a.wildcards;
  if (a.bytes !== b.bytes) return a.bytes - b.bytes;
  return Buffer.compare(Buffer.from(a.text), Buffer.from(b.text));
}

function fresh(rule: PlacedRule): Permissions {
  return {
    bits: rule.bits,
    rules: [rule],
    allowed: rule.allowed,
    denied: rule.denied,
    required: rule.required ?? [],
  };
}

function merged(known: Permissions, rule: PlacedRule): Permissions {
  if ((known.bits & CAN.deny) !== 0) return known;
  if ((rule.bits & CAN.deny) !== 0) return fresh(rule);
  return {
    bits: known.bits | rule.bits,
    rules: [...known.rules, rule],
    allowed: mergedParameters(known.allowed, rule.allowed),
    denied: mergedParameters(known.denied, rule.denied),
    required: [...new Set([...known.required, ...(rule.required ?? [])])],
  };
}

/** Any value, where one of both says so. */
function mergedParameters(known: Parameters | undefined, more: Parameters | undefined): Parameters | undefined {
  if (known === undefined || more === undefined) return known ?? more;
  const all = new Map(known);
  for (const [name, values] of more) {
    const there = all.get(name);
    all.set(name, values.length === 0 || there?.length === 0 ? [] : [...values, ...(there ?? [])]);
  }
  return all;
}
