import * as v from 'valibot';
import type { Kind } from '../kind.ts';
import { withinPolicy } from '../preflight.ts';
import { rotationPreflight } from '../rotation/preflight.ts';
import { planOf, ROTATION, rotationFaults } from '../rotation/script.ts';
import { rotationSteps } from '../rotation/steps.ts';

export const rotateRecoveryKeyScript = v.strictObject({ ceremony: v.literal('rotate-recovery-key'), ...ROTATION });

export type RotateRecoveryKeyScript = v.InferOutput<typeof rotateRecoveryKeyScript>;

/** New recovery shares of a cluster that a seal of its own opens (an HSM, a key service, a static key). */
export const rotateRecoveryKey: Kind<RotateRecoveryKeyScript> = {
  name: 'rotate-recovery-key',
  summary: 'new recovery shares of a cluster that unseals itself',
  faults: (script) => [
    ...rotationFaults(script),
    ...(script.namespace === undefined ? [] : ['namespace: the seals of namespaces have no recovery key']),
  ],
  preflight: async (script, run) => [
    ...withinPolicy(script.shares, script.threshold, run.policy),
    ...(await rotationPreflight(run, { purpose: 'rotate-recovery-key', takesEffect: true })),
  ],
  steps: (script, keys) => rotationSteps(planOf(script, 'rotate-recovery-key', keys), script),
};
