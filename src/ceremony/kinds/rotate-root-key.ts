import * as v from 'valibot';
import type { Kind } from '../kind.ts';
import { withinPolicy } from '../preflight.ts';
import { autoRootSteps } from '../rotation/auto-root.ts';
import { namespaceRotation } from '../rotation/namespace-rotation.ts';
import { rotationPreflight } from '../rotation/preflight.ts';
import { planOf, ROTATION, rotationFaults, type RotationScript } from '../rotation/script.ts';
import { rotationSteps } from '../rotation/steps.ts';
import { participantFaults } from '../script.ts';

export const rotateRootKeyScript = v.strictObject({
  ceremony: v.literal('rotate-root-key'),
  ...ROTATION,
  /** `auto`: the cluster unseals itself. Then nothing is issued, and the recovery shares authorise the rotation. */
  seal: v.optional(v.picklist(['shamir', 'auto']), 'shamir'),
  shares: v.optional(ROTATION.shares),
  threshold: v.optional(ROTATION.threshold),
  custodians: v.optional(ROTATION.custodians),
  /** The peer that is restarted, and under a Shamir seal unsealed with the new shares; a standby when left out. */
  cold: v.optional(v.pipe(v.string(), v.minLength(1))),
});

export type RotateRootKeyScript = v.InferOutput<typeof rotateRootKeyScript>;

/**
 * A new root key. Where people unseal the cluster they get new shares of it, and whatever happens, the old shares or
 * the new ones open it. Under an auto-unseal seal no shares change.
 */
export const rotateRootKey: Kind<RotateRootKeyScript> = {
  name: 'rotate-root-key',
  summary: 'new unseal shares: n, threshold and custodians may change',
  faults(script) {
    const issuing = issuingScript(script);
    if (issuing !== undefined) return rotationFaults(issuing);
    const faults = [...participantFaults(script)];
    for (const name of ['shares', 'threshold', 'custodians'] as const) {
      if (script.seal === 'auto' && script[name] !== undefined)
        faults.push(`${name}: with \`seal: auto\` no shares are issued; leave it out`);
      if (script.seal === 'shamir' && script[name] === undefined)
        faults.push(`${name} is missing (a cluster that unseals itself: \`seal: auto\`)`);
    }
    return faults;
  },
  async preflight(script, run) {
    const purpose = 'rotate-root-key';
    const issuing = issuingScript(script);
    if (issuing === undefined) {
      return rotationPreflight(run, { purpose, takesEffect: true, shares: 'rotate-recovery-key' });
    }
    return [
      ...withinPolicy(issuing.shares, issuing.threshold, run.policy),
      ...(await rotationPreflight(run, { purpose, takesEffect: true })),
      ...(await namespaceRotation(run)),
    ];
  },
  steps(script, keys) {
    const issuing = issuingScript(script);
    if (issuing !== undefined) return rotationSteps(planOf(issuing, 'rotate-root-key', keys), script);
    const { snapshot, cold } = script;
    return autoRootSteps(
      { ...(snapshot === undefined ? {} : { snapshot }), ...(cold === undefined ? {} : { cold }) },
      script,
    );
  },
};

/** The script of a rotation that issues shares, where it is one and complete. */
function issuingScript({
  seal,
  shares,
  threshold,
  custodians,
  ...rest
}: RotateRootKeyScript): RotationScript | undefined {
  if (seal !== 'shamir' || shares === undefined || threshold === undefined || custodians === undefined)
    return undefined;
  return { ...rest, shares, threshold, custodians };
}
