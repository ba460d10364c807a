import type { Finding, Kind, PreflightRun, Step } from '../kind.ts';
import type { ScriptKeys } from '../keys.ts';
import { freeingOnError, lockStep, unlockStep } from '../lock-steps.ts';
import { clocksAgree, reachable, sameVersion, withinPolicy } from '../preflight.ts';
import { participantFaults } from '../script.ts';
import { surveyPeers } from '../survey.ts';
import type { InitScript } from './init/script.ts';
import { initialiseStep } from './init/initialise.ts';
import { innerWritesStep, namespaceFaults, namespaceLock } from './init/namespace.ts';
import { proveStep } from './init/prove.ts';
import { rosterStep } from './init/roster.ts';
import { KnownPassword } from './init/login-session.ts';
import { RootAccess } from './init/root-access.ts';
import { auditStep, revokeStep, wayBackStep, writesStep } from './init/first-use.ts';
import { unsealStep } from './init/unseal.ts';

/** Either everybody has a key, or the script says in so many words that nobody has. */
function keyFaults(script: InitScript): string[] {
  const keyless = script.custodians.filter(({ pgp }) => pgp === undefined).map(({ name }) => name);
  if (script['insecure-plain-shares']) {
    const keyed = keyless.length < script.custodians.length || script['root-token'] !== undefined;
    return keyed ? ['insecure-plain-shares is for a script without OpenPGP keys; take out the one or the others'] : [];
  }
  return [
    ...keyless.map((name) => `${name} has no OpenPGP key, so that the share would leave the server in clear`),
    ...(script['root-token'] === undefined && script.namespace === undefined
      ? ['root-token names no OpenPGP key']
      : []),
  ];
}

/** What is certain to stop the ceremony at its end is said before anybody acts. */
function hasWayBack(script: InitScript): Finding[] {
  if (script['ceremony-login'] !== undefined || script.namespace !== undefined) return [];
  return [
    {
      code: 'way-back',
      ok: false,
      finding: 'the script names no ceremony-login, so that the ceremony will stop before the root token is revoked',
      mend: 'Start from `quorate ceremony new init`, whose script has one.',
    },
  ];
}

/**
 * After a restart OpenBao 2.7.2 cannot unseal a namespace again in which another one has a seal of its own: it reads the
 * inner one's mounts with the outer one's key. Both are lost then.
 */
async function nestedSeals(script: InitScript, signal: AbortSignal, enter: PreflightRun['enter']): Promise<Finding[]> {
  const parents = (script.namespace ?? '').split('/').slice(0, -1);
  for (const depth of parents.keys()) {
    const parent = parents.slice(0, depth + 1).join('/');
    const { cluster } = (await enter?.(parent)) ?? {};
    const surveys = await surveyPeers(cluster?.peers ?? [], { signal });
    if (!surveys.some(({ seal }) => seal?.initialised === true)) continue;
    return [
      {
        code: 'nested-seals',
        ok: false,
        finding: `${parent} has a seal of its own: OpenBao 2.7.2 could not unseal it any more after a restart`,
        mend: 'Create the namespace in one without a seal of its own.',
      },
    ];
  }
  return [];
}

/**
 * Takes an empty cluster to an unsealed one whose shares all custodians can read, with a way back in and no root token.
 * Everything that can fail for a reason known beforehand fails in `preflight`, while starting over costs nothing.
 */
export const init: Kind<InitScript> = {
  name: 'init',
  summary: 'initialise a new cluster; every custodian proves that they can read their share',

  faults(script) {
    const faults = participantFaults(script, script.custodians);
    if (script.custodians.length !== script.shares) {
      faults.push(
        `shares is ${script.shares.toString()}, but ${script.custodians.length.toString()} custodians are named`,
      );
    }
    faults.push(...keyFaults(script), ...namespaceFaults(script));
    if (script.threshold > script.shares) faults.push('the threshold is larger than the number of shares');
    if (script.threshold === 1 && script.shares > 1)
      faults.push('a threshold of 1 needs shares: 1; the servers refuse it otherwise');
    return faults;
  },

  async preflight(script, run) {
    const { cluster, policy, signal, enter } = run;
    const surveys = await surveyPeers(cluster.peers, { signal });
    const used = surveys.filter(({ state }) => state !== 'uninitialised' && state !== 'unreachable');
    const seals = new Set(surveys.flatMap(({ seal }) => (seal === undefined ? [] : [seal.type])));
    return [
      ...reachable(surveys),
      ...used.map(({ peer, state }) => ({
        code: 'uninitialised',
        ok: false,
        finding:
          peer.namespace === ''
            ? `${peer.name} is initialised already (${state})`
            : `the namespace ${peer.namespace} is there already on ${peer.name}`,
        mend:
          peer.namespace === ''
            ? 'Init is for an empty cluster. Check the addresses in quorate.yaml.'
            : 'Init creates a new namespace. Its name is from the root on.',
      })),
      ...(used.length === 0
        ? [
            {
              code: 'uninitialised',
              ok: true,
              finding:
                script.namespace === undefined
                  ? 'no peer is initialised'
                  : `there is no namespace ${script.namespace} yet`,
            },
          ]
        : []),
      ...sameVersion(surveys),
      ...(seals.size > 1
        ? [
            {
              code: 'seal',
              ok: false,
              finding: `the peers have different seals: ${[...seals].sort().join(', ')}`,
              mend: 'Give all the same seal stanza.',
            },
          ]
        : []),
      ...clocksAgree(surveys, policy),
      ...withinPolicy(script.shares, script.threshold, policy),
      ...hasWayBack(script),
      ...(await nestedSeals(script, signal, enter)),
      ...(script.namespace === undefined ? [] : await namespaceLock(run)),
    ];
  },

  steps(script: InitScript, keys: ScriptKeys): readonly Step[] {
    const made = [initialiseStep(script, keys), proveStep(script), unsealStep(script), rosterStep(script)];
    if (script.namespace !== undefined) {
      const locked = [...made, innerWritesStep(script)].map((step) => freeingOnError(script, step));
      return [lockStep(script), ...locked, unlockStep(script)];
    }
    const root = new RootAccess(script);
    const known = new KnownPassword();
    return [
      ...made,
      writesStep(script, root, known),
      auditStep(script, root),
      wayBackStep(script, root, known),
      revokeStep(script, root, known),
    ];
  },
};
