import * as v from 'valibot';
import { cidr } from './cidr.ts';
import { DURATION } from './duration.ts';

/** What `quorate.yaml` says of wallets: who their nodes are, where each keeps its share, and how it gets there. */

const mount = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'the name of a mount: letters, digits, dots, dashes'),
);
/** Names of wallets, nodes and roles: they become segments of paths, and need no escaping in a policy. */
export const shareName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits, dashes'));
const text = v.pipe(v.string(), v.minLength(1));
const texts = v.pipe(v.array(text), v.minLength(1));
const duration = v.pipe(v.string(), v.regex(DURATION, 'a time such as 90s, 15m or 1h30m'));

/** A namespace, named from the root: `team/a`. */
export const namespacePath = v.pipe(
  v.string(),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,9}$/,
    'a namespace from the root on, such as team/a',
  ),
);

const roleCommon = {
  /** Default: that of the node's `auth`, else what the method is called. */
  mount: v.optional(mount),
  /** Default: that of the node's `auth`, else WALLET-NODE. */
  name: v.optional(shareName),
  /** How long a login is good for. */
  ttl: v.optional(duration, '10m'),
};

/** The role that `quorate shares setup` makes for a node to log in with. */
const role = v.variant('method', [
  v.strictObject({
    'method': v.literal('approle'),
    ...roleCommon,
    /** How many logins a secret id is good for; 0: any number. */
    'secret-id-uses': v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 1),
    'secret-id-ttl': v.optional(duration, '24h'),
  }),
  v.strictObject({
    'method': v.literal('cert'),
    ...roleCommon,
    /** The node's certificate, or the authority that issued it, in PEM. */
    'certificate': text,
    'common-names': v.optional(texts),
    'dns-names': v.optional(texts),
  }),
  v.strictObject({
    'method': v.literal('kubernetes'),
    ...roleCommon,
    'service-account': shareName,
    'service-account-namespace': shareName,
    'audience': text,
  }),
  v.strictObject({
    'method': v.literal('jwt'),
    ...roleCommon,
    'audience': text,
    'subject': text,
    'user-claim': v.optional(text, 'sub'),
    'claims': v.optional(v.record(text, v.union([text, texts])), {}),
  }),
]);

const verifier = v.pipe(v.string(), v.regex(/^\/[^\0\n]+$/, 'the absolute path of a program'));

/** A wallet; `auth` is the schema of a login. */
export function walletSchema<A extends v.GenericSchema>(auth: A) {
  return v.strictObject({
    'threshold': v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255)),
    'nodes': v.pipe(
      v.record(
        shareName,
        v.strictObject({
          'cluster': mount,
          'namespace': v.optional(namespacePath),
          'mount': v.optional(mount, 'mpc'),
          /** The public half of its signing key, as `quorate shares enroll` prints it. */
          'signing-key': v.pipe(
            v.string(),
            v.regex(/^(?:ed25519|p256):[A-Za-z0-9+/]{43,88}={0,2}$/, 'a key as quorate shares enroll prints it'),
          ),
          /** How the node itself logs in; an operator logs in as the cluster says. */
          'auth': v.optional(auth),
          /** Where the node's logins may come from. */
          'network': v.optional(v.array(cidr), []),
          'role': v.optional(role),
        }),
      ),
      v.check((nodes) => Object.keys(nodes).length >= 2, 'a wallet has two nodes at least'),
    ),
    /** Checks public commitments of schemes that quorate does not know. */
    'verifier': v.optional(verifier),
    /** Whoever is root on a cluster that two nodes share reads the stores of both: said in every report. */
    'accept-shared-root': v.optional(v.boolean(), false),
  });
}

export type NodeRoleConfig = v.InferOutput<typeof role>;

/** What a node's `auth` may say; which of it depends on the method. */
export interface NodeAuth {
  readonly 'method': string;
  readonly 'mount'?: string | undefined;
  readonly 'role'?: string | undefined;
  readonly 'role-id'?: string;
}

/** How a node logs in. */
export interface NodeLogin {
  readonly method: string;
  readonly mount: string;
  /** As which role; for AppRole its name, not its id. */
  readonly role: string;
}

/** The login of a node of a wallet: as its `role` says, then its `auth`, where that is of the same method. */
export function nodeLogin(
  wallet: string,
  node: string,
  { role: given, auth }: { readonly role?: NodeRoleConfig | undefined; readonly auth?: NodeAuth | undefined },
): NodeLogin | undefined {
  const method = given?.method ?? auth?.method;
  if (method === undefined) return undefined;
  const own = auth?.method === method ? auth : undefined;
  return {
    method,
    mount: given?.mount ?? own?.mount ?? method,
    role: given?.name ?? own?.role ?? `${wallet}-${node}`,
  };
}
