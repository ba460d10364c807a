/** A public key as text: its scheme, a colon, and the raw key in padded base64; one spelling of each. */
export interface RawKey<S extends string> {
  readonly scheme: S;
  readonly raw: Uint8Array;
}

/**
 * Reads such a text.
 * @param lengths the schemes, and the bytes of their raw keys.
 * @returns undefined for anything else. Whether it is a point of the curve is not looked into.
 */
export function parseRawKey<S extends string>(
  text: string,
  lengths: Readonly<Record<S, number>>,
): RawKey<S> | undefined {
  const [scheme = '', encoded = '', ...rest] = text.split(':');
  if (!Object.hasOwn(lengths, scheme) || rest.length > 0) return undefined;
  const raw = Buffer.from(encoded, 'base64');
  if (raw.length !== lengths[scheme as S] || raw.toString('base64') !== encoded) return undefined;
  return { scheme: scheme as S, raw: new Uint8Array(raw) };
}

/** The text of a raw key. */
export function rawKeyText(scheme: string, raw: Uint8Array): string {
  return `${scheme}:${Buffer.from(raw).toString('base64')}`;
}
