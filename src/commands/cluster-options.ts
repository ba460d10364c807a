import type { ClusterChoice } from '../context.ts';

/** The options by which a command learns which servers are meant. */
export const clusterOptions = {
  cluster: { value: 'NAME', description: 'which cluster of quorate.yaml, where it describes several' },
  peer: { value: 'NAME', repeat: true, description: 'only this peer; may be given several times' },
  address: { value: 'URL', description: 'a single server that quorate.yaml does not describe' },
  ca: { value: 'FILE', description: 'with --address: its certificate authority, a PEM file or a folder of them' },
  pin: { value: 'SHA256', description: "with --address: the SHA-256 of the server's certificate" },
} as const;

/** For commands that can work in a namespace. Without the option the environment's counts, as with `bao`. */
export const namespaceOption = {
  namespace: { value: 'PATH', description: 'in this namespace with a seal of its own, named from the root (OpenBao)' },
} as const;

/** For commands that log in. */
export const loginOption = {
  login: {
    value: 'METHOD,...',
    description:
      'how to log in, with the settings of auth in quorate.yaml as NAME=VALUE: jwt,role=ci,variable=ID_TOKEN',
  },
} as const;

/** The part of a command's values that chooses servers. */
export function clusterChoice(values: ClusterChoice): ClusterChoice {
  const { cluster, peer, address, ca, pin, namespace, homeNamespace, login } = values;
  return {
    ...(cluster === undefined ? {} : { cluster }),
    ...(peer === undefined ? {} : { peer }),
    ...(address === undefined ? {} : { address }),
    ...(ca === undefined ? {} : { ca }),
    ...(pin === undefined ? {} : { pin }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(homeNamespace === undefined ? {} : { homeNamespace }),
    ...(login === undefined ? {} : { login }),
  };
}
