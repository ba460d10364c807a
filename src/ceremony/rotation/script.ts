import * as v from 'valibot';
import { line, COMMON, custodian, participantFaults } from '../script.ts';
import type { ScriptKeys } from '../keys.ts';
import type { RotationPurpose } from './operation.ts';
import type { Plan } from './plan.ts';

const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255));

/** What the scripts of both rotations have in common. */
export const ROTATION = {
  ...COMMON,
  shares: size,
  threshold: size,
  /** Who will hold the new shares; today's holders are in the roster. */
  custodians: v.pipe(v.array(custodian), v.minLength(1)),
  /** Where the snapshot from right before the last call goes, and what becomes of it. */
  snapshot: v.optional(v.strictObject({ folder: v.optional(line), kept: line, destroyed: line })),
} as const;

export type RotationScript = v.InferOutput<v.ObjectSchema<typeof ROTATION, undefined>> & {
  readonly ceremony: string;
  readonly cold?: string | undefined;
};

export function rotationFaults(script: RotationScript): readonly string[] {
  const { shares, threshold, custodians } = script;
  const faults = participantFaults(script, custodians);
  if (custodians.length !== shares) {
    faults.push(`shares is ${shares.toString()}, but ${custodians.length.toString()} custodians are named`);
  }
  for (const { name, pgp } of custodians) if (pgp === undefined) faults.push(`${name} has no OpenPGP key`);
  if (threshold > shares) faults.push('the threshold is larger than the number of shares');
  if (threshold === 1 && shares > 1) faults.push('a threshold of 1 needs shares: 1; the servers refuse it otherwise');
  if (script.namespace !== undefined && script.cold !== undefined)
    faults.push('cold is of no use with namespace: no peer is restarted, the namespace is sealed and unsealed');
  return faults;
}

export function planOf(script: RotationScript, purpose: RotationPurpose, keys: ScriptKeys): Plan {
  const { shares, threshold, custodians, snapshot, cold, namespace } = script;
  return {
    purpose,
    shares,
    threshold,
    custodians,
    keys,
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(cold === undefined ? {} : { cold }),
    ...(namespace === undefined ? {} : { namespace }),
  };
}
