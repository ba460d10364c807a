import { applyWrites } from '../../first-writes.ts';
import type { Finding, PreflightRun, Step } from '../../kind.ts';
import { leadingServer } from '../../leadership.ts';
import { lockFinding } from '../../lock.ts';
import { withActive } from '../../lock-steps.ts';
import type { InitScript } from './script.ts';

/** Entries that make no sense for a namespace, which comes without a root token: its parent's logins go on to work in it. */
const OF_CLUSTERS = ['root-token', 'ceremony-login'] as const;

export function namespaceFaults(script: InitScript): readonly string[] {
  if (script.namespace === undefined) return [];
  return OF_CLUSTERS.filter((entry) => script[entry] !== undefined).map(
    (entry) =>
      `${entry} is for a cluster: a namespace has no root token of its own, and logins of its parent reach into it`,
  );
}

/** A namespace is made in a cluster that lives, where other ceremonies may run: the lock must be free, as for all of them. */
export async function namespaceLock(run: PreflightRun): Promise<readonly Finding[]> {
  const { session } = await run.login(await leadingServer(run));
  try {
    return [await lockFinding(session)];
  } finally {
    session.close();
  }
}

/** The writes that reviewers approved, made in the namespace by the administrator's login. */
export function innerWritesStep(script: InitScript): Step {
  const writes = script['first-writes'];
  return {
    id: 'writes',
    title: `${writes.length.toString()} reviewed writes in the namespace, with the administrator's login`,
    who: 'administrator',
    // Each is compared with the server before it is made.
    done: () => Promise.resolve(false),
    run: (run) => withActive(run, (session) => applyWrites(run, session, writes)),
  };
}
