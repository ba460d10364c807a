import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { isPinnedKey } from '../../shares/signing.ts';
import { isWalletName } from '../../shares/statement.ts';
import { wholeNumber } from '../whole-number.ts';
import { type KnownWallet, nodeOf } from '../shares/wallet.ts';

/** The options that say without a quorate.yaml what a node needs to know of its wallet. */
export const givenOptions = {
  'signing-key': {
    value: 'NODE=KEY',
    repeat: true,
    description:
      'instead of quorate.yaml: a node and its pinned key, once for each (QUORATE_SIGNING_KEYS, with blanks)',
  },
  'threshold': { value: 'N', description: "the wallet's threshold (QUORATE_THRESHOLD)" },
  'mount': { value: 'NAME', description: 'where the store is (QUORATE_MOUNT; default: mpc)' },
  'address': { value: 'URL', description: "the server of this node's store (BAO_ADDR)" },
  'ca': { value: 'FILE', description: 'its certificate authority (BAO_CACERT)' },
  'pin': { value: 'SHA256', description: 'or the SHA-256 of its certificate' },
  'cluster-id': { value: 'ID', description: 'what the cluster must call itself (QUORATE_CLUSTER_ID)' },
  'namespace': { value: 'PATH', description: 'in which the store is, and the login (BAO_NAMESPACE)' },
  'login': {
    value: 'METHOD,...',
    description: 'how to log in: approle,role-id=north,secret-id-file=... (QUORATE_LOGIN)',
  },
} as const;

interface Values {
  readonly 'node'?: string;
  readonly 'signing-key'?: readonly string[];
  readonly 'threshold'?: string;
  readonly 'mount'?: string;
  readonly 'address'?: string;
  readonly 'ca'?: string;
  readonly 'pin'?: string;
  readonly 'cluster-id'?: string;
  readonly 'namespace'?: string;
  readonly 'login'?: string;
}

/**
 * The wallet as options and environment describe it, which takes reading no file; undefined where they pin no keys, so
 * that quorate.yaml does.
 * @throws QuorateError `usage`. No value is quoted: somebody may put a secret there.
 */
export function givenWallet(context: Context, name: string, values: Values): KnownWallet | undefined {
  const { env } = context;
  const pinned = values['signing-key'] ?? (env['QUORATE_SIGNING_KEYS'] ?? '').split(/\s+/).filter((one) => one !== '');
  if (pinned.length === 0) {
    const alone = (['threshold', 'mount', 'address', 'ca', 'pin', 'cluster-id', 'namespace', 'login'] as const).find(
      (option) => values[option] !== undefined,
    );
    if (alone === undefined) return undefined;
    throw new QuorateError('usage', `--${alone} goes with --signing-key: without it quorate.yaml describes all this`);
  }
  if (!isWalletName(name))
    throw new QuorateError('usage', 'a wallet is called by lower-case letters, digits and dashes');
  const nodes = new Map<string, string>();
  for (const one of pinned) {
    const cut = one.indexOf('=');
    const [node, key] = [one.slice(0, Math.max(cut, 0)), one.slice(cut + 1)];
    if (!isWalletName(node) || !isPinnedKey(key) || nodes.has(node)) {
      throw new QuorateError('usage', '--signing-key wants NODE=KEY, once for each node, as shares enroll prints keys');
    }
    nodes.set(node, key);
  }
  const threshold = wholeNumber(values.threshold ?? env['QUORATE_THRESHOLD'], '--threshold');
  if (nodes.size < 2 || threshold > 255) {
    throw new QuorateError('usage', 'a wallet has two nodes at least, and a threshold of 255 at most');
  }
  const mount = values.mount ?? env['QUORATE_MOUNT'] ?? 'mpc';
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(mount)) {
    throw new QuorateError('usage', '--mount wants the name of a mount: letters, digits, dots, dashes');
  }
  const address = values.address ?? env['BAO_ADDR'] ?? env['VAULT_ADDR'];
  if (address === undefined) throw new QuorateError('usage', 'where is the server? Say --address, or set BAO_ADDR');
  const login = values.login ?? env['QUORATE_LOGIN'];
  const { ca, pin, namespace } = values;
  const clusterId = values['cluster-id'] ?? env['QUORATE_CLUSTER_ID'];
  const choice = {
    address,
    ...(ca === undefined ? {} : { ca }),
    ...(pin === undefined ? {} : { pin }),
    ...(login === undefined ? {} : { login }),
  };
  const place = {
    choice,
    mount,
    ...(namespace === undefined ? {} : { namespace }),
    ...(clusterId === undefined ? {} : { clusterId }),
  };
  const node = nodeOf(context, values.node);
  if (!nodes.has(node))
    throw new QuorateError('usage', 'no key is pinned for this node itself: --signing-key NODE=KEY');
  return { wallet: { name, threshold, nodes }, places: new Map([[node, place]]), shared: [], sharedBy: () => [] };
}
