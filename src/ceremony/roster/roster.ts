import * as v from 'valibot';
import { parseDocument, renderYaml } from '../../document.ts';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { hasFingerprint, type Share } from '../share.ts';
import { type OldEntry, type Roster, type RosterEntry, rosterSchema } from './schema.ts';

/** @throws QuorateError `document-invalid` with every fault; `file` is the name that messages use. */
export function parseRoster(text: string, file: string): Roster {
  return parseDocument(text, rosterSchema, { file });
}

/** @throws QuorateError `file-missing`, `file-invalid`, `document-invalid`. */
export async function loadRoster(path: string): Promise<Roster> {
  return parseRoster(await readText(path), path);
}

/**
 * The file's text. The same roster gives the same bytes, in the order of the schema, because people sign them.
 * @throws QuorateError `roster-invalid` when `roster` breaks a rule of the schema.
 */
export function renderRoster(roster: Roster): string {
  const checked = v.safeParse(rosterSchema, roster);
  if (!checked.success) {
    throw new QuorateError('roster-invalid', `the roster of ${roster.cluster}: ${checked.issues[0].message}`);
  }
  const { cluster, generation } = checked.output;
  return renderYaml(ordered(checked.output), {
    comment:
      `Who holds which share of ${cluster}: generation ${generation.toString()}. Nothing here is secret.\n` +
      'fingerprint.sha256 is SHA-256 over the bytes of salt and share:\n' +
      '  printf %s%s "$salt" "$share" | xxd -r -p | sha256sum',
  });
}

export type Identity =
  | { readonly kind: 'current'; readonly entry: RosterEntry }
  | { readonly kind: 'old'; readonly entry: OldEntry }
  /** `like` holds the listed share with the same x, if one has it: then a typing error is likely. */
  | { readonly kind: 'unknown'; readonly like?: RosterEntry };

/** Whose share this is, by its fingerprint alone. */
export function identifyShare(roster: Roster, share: Share): Identity {
  const entry = roster.shares.find((one) => one.x === share.x && hasFingerprint(share, one.fingerprint));
  if (entry !== undefined) return { kind: 'current', entry };
  // The latest first: a share can be met again only where a roster was put together from copies.
  const old = (roster.previous ?? [])
    .toSorted((a, b) => b.generation - a.generation)
    .find((one) => one.x === share.x && hasFingerprint(share, one.fingerprint));
  if (old !== undefined) return { kind: 'old', entry: old };
  const like = roster.shares.find((one) => one.x === share.x);
  return like === undefined ? { kind: 'unknown' } : { kind: 'unknown', like };
}

/**
 * The roster after a rotation: `shares` are the new ones, and today's join those that are recognised as old.
 * @throws QuorateError `roster-invalid` when today's roster has unlisted shares that nobody would recognise later
 *   and `options.leaveUnlisted` is not set, or when the new shares break a rule.
 */
export function nextGeneration(
  roster: Roster,
  shares: readonly RosterEntry[],
  options: { readonly threshold: number; readonly leaveUnlisted?: boolean },
): Roster {
  if ((roster.unlisted ?? 0) > 0 && options.leaveUnlisted !== true) {
    throw new QuorateError('roster-invalid', `the roster of ${roster.cluster} lacks shares of this generation`, {
      hint: 'Have their holders enroll first, else nobody can tell these shares from a typing error afterwards.',
    });
  }
  const { unlisted: _, ...kept } = roster;
  const retired = roster.shares.map(({ holder, x, fingerprint }) => ({
    generation: roster.generation,
    holder,
    x,
    fingerprint,
  }));
  const next: Roster = {
    ...kept,
    generation: roster.generation + 1,
    threshold: options.threshold,
    shares: [...shares],
    previous: [...(roster.previous ?? []), ...retired],
  };
  renderRoster(next);
  return next;
}

/** The same roster with these holders' shares proved at `time` (a drill covered them). */
export function withProved(roster: Roster, holders: readonly string[], time: Date): Roster {
  const at = time.toISOString();
  return {
    ...roster,
    shares: roster.shares.map((one) =>
      holders.includes(one.holder) ? { ...one, 'status': 'proved', 'proved-at': at } : one,
    ),
  };
}

function ordered(roster: Roster): Record<string, unknown> {
  return {
    'cluster': roster.cluster,
    'cluster-id': roster['cluster-id'],
    'generation': roster.generation,
    'threshold': roster.threshold,
    'seal': roster.seal,
    'shares': roster.shares.map((one) => ({
      'holder': one.holder,
      'x': one.x,
      'fingerprint': { salt: one.fingerprint.salt, sha256: one.fingerprint.sha256 },
      'pgp': one.pgp,
      'ssh': one.ssh,
      'status': one.status,
      'proved-at': one['proved-at'],
    })),
    'unlisted': roster.unlisted === 0 ? undefined : roster.unlisted,
    'previous':
      roster.previous?.length === 0
        ? undefined
        : roster.previous?.map((one) => ({
            generation: one.generation,
            holder: one.holder,
            x: one.x,
            fingerprint: { salt: one.fingerprint.salt, sha256: one.fingerprint.sha256 },
          })),
  };
}
