import { QuorateError } from '../../errors.ts';
import type { SealStatus, Session } from '../../vault/peer.ts';
import { EXPORT_FORMAT, type ExportedMount, type ExportedNamespace, type SeparationExport } from '../model.ts';
import { readEntities, readGroups, readTokens } from './identity.ts';
import { Reader } from './reader.ts';
import { readRoles } from './roles.ts';
import { type Answer, countOf, flagOf, isAnswer, pairsOf, textOf, textsOf } from './values.ts';

export interface ReadOptions {
  /** As `quorate.yaml` calls it. */
  readonly cluster: string;
  /** A namespace to begin at, such as `team/a`; empty for the whole cluster. */
  readonly scope: string;
  readonly progress: (read: number) => void;
  readonly signal?: AbortSignal;
  readonly now?: () => Date;
}

interface Place {
  readonly path: string;
  readonly id: string;
  readonly seal: SeparationExport['seal'] | null;
}

/**
 * Everything of a cluster that decides who reaches what, without a secret. What the login may not read is listed in
 * `unread`. Lists are read whole, then what is on them, several at a time: what changes meanwhile may be in or not.
 * @throws QuorateError `sealed`; `server-response` when the server does not tell its cluster's id; as sessions do.
 */
export async function readCluster(session: Session, options: ReadOptions): Promise<SeparationExport> {
  const { signal, now = () => new Date() } = options;
  const from = now().toISOString();
  const status = await session.peer.sealStatus(signal === undefined ? {} : { signal });
  const id = clusterId(session, status);
  const reader = new Reader(session, options.progress, signal);
  const scope = options.scope === '' ? '' : `${options.scope}/`;
  const places = await findNamespaces(reader, status, scope);
  const namespaces: ExportedNamespace[] = [];
  const tokens: SeparationExport['tokens'] = [];
  for (const place of places) {
    namespaces.push(await readNamespace(reader, place));
    tokens.push(...(await readTokens(reader, place.path)));
  }
  const [audit, server] = scope === '' ? await readServer(reader) : [[], null];
  return {
    format: EXPORT_FORMAT,
    cluster: options.cluster,
    clusterId: id,
    flavour: status.flavour,
    version: status.version,
    from,
    to: now().toISOString(),
    scope,
    seal: { type: status.type, shares: status.shares, threshold: status.threshold },
    server,
    audit,
    namespaces,
    tokens,
    unread: [...reader.unread].sort(byPlace),
  };
}

function clusterId({ peer }: Session, { clusterId: id }: SealStatus): string {
  if (id !== undefined) return id;
  throw new QuorateError('server-response', `${peer.name} does not tell the id of its cluster`, {
    hint: 'It tells it while it is unsealed. Two clusters cannot be told apart without.',
  });
}

/** The namespace at `scope` and all below, parents first. */
async function findNamespaces(reader: Reader, { flavour }: SealStatus, scope: string): Promise<readonly Place[]> {
  const found: Place[] = [{ path: scope, id: scope === '' ? 'root' : '', seal: null }];
  // The free edition of Vault has none, and would act in the root where it is asked for one.
  if (flavour === 'vault') return found;
  for (const parent of found) {
    // What is in a sealed one is not told.
    if (parent.seal !== null && reader.unread.some(({ namespace }) => namespace === parent.path)) continue;
    const listed = (await reader.listAll(parent.path, 'sys/namespaces')) ?? {};
    const info = isAnswer(listed['key_info']) ? listed['key_info'] : {};
    const children = await reader.each(textsOf(listed, 'keys'), async (name): Promise<Place> => {
      const own = name.replace(/\/$/, '');
      const told = info[name];
      const seal = await sealOf(reader, parent.path, own);
      return { path: `${parent.path}${own}/`, id: isAnswer(told) ? textOf(told, 'id') : '', seal };
    });
    found.push(...children);
  }
  return found;
}

/** A namespace's own seal; null where it opens with its parent (OpenBao 2.7 answers 400 `not sealable` then). */
async function sealOf(reader: Reader, parent: string, name: string): Promise<Place['seal']> {
  const answer = await reader.readSeal(parent, `sys/namespaces/${name}/seal-status`);
  if (answer === undefined) return null;
  return { type: textOf(answer, 'type'), shares: countOf(answer, 'n'), threshold: countOf(answer, 't') };
}

async function readNamespace(reader: Reader, { path, id, seal }: Place): Promise<ExportedNamespace> {
  const [mounts, auth] = [
    mountsOf(await reader.read(path, 'sys/mounts')),
    mountsOf(await reader.read(path, 'sys/auth')),
  ];
  const policies = await reader.readAll(path, 'sys/policies/acl', (answer, name) =>
    // Root has no text: it is known by its name.
    name === 'root'
      ? undefined
      : {
          name,
          text: textOf(answer, 'policy'),
          slashes: flagOf(answer, 'allow_slashes_in_identity_templates'),
          wildcards: flagOf(answer, 'allow_wildcards_in_identity_templates'),
        },
  );
  const roles: ExportedNamespace['roles'] = [];
  for (const mount of auth) roles.push(...(await readRoles(reader, path, mount)));
  return {
    path,
    id,
    seal,
    policies,
    mounts,
    auth,
    roles,
    entities: [...(await readEntities(reader, path))],
    groups: [...(await readGroups(reader, path))],
  };
}

function mountsOf(answer: Answer | undefined): ExportedMount[] {
  return Object.entries(answer ?? {}).flatMap(([path, mount]) => {
    if (!path.endsWith('/') || !isAnswer(mount)) return [];
    const options = Object.fromEntries(Object.entries(pairsOf(mount, 'options')).filter(([key]) => key === 'version'));
    // In namespaces OpenBao calls its own `ns_token`.
    return [{ path, type: textOf(mount, 'type').replace(/^ns_/, ''), accessor: textOf(mount, 'accessor'), options }];
  });
}

async function readServer(reader: Reader): Promise<[SeparationExport['audit'], SeparationExport['server']]> {
  const devices = await reader.read('', 'sys/audit');
  const audit = Object.entries(devices ?? {}).flatMap(([path, device]) =>
    path.endsWith('/') && isAnswer(device) ? [{ path, type: textOf(device, 'type') }] : [],
  );
  const config = await reader.read('', 'sys/config/state/sanitized');
  if (config === undefined) return [audit, null];
  // Vault takes audit devices by its API always; OpenBao where this is set.
  const auditByApi = config['unsafe_allow_api_audit_creation'] !== false;
  return [audit, { rawStorage: config['raw_storage_endpoint'] !== false, auditByApi }];
}

function byPlace(a: { readonly namespace: string; readonly path: string }, b: typeof a): number {
  return a.namespace.localeCompare(b.namespace) || a.path.localeCompare(b.path);
}
