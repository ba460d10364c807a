import type { Finding, PreflightRun, Run } from '../kind.ts';
import { surveyPeers } from '../survey.ts';

const CODE = 'namespace-rotation';

/**
 * Where people unseal the cluster, new shares of a namespace cost it: the server writes the key of the namespace's shares
 * over that of the cluster's own. Whoever becomes the leader from then on cannot read it, and seals itself, for good. New
 * shares of the cluster write it anew, as long as a peer still leads (OpenBao 2.7.2; a cluster that unseals itself has
 * no such key).
 */
export async function namespaceRotation(run: PreflightRun): Promise<readonly Finding[]> {
  const { namespace } = run.cluster;
  if (namespace === undefined) return [];
  const servers = (await run.enter?.(''))?.cluster.peers ?? [];
  const surveys = await surveyPeers(servers, { signal: run.signal });
  const types = surveys.flatMap(({ seal }) => (seal === undefined ? [] : [seal.type]));
  if (types.length > 0 && types.every((type) => type !== 'shamir')) {
    return [{ code: CODE, ok: true, finding: 'the cluster unseals itself: new shares of a namespace do it no harm' }];
  }
  return [
    {
      code: CODE,
      ok: false,
      finding: `new shares of ${namespace} make this cluster seal itself, for good, when a peer next becomes the leader`,
      mend:
        "OpenBao 2.7.2 writes their key over the cluster's own. If it must be: accept this, and rotate the cluster's " +
        'root key right after, before anything restarts: quorate rotate-root-key, without the namespace.',
    },
  ];
}

/** Says what is left to do, and at once, where the finding was accepted. */
export async function tellToRotateCluster(run: Run): Promise<void> {
  const accepted = run.events.some((one) => one.event === 'check' && one.code === CODE && !one.ok);
  if (!accepted) return;
  const text =
    "restart nothing: the cluster's own root key must be rotated now, by quorate rotate-root-key without the namespace; " +
    'until then every peer that becomes the leader seals itself, and no shares open it again';
  run.people.say(`!!  ${text.replace(/^./, (one) => one.toUpperCase())}.`);
  await run.record({ event: 'note', text });
}
