import type { StatefulSet } from 'kubernetes-types/apps/v1.d.ts';
import type { ConfigMap, EnvVar, Namespace, ServiceAccount } from 'kubernetes-types/core/v1.d.ts';
import type { NetworkPolicy, NetworkPolicyPeer } from 'kubernetes-types/networking/v1.d.ts';
import { type NodeDeployment, nodeEnvironment } from './node.ts';

export interface KubernetesOptions {
  /** An image that holds quorate and the node's program. */
  readonly image: string;
  /** What the program's protocol speaks on, between the nodes. */
  readonly port: number;
  /** Where the server of the node is: networks, and the port. */
  readonly server: { readonly networks: readonly string[]; readonly port: number };
  /** The role of the server's Kubernetes auth, and the audience that it wants. */
  readonly login: { readonly mount: string; readonly role: string; readonly audience: string };
  /** The server's certificate authority, in PEM. */
  readonly ca: string;
}

export type Manifest = Namespace | ServiceAccount | ConfigMap | StatefulSet | NetworkPolicy;

const NAME = 'quorate-node';
const USER = 10_001;
const [HOME, TOKENS, CA] = ['/var/lib/quorate', '/run/quorate-login', '/etc/quorate'];

/** The namespace that a node has to itself. */
export const namespaceOf = ({ wallet, node }: NodeDeployment): string => `${wallet}-${node}`;

/**
 * One node in a namespace of its own: it reaches its server, names, and the other nodes; nobody but those reaches it.
 * It logs in by its service account, with a token that is made for the server alone; there is no secret to store.
 */
export function nodeManifests(
  deployment: NodeDeployment,
  others: readonly NodeDeployment[],
  options: KubernetesOptions,
): readonly Manifest[] {
  const namespace = namespaceOf(deployment);
  const labels = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/instance': namespace };
  const metadata = { name: NAME, namespace, labels };
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { ...labels, 'pod-security.kubernetes.io/enforce': 'restricted' } },
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.pem': options.ca } },
    statefulSet(deployment, options, metadata),
    ...networkPolicies(others, options, metadata),
  ];
}

interface Named {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

function statefulSet(deployment: NodeDeployment, options: KubernetesOptions, metadata: Named): StatefulSet {
  const { wallet, wait, program } = deployment;
  const { image, port, login } = options;
  const matchLabels = { ...metadata.labels };
  const environment = {
    ...nodeEnvironment(deployment),
    QUORATE_NODE_HOME: HOME,
    QUORATE_LOGIN: `kubernetes,mount=${login.mount},role=${login.role},file=${TOKENS}/token`,
    BAO_CACERT: `${CA}/ca.pem`,
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata,
    spec: {
      // A node is one: two with the same share would sign the same things twice.
      replicas: 1,
      serviceName: NAME,
      selector: { matchLabels },
      template: {
        metadata: { labels: matchLabels },
        spec: {
          serviceAccountName: NAME,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: USER,
            runAsGroup: USER,
            fsGroup: USER,
            fsGroupChangePolicy: 'OnRootMismatch',
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'node',
              image,
              command: ['quorate', 'node', 'boot', wallet, '--wait', wait.toString(), '--exec', '--', ...program],
              env: Object.entries(environment).map(([name, value]): EnvVar => ({ name, value })),
              ports: [{ name: 'mpc', containerPort: port }],
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [
                { name: 'home', mountPath: HOME },
                { name: 'memory', mountPath: '/dev/shm' },
                { name: 'login', mountPath: TOKENS, readOnly: true },
                { name: 'ca', mountPath: CA, readOnly: true },
              ],
            },
          ],
          volumes: [
            { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
            {
              name: 'login',
              projected: {
                sources: [{ serviceAccountToken: { path: 'token', audience: login.audience, expirationSeconds: 600 } }],
              },
            },
            { name: 'ca', configMap: { name: NAME } },
          ],
        },
      },
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: 'home' },
          spec: { accessModes: ['ReadWriteOncePod'], resources: { requests: { storage: '64Mi' } } },
        },
      ],
    },
  };
}

function networkPolicies(
  others: readonly NodeDeployment[],
  { port, server }: KubernetesOptions,
  metadata: Named,
): readonly NetworkPolicy[] {
  const peers = others.map((other): NetworkPolicyPeer => {
    const labels = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/instance': namespaceOf(other) };
    return {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespaceOf(other) } },
      podSelector: { matchLabels: labels },
    };
  });
  const tcp = (number: number): { protocol: string; port: number } => ({ protocol: 'TCP', port: number });
  const kind = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' } as const;
  return [
    {
      ...kind,
      metadata: { ...metadata, name: `${NAME}-nothing` },
      spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
    },
    {
      ...kind,
      metadata,
      spec: {
        podSelector: { matchLabels: { ...metadata.labels } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: peers, ports: [tcp(port)] }],
        egress: [
          { to: server.networks.map((cidr) => ({ ipBlock: { cidr } })), ports: [tcp(server.port)] },
          { to: peers, ports: [tcp(port)] },
          {
            to: [
              {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
                podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
              },
            ],
            ports: [{ protocol: 'UDP', port: 53 }, tcp(53)],
          },
        ],
      },
    },
  ];
}
