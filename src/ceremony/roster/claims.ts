import * as v from 'valibot';
import { parseDocument, renderYaml } from '../../document.ts';
import { QuorateError } from '../../errors.ts';
import { fingerprintShare, type Share } from '../share.ts';
import { renderRoster } from './roster.ts';
import { CLUSTER_NAME, entrySchema, type Roster, type RosterEntry } from './schema.ts';

/**
 * What a custodian of a living cluster hands to the administrator: that they hold a share, told by its fingerprint.
 * Nothing in it is secret, and nothing is proved by it until a drill has covered the share.
 */
const claim = v.strictObject({
  'cluster': v.pipe(v.string(), v.regex(CLUSTER_NAME, 'the name of a cluster, and behind a slash its namespace')),
  'cluster-id': v.optional(v.pipe(v.string(), v.uuid('a cluster id, as the server gives it'))),
  'share': v.pipe(
    entrySchema,
    v.check((entry) => entry.status === 'claimed', 'an enrolled share is claimed; only a ceremony proves it'),
  ),
});

export type Claim = v.InferOutput<typeof claim>;

/** A claim on `share`. The share is not kept. */
export function makeClaim(
  share: Share,
  who: {
    readonly cluster: string;
    readonly clusterId?: string | undefined;
    readonly holder: string;
    readonly pgp?: string | undefined;
    readonly ssh?: string | undefined;
  },
): Claim {
  return checkClaim({
    cluster: who.cluster,
    ...(who.clusterId === undefined ? {} : { 'cluster-id': who.clusterId }),
    share: {
      holder: who.holder,
      x: share.x,
      fingerprint: fingerprintShare(share),
      ...(who.pgp === undefined ? {} : { pgp: who.pgp }),
      ...(who.ssh === undefined ? {} : { ssh: who.ssh }),
      status: 'claimed',
    },
  });
}

/** @throws QuorateError `document-invalid`; `file` is the name that messages use. */
export function parseClaim(text: string, file: string): Claim {
  return parseDocument(text, claim, { file });
}

export function renderClaim(one: Claim): string {
  return renderYaml(one, {
    comment: 'A claimed share, for `quorate custodian enroll --merge`. Nothing here is secret.',
  });
}

/**
 * The roster with these claims in it, for review. What is there is never changed: a holder or an x that the
 * roster has already is a fault, except the very same entry.
 * @throws QuorateError `cluster-mismatch`; `share-duplicate` (two claims on one x, or a holder with two shares);
 *   `roster-invalid` when there are more claims than shares left to list.
 */
export function mergeClaims(roster: Roster, claims: readonly Claim[]): Roster {
  const shares: RosterEntry[] = [...roster.shares];
  for (const { cluster, 'cluster-id': id, share } of claims) {
    const otherId = id !== undefined && roster['cluster-id'] !== undefined && id !== roster['cluster-id'];
    if (cluster !== roster.cluster || otherId) {
      throw new QuorateError(
        'cluster-mismatch',
        `${share.holder} claims a share of another cluster than ${roster.cluster}`,
      );
    }
    const same = shares.find((one) => one.holder === share.holder || one.x === share.x);
    if (same === undefined) shares.push(share);
    else if (same.holder !== share.holder || !isSame(same, share)) throw conflict(same, share);
  }
  const added = shares.length - roster.shares.length;
  const unlisted = (roster.unlisted ?? 0) - added;
  if (unlisted < 0) {
    throw new QuorateError(
      'roster-invalid',
      `${roster.cluster} has ${(roster.unlisted ?? 0).toString()} unlisted shares, and ${added.toString()} more are claimed`,
      {
        hint: 'One of the claims is not on a share of this cluster and generation, or `unlisted` is wrong.',
      },
    );
  }
  const merged: Roster = {
    ...roster,
    shares,
    unlisted,
  };
  renderRoster(merged);
  return merged;
}

/** A roster of a living cluster that has none yet, from the first claims. @throws QuorateError as `mergeClaims`. */
export function rosterFromClaims(
  claims: readonly Claim[],
  cluster: { readonly shares: number; readonly threshold: number; readonly seal: Roster['seal'] },
): Roster {
  const [first, ...rest] = claims;
  if (first === undefined)
    throw new QuorateError('usage', 'no claim was named', { hint: 'Name the files that custodians handed in.' });
  const id = claims.find((one) => one['cluster-id'] !== undefined)?.['cluster-id'];
  return mergeClaims(
    {
      cluster: first.cluster,
      ...(id === undefined ? {} : { 'cluster-id': id }),
      generation: 1,
      threshold: cluster.threshold,
      seal: cluster.seal,
      shares: [first.share],
      unlisted: cluster.shares - 1,
    },
    rest,
  );
}

function checkClaim(value: unknown): Claim {
  const checked = v.safeParse(claim, value);
  if (checked.success) return checked.output;
  throw new QuorateError('usage', `not a claim: ${checked.issues[0].message}`);
}

function isSame(one: RosterEntry, other: RosterEntry): boolean {
  return one.fingerprint.salt === other.fingerprint.salt && one.fingerprint.sha256 === other.fingerprint.sha256;
}

function conflict(there: RosterEntry, claimed: RosterEntry): QuorateError {
  const what =
    there.holder === claimed.holder
      ? `${claimed.holder} is listed with another share or fingerprint`
      : `${there.holder} and ${claimed.holder} claim shares with the same x ${claimed.x}`;
  return new QuorateError('share-duplicate', what, {
    hint: 'Fingerprints are salted: enrolling twice gives two. Keep the first, or take the entry out of the roster by hand.',
  });
}
