import type { Secret } from '../../secret.ts';

/** What a signed token (RFC 7519) says of itself, unproved: for explaining why a server refused it, and nothing else. */
export interface Claims {
  /** Milliseconds since 1970. */
  readonly expires: number | undefined;
  /** The later of its `nbf` and `iat`. */
  readonly begins: number | undefined;
  /** A claim as people compare it; undefined where there is none, or where it is nothing to show. */
  show(name: string): string | undefined;
}

/** Undefined for what is no such token. */
export function readClaims(token: Secret): Claims | undefined {
  const parts = token.exposeText().split('.');
  if (parts.length !== 3) return undefined;
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
  const all = claims as Readonly<Record<string, unknown>>;
  const time = (name: string): number | undefined => {
    const value = Object.hasOwn(all, name) ? all[name] : undefined;
    return typeof value === 'number' && Number.isFinite(value) ? value * 1000 : undefined;
  };
  const begins = Math.max(time('nbf') ?? -Infinity, time('iat') ?? -Infinity);
  return {
    expires: time('exp'),
    begins: begins === -Infinity ? undefined : begins,
    show: (name) => (Object.hasOwn(all, name) ? shown(all[name]) : undefined),
  };
}

/** Names of repositories, branches, addresses; nothing longer, and nothing that drives a terminal. */
const PLAIN = /^[\w./:@+ -]{1,120}$/;

function shown(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  if (typeof one === 'boolean' || typeof one === 'number') return String(one);
  return typeof one === 'string' && PLAIN.test(one) ? one : undefined;
}
