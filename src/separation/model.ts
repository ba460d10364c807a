import * as v from 'valibot';
import { QuorateError } from '../errors.ts';

/** The version of what `quorate separation export` writes. See FORMAT.md. */
export const EXPORT_FORMAT = 'quorate-separation/1';
/** What its SSH signature is for: one that was made for a record or a roster is void here. */
export const EXPORT_NAMESPACE = 'quorate-separation';
/** Bytes. A cluster with 5,000 entities comes to about 4 MiB. */
export const LARGEST_EXPORT = 256 << 20;

const text = v.pipe(v.string(), v.maxLength(4096));
const texts = v.array(text);
const pairs = v.record(text, text);
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
/** From the root on: empty for the root, else `team/a/`. */
const namespacePath = v.pipe(v.string(), v.regex(/^(?:[^/\s]+\/)*$/));
const time = v.pipe(v.string(), v.isoTimestamp());

const seal = v.strictObject({
  type: text,
  shares: count,
  threshold: count,
});

const policy = v.strictObject({
  name: text,
  text: v.pipe(v.string(), v.maxLength(1 << 20)),
  /** Whether a value of an entity may bring slashes, or wildcards, into a path. */
  slashes: v.boolean(),
  wildcards: v.boolean(),
});

const mount = v.strictObject({ path: text, type: text, accessor: text, options: pairs });

/** Whatever hands out policies to those who log in; for a token role, to those who may create tokens by it. */
const role = v.strictObject({
  /** `auth/approle/` as `approle/`. */
  mount: text,
  kind: v.picklist(['role', 'cel', 'cert', 'user', 'group', 'token']),
  name: text,
  policies: texts,
  noDefault: v.boolean(),
  /** An AppRole that is entered with its role id alone. */
  open: v.boolean(),
  roleId: v.optional(text),
  /** What a login must be, as far as it can be compared: `bound_subject` and the like. */
  bound: v.record(text, texts),
  /** Groups that a user of a directory is in by this server's word. */
  groups: texts,
  token: v.optional(
    v.strictObject({
      allowed: texts,
      allowedGlobs: texts,
      disallowed: texts,
      disallowedGlobs: texts,
      aliases: texts,
      orphan: v.boolean(),
    }),
  ),
});

const alias = v.strictObject({
  id: text,
  name: text,
  mountAccessor: text,
  metadata: pairs,
  customMetadata: pairs,
});

const entity = v.strictObject({
  id: text,
  name: text,
  disabled: v.boolean(),
  policies: texts,
  metadata: pairs,
  aliases: v.array(alias),
  /** Ids of entities that were merged into it; tokens can still name them. */
  merged: texts,
});

const group = v.strictObject({
  id: text,
  name: text,
  type: v.picklist(['internal', 'external']),
  policies: texts,
  metadata: pairs,
  entities: texts,
  groups: texts,
  alias: v.optional(v.strictObject({ name: text, mountAccessor: text })),
});

const token = v.strictObject({
  accessor: text,
  namespace: namespacePath,
  displayName: text,
  /** Where it came from: `auth/approle/login`. */
  path: text,
  policies: texts,
  /** As the server adds them up now: from the entity and its groups; by namespace for those of other ones. */
  identityPolicies: texts,
  externalPolicies: v.record(text, texts),
  entity: v.optional(text),
  role: v.optional(text),
  type: text,
  /** Seconds; 0 for one that never ends. */
  ttl: count,
  uses: count,
});

const namespace = v.strictObject({
  path: namespacePath,
  id: text,
  /** One of its own, else null. */
  seal: v.nullable(seal),
  policies: v.array(policy),
  mounts: v.array(mount),
  auth: v.array(mount),
  roles: v.array(role),
  entities: v.array(entity),
  groups: v.array(group),
});

export const exportSchema = v.strictObject({
  format: v.literal(EXPORT_FORMAT),
  /** As `quorate.yaml` calls it. */
  cluster: text,
  clusterId: v.pipe(v.string(), v.uuid()),
  flavour: v.picklist(['openbao', 'vault']),
  version: text,
  /** When reading began, and when it had ended: what changed meanwhile may be in it or not. */
  from: time,
  to: time,
  /** Where it starts: empty for the whole cluster. */
  scope: namespacePath,
  seal,
  /** Settings that open other ways in; null where they could not be read. */
  server: v.nullable(v.strictObject({ rawStorage: v.boolean(), auditByApi: v.boolean() })),
  audit: v.array(v.strictObject({ path: text, type: text })),
  namespaces: v.array(namespace),
  tokens: v.array(token),
  /** What could not be read, and why. */
  unread: v.array(v.strictObject({ namespace: namespacePath, path: text, why: text })),
});

export type SeparationExport = v.InferOutput<typeof exportSchema>;
export type ExportedNamespace = v.InferOutput<typeof namespace>;
export type ExportedPolicy = v.InferOutput<typeof policy>;
export type ExportedRole = v.InferOutput<typeof role>;
export type ExportedEntity = v.InferOutput<typeof entity>;
export type ExportedGroup = v.InferOutput<typeof group>;
export type ExportedToken = v.InferOutput<typeof token>;
export type ExportedMount = v.InferOutput<typeof mount>;
export type Unread = SeparationExport['unread'][number];

/** The bytes of an export, which are signed as they are. */
export function exportText(value: SeparationExport): string {
  return `${JSON.stringify(value, undefined, 1)}\n`;
}

/**
 * Reads an export back. Nothing unknown is passed over: a later version may say more than this one understands.
 * @param file for messages.
 * @throws QuorateError `document-invalid`, with the places that are wrong and never their values.
 */
export function parseExport(content: string, file: string): SeparationExport {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    value = undefined; // its message would quote the text
  }
  const result = v.safeParse(exportSchema, value, { abortEarly: true });
  if (result.success) return result.output;
  const place = v.getDotPath(result.issues[0]);
  throw new QuorateError(
    'document-invalid',
    `${file} is no ${EXPORT_FORMAT}${place === null ? '' : ` (at ${place})`}`,
    {
      hint: 'quorate separation export writes one. Was it cut short, or written by another version?',
    },
  );
}
