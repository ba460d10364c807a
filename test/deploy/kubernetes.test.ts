import { describe, expect, it } from 'vitest';
import { parseDocument, renderYaml } from '../../src/document.ts';
import * as v from 'valibot';
import { type KubernetesOptions, nodeManifests } from '../../src/deploy/kubernetes.ts';
import type { NodeDeployment } from '../../src/deploy/node.ts';

/* The types of kubernetes-types check the manifests against the API's schema when they are compiled. */

const made = (node: string): NodeDeployment => ({
  ...{ wallet: 'treasury', node, threshold: 2, address: 'https://10.0.0.5:8200', mount: 'mpc', wait: 300 },
  signingKeys: new Map([['north', 'ed25519:AAAA']]),
  program: ['mpc-node'],
});
const options: KubernetesOptions = {
  image: 'registry.example/mpc@sha256:00',
  port: 7000,
  server: { networks: ['10.0.0.5/32'], port: 8200 },
  login: { mount: 'kubernetes', role: 'treasury-north', audience: 'vault' },
  ca: 'PEM',
};
const [north, south] = [made('north'), made('south')];
const manifests = nodeManifests(north, [south], options);
const only = (kind: string) => manifests.filter((one) => one.kind === kind);
const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);

describe('the manifests of a node', () => {
  it('are all in its own namespace, which admits only restricted pods', () => {
    const [namespace] = only('Namespace');
    expect(at(namespace, 'metadata', 'labels', 'pod-security.kubernetes.io/enforce')).toBe('restricted');
    const others = manifests.filter((one) => one.kind !== 'Namespace');
    expect(new Set(others.map((one) => one.metadata?.namespace))).toEqual(new Set(['treasury-north']));
    const elsewhere = nodeManifests(south, [north], options);
    expect(elsewhere[0]?.metadata?.name).toBe('treasury-south');
  });

  it('let nothing in and out but the server, names and the other nodes', () => {
    const [all, own] = only('NetworkPolicy');
    expect(at(all, 'spec')).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    expect(at(own, 'spec', 'egress', 0)).toEqual({
      to: [{ ipBlock: { cidr: '10.0.0.5/32' } }],
      ports: [{ protocol: 'TCP', port: 8200 }],
    });
    const peer = { matchLabels: { 'kubernetes.io/metadata.name': 'treasury-south' } };
    expect(at(own, 'spec', 'ingress')).toHaveLength(1);
    expect(at(own, 'spec', 'ingress', 0, 'from', 0, 'namespaceSelector')).toEqual(peer);
    expect(at(own, 'spec', 'ingress', 0, 'from', 0, 'podSelector')).toBeDefined();
  });

  it('run one pod without rights, whose shares are in memory, and which logs in without a stored secret', () => {
    const [set] = only('StatefulSet');
    const pod = at(set, 'spec', 'template', 'spec');
    expect(at(set, 'spec', 'replicas')).toBe(1);
    expect(at(set, 'spec', 'selector', 'matchLabels')).toEqual(at(set, 'spec', 'template', 'metadata', 'labels'));
    expect(at(pod, 'containers', 0, 'securityContext')).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(at(pod, 'automountServiceAccountToken')).toBe(false);
    expect(at(pod, 'volumes', 0, 'emptyDir', 'medium')).toBe('Memory');
    expect(at(pod, 'volumes', 1, 'projected', 'sources', 0, 'serviceAccountToken', 'audience')).toBe('vault');
    const mounted = at(pod, 'containers', 0, 'volumeMounts') as { name: string }[];
    const there = [...(at(pod, 'volumes') as { name: string }[]).map(({ name }) => name), 'home'];
    expect(mounted.map(({ name }) => name).filter((name) => !there.includes(name))).toEqual([]);
    expect(only('Secret')).toEqual([]);
  });

  it('are YAML that reads back as it was', () => {
    for (const one of manifests) expect(parseDocument(renderYaml(one), v.unknown(), { file: 'x' })).toEqual(one);
  });
});
