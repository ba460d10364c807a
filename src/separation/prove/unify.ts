import { hasSegments } from '../policy/acl.ts';

/** A name that nobody gave to anything: where a rule allows it, it allows any. */
export const ANY_NAME = 'quorate-any-name';

/** A kind of path: `auth/approle/role/` `{}` `/secret-id`. At most one name in it is open. */
export interface PathKind {
  readonly segments: readonly string[];
  /** Which segment is the open name; -1 for none. */
  readonly open: number;
  /** The name can be several segments; then it is the last. */
  readonly rest: boolean;
}

/** `auth/approle/role/{}/secret-id`, `sys/raw/{...}`. */
export function pathKind(path: string): PathKind {
  const segments = path.split('/');
  const rest = segments.at(-1) === '{...}';
  return { segments, open: rest ? segments.length - 1 : segments.indexOf('{}'), rest };
}

/** The path of this kind with that name. */
export function pathWith({ segments, open }: PathKind, name: string): string {
  return open < 0 ? segments.join('/') : segments.map((part, index) => (index === open ? name : part)).join('/');
}

/** The path of a rule, cut up once. */
export interface RulePath {
  readonly parts: readonly string[];
  readonly isPrefix: boolean;
  readonly wild: boolean;
}

export function rulePath(path: string): RulePath {
  const isPrefix = path.endsWith('*');
  return { parts: (isPrefix ? path.slice(0, -1) : path).split('/'), isPrefix, wild: hasSegments(path) };
}

/** Whether the rule speaks of this path. */
export function covers({ parts, isPrefix, wild }: RulePath, path: string): boolean {
  if (!wild) return isPrefix ? path.startsWith(parts.join('/')) : path === parts.join('/');
  const given = path.split('/');
  if (isPrefix ? given.length < parts.length : given.length !== parts.length) return false;
  return parts.every((part, index) => {
    if (part === '+' || part === given[index]) return true;
    return isPrefix && index === parts.length - 1 && (given[index] ?? '').startsWith(part);
  });
}

/**
 * The most general name with which the rule speaks of a path of this kind: the one in the rule, or one that nobody has.
 * Undefined when it speaks of none; empty when the kind has no open name.
 */
export function nameFor({ parts, isPrefix, wild }: RulePath, kind: PathKind): string | undefined {
  const { segments, open, rest } = kind;
  const last = parts.length - 1;
  if (
    isPrefix
      ? !rest && parts.length > segments.length
      : rest
        ? parts.length < segments.length
        : parts.length !== segments.length
  ) {
    return undefined;
  }
  let name = open < 0 ? '' : ANY_NAME;
  for (const [index, segment] of segments.entries()) {
    if (index > last) break;
    const part = parts[index] ?? '';
    const cut = isPrefix && index === last;
    if (index !== open) {
      const fits = part === segment || (wild && part === '+' && segment !== '') || (cut && segment.startsWith(part));
      if (!fits) return undefined;
      continue;
    }
    const own = (rest ? parts.slice(index) : [part]).map((one) => (wild && one === '+' ? ANY_NAME : one)).join('/');
    // Where the rule's text is cut off, anything may follow.
    name = isPrefix && (rest || cut) ? own + ANY_NAME : own;
  }
  return open >= 0 && name === '' ? undefined : name;
}
