import { QuorateError } from '../../errors.ts';
import type { Share } from '../share.ts';
import { identifyShare } from './roster.ts';
import type { Roster } from './schema.ts';

/** Whose share it is. Without a roster, or when it is let through unlisted, only that nothing speaks against it. */
export interface Admission {
  readonly holder?: string;
  /** SHA-256 as the roster has it: 64 hexadecimal digits. */
  readonly fingerprint?: string;
  /** 0 when unknown. */
  readonly generation: number;
}

export interface AdmitOptions {
  readonly roster?: Roster | undefined;
  /** Rosters of other clusters, so that their shares are called by their name. */
  readonly others?: readonly Roster[] | undefined;
  /** Who says that the share is theirs. */
  readonly expectedHolder?: string | undefined;
  /** The x-coordinates of the shares given before, to which this one must add something. */
  readonly given?: ReadonlySet<string> | undefined;
  /**
   * Refusals that a typed and recorded exception has overruled: a share in no roster, or one of an older generation
   * (what a peer that missed a rotation, or a restored snapshot, wants).
   */
  readonly overruled?: ReadonlySet<'share-unknown' | 'share-generation'> | undefined;
}

/**
 * Decides on the custodian's side whether a share may be sent, before any server sees it.
 * Nothing is sent when this throws:
 * @throws QuorateError `cluster-mismatch` (another cluster's), `share-unknown` (in no generation of the roster),
 *   `share-generation` (an older one's), `share-owner` (somebody else's than was said), `share-duplicate`.
 */
export function admitShare(share: Share, options: AdmitOptions): Admission {
  const admission =
    options.roster === undefined ? withoutRoster(share, options) : byRoster(options.roster, share, options);
  const { holder } = admission;
  if (holder !== undefined && options.expectedHolder !== undefined && holder !== options.expectedHolder) {
    throw new QuorateError('share-owner', `${holder}'s share, not ${options.expectedHolder}'s. Not sent.`, {
      hint: `Take the card that is ${options.expectedHolder}'s, or say that ${holder} gives this one.`,
    });
  }
  if (options.given?.has(share.x) === true) {
    const whose = holder === undefined ? `a share with x ${share.x}` : `${holder}'s share`;
    throw new QuorateError('share-duplicate', `${whose} was given before. Not sent.`, {
      hint: 'Each share counts once. Ask the next custodian.',
    });
  }
  return admission;
}

function byRoster(roster: Roster, share: Share, options: AdmitOptions): Admission {
  const identity = identifyShare(roster, share);
  if (identity.kind === 'current') {
    const { holder, fingerprint } = identity.entry;
    return { holder, fingerprint: fingerprint.sha256, generation: roster.generation };
  }
  if (identity.kind === 'old') {
    const { holder, fingerprint, generation } = identity.entry;
    if (options.overruled?.has('share-generation') === true)
      return { holder, fingerprint: fingerprint.sha256, generation };
    throw new QuorateError(
      'share-generation',
      `${holder}'s share of generation ${generation.toString()}; ${roster.cluster} is at generation ${roster.generation.toString()}. Not sent.`,
      { hint: 'Take the share that was issued at the last rotation.' },
    );
  }
  refuseForeign(share, roster.cluster, options);
  if (options.overruled?.has('share-unknown') === true) return { generation: 0 };
  throw new QuorateError(
    'share-unknown',
    `that is not a share of ${roster.cluster}: its fingerprint is in no generation of the roster`,
    { hint: unknownHint(roster, identity.like?.holder) },
  );
}

function withoutRoster(share: Share, options: AdmitOptions): Admission {
  refuseForeign(share, 'this cluster', options);
  return { generation: 0 };
}

function refuseForeign(share: Share, cluster: string, options: AdmitOptions): void {
  for (const other of options.others ?? []) {
    const identity = identifyShare(other, share);
    if (identity.kind === 'unknown') continue;
    throw new QuorateError(
      'cluster-mismatch',
      `${identity.entry.holder}'s share of ${other.cluster}, not one of ${cluster}. Not sent.`,
      { hint: `Take the card that is for ${cluster}.` },
    );
  }
}

function unknownHint(roster: Roster, like: string | undefined): string {
  if (like !== undefined)
    return `It ends as ${like}'s share does, so a typing error in it is likely. 66 hexadecimal or 44 base64 characters.`;
  if ((roster.unlisted ?? 0) > 0)
    return `${(roster.unlisted ?? 0).toString()} of the cluster's shares are not in the roster yet; this may be one of them, or a typing error.`;
  return `Check that the card is for ${roster.cluster} and not for a rehearsal. 66 hexadecimal or 44 base64 characters.`;
}
