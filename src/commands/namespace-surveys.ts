import { type PeerSurvey, surveyPeers } from '../ceremony/survey.ts';
import type { ConnectedCluster, Context } from '../context.ts';

/** What every peer says of one namespace's seal. */
export interface NamespaceSurvey {
  readonly namespace: string;
  readonly surveys: readonly PeerSurvey[];
}

/**
 * Asks every peer for the seals of these namespaces, with a login, which that takes. Where there is none, or it may not,
 * the peers count as unreachable, with the reason.
 */
export async function namespaceSurveys(
  context: Context,
  cluster: ConnectedCluster,
  namespaces: readonly string[],
): Promise<readonly NamespaceSurvey[]> {
  if (namespaces.length === 0) return [];
  const held = context.heldLogin(cluster);
  try {
    const found: NamespaceSurvey[] = [];
    for (const namespace of namespaces) {
      const { peers } = await context.enter(cluster, held.login, namespace);
      found.push({ namespace, surveys: await surveyPeers(peers, { signal: context.signal }) });
    }
    return found;
  } finally {
    // What is left of it ends by itself; the command has said what it has to.
    await held.end();
  }
}
