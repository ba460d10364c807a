import { QuorateError } from '../../../errors.ts';
import type { Session } from '../../../vault/peer.ts';
import type { Cluster } from '../../kind.ts';
import { activePeer } from '../../leadership.ts';
import type { LoadedScript } from '../../load.ts';
import { type PeerSurvey, surveyPeers } from '../../survey.ts';
import type { Invitation } from '../invitation.ts';

/** A custodian's own view: their own configuration of the cluster, and an invitation that they were handed. */
export interface Joining {
  readonly invitation: Invitation;
  /** The invitation's script, checked as any script is. */
  readonly loaded: LoadedScript;
  readonly custodian: string;
  /** From the custodian's own quorate.yaml: shares go there and nowhere else. */
  readonly cluster: Cluster;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** A session for giving a share to an operation that needs a login; the caller closes it. */
  session(peer: Cluster['peers'][number]): Promise<Session>;
}

/**
 * Whose seal the invitation is about: the script's namespace, or for an unseal of a cluster one that is opened after it.
 * @throws QuorateError `invitation-invalid` for any other.
 */
export function joinedNamespace(
  { namespace }: Invitation,
  { script, kind }: LoadedScript,
  known: readonly string[],
): string | undefined {
  if (namespace === script.namespace) return namespace;
  const { namespaces = known } = script as { readonly namespaces?: readonly string[] };
  const after = script.namespace === undefined && kind.name === 'unseal';
  if (after && namespace !== undefined && namespaces.includes(namespace)) return namespace;
  throw new QuorateError(
    'invitation-invalid',
    `the script is not for ${namespace === undefined ? 'the cluster itself' : `the namespace ${namespace}`}`,
    { hint: 'Give no share. Compare your quorate.yaml with that of the administrator.' },
  );
}

/**
 * Whether the servers that this machine sees are those that the administrator sees: the same peers with the same
 * certificates, of one cluster with the same id.
 * @throws QuorateError `cluster-mismatch`, `server-identity`.
 */
export async function compareCluster({ invitation, cluster, signal, loaded }: Joining): Promise<readonly PeerSurvey[]> {
  const meant = [loaded.script.cluster, invitation.namespace].filter((one) => one !== undefined).join('/');
  if (meant !== cluster.name) {
    throw new QuorateError('cluster-mismatch', `the script is for ${meant}, not for ${cluster.name}`);
  }
  const surveys = await surveyPeers(cluster.peers, { signal });
  for (const { peer, seal } of surveys) {
    const seen = invitation.peers.find(({ name }) => name === peer.name)?.certificate;
    if (seen !== undefined && peer.certificate !== undefined && seen !== peer.certificate) {
      throw new QuorateError(
        'server-identity',
        `${peer.name} shows another certificate here than to the administrator`,
        {
          hint: 'Give no share. One of you does not speak to the real server, or its certificate was renewed just now.',
        },
      );
    }
    if (seal?.clusterId === undefined || invitation.clusterId === undefined) continue;
    if (seal.clusterId !== invitation.clusterId) {
      throw new QuorateError(
        'cluster-mismatch',
        `${peer.name} is of cluster ${seal.clusterId}, the invitation of ${invitation.clusterId}`,
        { hint: 'Give no share. Compare your quorate.yaml with that of the administrator.' },
      );
    }
  }
  const unknown = invitation.peers.filter(({ name }) => !cluster.peers.some((peer) => peer.name === name));
  if (unknown.length > 0) {
    const names = unknown.map(({ name }) => name).join(', ');
    throw new QuorateError('cluster-mismatch', `your quorate.yaml has no peer called ${names}`, {
      hint: 'Get the newest quorate.yaml of this cluster from where it is reviewed, not with the invitation.',
    });
  }
  return surveys;
}

/** A session on the peer that leads, closed afterwards. */
export async function onActive<T>(joining: Joining, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await joining.session(await activePeer(joining));
  try {
    return await use(session);
  } finally {
    session.close();
  }
}

/** The error when what an invitation is for is no longer there. */
export function voidInvitation(why: string): QuorateError {
  return new QuorateError('not-ready', `${why}. No share was asked for`, {
    hint: 'This invitation is void, or not for now. Ask the administrator for the newest one.',
  });
}
