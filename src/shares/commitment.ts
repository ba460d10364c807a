import { QuorateError } from '../errors.ts';
import type { Header } from './envelope.ts';

/** Whether a share was found to fit the public commitment of its set. */
export type CommitmentCheck = 'checked' | 'unchecked';

const CHECKED = ['feldman-secp256k1', 'feldman-ed25519'] as const;

type Public = Pick<Header, 'scheme' | 'threshold' | 'index' | 'commitment'>;

/**
 * Checks a share against its set's Feldman commitment (Feldman 1987): share · G = Σ Cₖ · indexᵏ. The share is a scalar of
 * 32 bytes, big-endian for secp256k1 (SEC 1), little-endian for Ed25519 (RFC 8032, RFC 9591). Shares of other schemes are
 * not looked into: `unchecked`.
 * @throws QuorateError `commitment-mismatch`, `share-invalid` (no scalar of that curve).
 */
export async function verifyCommitment(header: Public, share: Uint8Array): Promise<CommitmentCheck> {
  if (!isChecked(header.scheme)) return 'unchecked';
  const fits =
    header.scheme === 'feldman-secp256k1'
      ? fitsOn((await import('@noble/curves/secp256k1.js')).secp256k1.Point, header, share, 'big')
      : fitsOn((await import('@noble/curves/ed25519.js')).ed25519.Point, header, share, 'little');
  if (!fits) throw mismatch('the share does not fit the public commitment of its set');
  return 'checked';
}

/**
 * Checks what can be checked without a share: that the commitment has a point of the curve's group for each coefficient,
 * that the wallet's public key (the first) is one, and that the node's own public share is one.
 * @returns the wallet's public key, in hexadecimal; undefined for schemes that are not known here.
 * @throws QuorateError `commitment-mismatch`.
 */
export async function verifyPublic(header: Public): Promise<string | undefined> {
  if (!isChecked(header.scheme)) return undefined;
  return header.scheme === 'feldman-secp256k1'
    ? publicOn((await import('@noble/curves/secp256k1.js')).secp256k1.Point, header)
    : publicOn((await import('@noble/curves/ed25519.js')).ed25519.Point, header);
}

function isChecked(scheme: string): boolean {
  return CHECKED.some((one) => one === scheme);
}

interface Point<P> {
  add(other: P): P;
  multiply(scalar: bigint): P;
  equals(other: P): boolean;
  assertValidity(): void;
  isTorsionFree(): boolean;
}

interface Curve<P extends Point<P>> {
  readonly BASE: P;
  readonly ZERO: P;
  readonly Fn: { readonly ORDER: bigint };
  fromHex(hex: string): P;
}

function fitsOn<P extends Point<P>>(
  curve: Curve<P>,
  header: Public,
  share: Uint8Array,
  order: 'big' | 'little',
): boolean {
  const points = pointsOf(curve, header);
  const scalar = scalarOf(share, order);
  if (scalar === undefined || scalar >= curve.Fn.ORDER) {
    throw new QuorateError('share-invalid', 'the share is no scalar of its scheme’s curve', {
      hint: `Expected 32 bytes, ${order}-endian, not zero and below the order of the group.`,
    });
  }
  return curve.BASE.multiply(scalar).equals(publicShare(curve, points, header.index));
}

function publicOn<P extends Point<P>>(curve: Curve<P>, header: Public): string {
  const points = pointsOf(curve, header);
  const [key] = points;
  if (key === undefined || key.equals(curve.ZERO) || publicShare(curve, points, header.index).equals(curve.ZERO)) {
    throw mismatch('the public commitment is that of a key or a share which is zero');
  }
  return header.commitment[0] ?? '';
}

function pointsOf<P extends Point<P>>(curve: Curve<P>, { threshold, commitment }: Public): readonly P[] {
  if (commitment.length !== threshold) {
    throw mismatch(
      `a threshold of ${threshold.toString()} has as many points in its commitment, not ${commitment.length.toString()}`,
    );
  }
  try {
    return commitment.map((hex) => {
      const point = curve.fromHex(hex);
      point.assertValidity();
      if (!point.isTorsionFree()) throw new Error();
      return point;
    });
  } catch {
    throw mismatch('the public commitment holds what is no point of the curve');
  }
}

/** Horner's rule from the highest coefficient down. */
function publicShare<P extends Point<P>>(curve: Curve<P>, points: readonly P[], index: number): P {
  return points.reduceRight(
    (sum, point) => (sum.equals(curve.ZERO) ? sum : sum.multiply(BigInt(index))).add(point),
    curve.ZERO,
  );
}

function scalarOf(share: Uint8Array, order: 'big' | 'little'): bigint | undefined {
  if (share.length !== 32) return undefined;
  const bytes = order === 'big' ? share.slice() : share.slice().reverse();
  try {
    const scalar = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
    return scalar === 0n ? undefined : scalar;
  } finally {
    bytes.fill(0);
  }
}

function mismatch(what: string): QuorateError {
  return new QuorateError('commitment-mismatch', what, {
    hint: 'The node’s protocol run produced an inconsistent set. Do not use it; run the refresh again on all nodes.',
  });
}
