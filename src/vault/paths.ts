import { QuorateError } from '../errors.ts';

/**
 * An API path (`sys/policies/acl/my policy`) as it is sent: each segment percent-encoded, so that `?`, `#`, `%`
 * and blanks are part of a name. A slash at the end stays. Segments `.` and `..`, empty ones and a slash at the
 * start are refused: servers resolve them, encoded or not, and would call something else.
 * @throws QuorateError `usage`.
 */
export function encodePath(path: string): string {
  const segments = path.split('/');
  const last = segments.length - 1;
  return segments
    .map((segment, index) => {
      if (segment === '.' || segment === '..') throw bad('holds a segment . or ..');
      if (segment === '' && (index !== last || last === 0)) throw bad('holds an empty segment');
      return encodeSegment(segment);
    })
    .join('/');
}

/** One name as a path segment: a slash in it is encoded too. */
export function encodeSegment(segment: string): string {
  try {
    return encodeURIComponent(segment);
  } catch {
    throw bad('is not well-formed Unicode');
  }
}

/** `?a=b&c=d`, or nothing for no parameters. */
export function encodeQuery(query: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(query).map(([key, value]) => `${encodeSegment(key)}=${encodeSegment(value)}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

function bad(what: string): QuorateError {
  return new QuorateError('usage', `a path for the server ${what}`, {
    hint: 'Names of mounts, policies and the like must not be . or .. or start or end with a slash.',
  });
}
