import * as v from 'valibot';
import type { Kind } from '../kind.ts';
import { withinPolicy } from '../preflight.ts';
import { rotationPreflight } from '../rotation/preflight.ts';
import { planOf, ROTATION, rotationFaults } from '../rotation/script.ts';
import { rotationSteps } from '../rotation/steps.ts';

export const rotateRootKeyScript = v.strictObject({
  ceremony: v.literal('rotate-root-key'),
  ...ROTATION,
  /** The peer that is restarted and unsealed with the new shares; a standby when left out. */
  cold: v.optional(v.pipe(v.string(), v.minLength(1))),
});

export type RotateRootKeyScript = v.InferOutput<typeof rotateRootKeyScript>;

/** New shares of a cluster that people unseal. Whatever happens in it, the old shares or the new ones open the cluster. */
export const rotateRootKey: Kind<RotateRootKeyScript> = {
  name: 'rotate-root-key',
  summary: 'new unseal shares: n, threshold and custodians may change',
  faults: rotationFaults,
  preflight: async (script, run) => [
    ...withinPolicy(script.shares, script.threshold, run.policy),
    ...(await rotationPreflight(run, { purpose: 'rotate-root-key', takesEffect: true })),
  ],
  steps: (script, keys) => rotationSteps(planOf(script, 'rotate-root-key', keys), script),
};
