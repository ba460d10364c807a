import type { Run } from '../kind.ts';
import type { ScriptKeys } from '../keys.ts';
import { QuorateError } from '../../errors.ts';
import { provedEntries, type ProvedShare, provedShares } from '../proving.ts';
import { nextGeneration } from '../roster/roster.ts';
import type { Roster } from '../roster/schema.ts';
import type { Custodian } from '../script.ts';
import { type Attempt, currentAttempt } from './attempt.ts';
import type { RotationPurpose } from './operation.ts';
import type { ShareSet } from './share-set.ts';

/** What a rotation is to do, from its script. */
export interface Plan {
  readonly purpose: RotationPurpose;
  readonly shares: number;
  readonly threshold: number;
  readonly custodians: readonly Custodian[];
  readonly keys: ScriptKeys;
  /** Where snapshots go (default: beside the record), and what the script says of them. */
  readonly snapshot?: { readonly folder?: string | undefined; readonly kept: string; readonly destroyed: string };
  /** The peer that is restarted; by default a standby. */
  readonly cold?: string;
  /** The namespace whose shares they are. */
  readonly namespace?: string;
}

/** @throws QuorateError `bug` before the collect step. */
export function mustBeUnderWay(run: Pick<Run, 'events'>): Attempt {
  const attempt = currentAttempt(run.events);
  if (attempt === undefined) throw new QuorateError('bug', 'no rotation is under way');
  return attempt;
}

/** The key of each custodian, in the order of the script, which is that of the shares. */
export function custodianKeys(
  plan: Plan,
): readonly { readonly name: string; readonly fingerprint: string; readonly binaryBase64: string }[] {
  return plan.custodians.map(({ name }) => {
    const key = plan.keys.get(name);
    if (key === undefined) {
      throw new QuorateError('key-unusable', `there is no usable OpenPGP key of ${name}`, {
        hint: 'This finding cannot be accepted: nobody could read what is encrypted to that key.',
      });
    }
    return { name, fingerprint: key.fingerprint, binaryBase64: key.binaryBase64 };
  });
}

/** The proofs of this attempt's shares, the latest of each custodian. */
export function proofsOf(attempt: Attempt): ReadonlyMap<string, ProvedShare> {
  return provedShares(attempt.events);
}

/** The generation that the new shares are of. */
export function newGeneration(run: Pick<Run, 'roster'>): number {
  return (run.roster?.generation ?? 0) + 1;
}

/** The roster with the new shares, from the custodians' proofs. */
export function newRoster(run: Pick<Run, 'roster' | 'cluster' | 'events'>, plan: Plan): Roster {
  const entries = provedEntries(plan.custodians, proofsOf(mustBeUnderWay(run)));
  // The preflight has named unlisted shares; whoever accepted that goes on.
  if (run.roster !== undefined)
    return nextGeneration(run.roster, entries, { threshold: plan.threshold, leaveUnlisted: true });
  return {
    cluster: run.cluster.name,
    generation: 1,
    threshold: plan.threshold,
    seal: plan.purpose === 'rotate-recovery-key' ? 'recovery' : 'shamir',
    shares: [...entries],
    previous: [],
  };
}

export function newShares(run: Pick<Run, 'roster' | 'cluster' | 'events'>, plan: Plan): ShareSet {
  return { name: 'the new shares', roster: newRoster(run, plan) };
}
