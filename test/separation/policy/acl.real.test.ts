import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Acl, capabilitiesOf } from '../../../src/separation/policy/acl.ts';
import { parsePolicy } from '../../../src/separation/policy/parse.ts';
import { fillIn } from '../../../src/separation/policy/template.ts';
import { Secret } from '../../../src/secret.ts';
import { connectPeer } from '../../../src/vault/connect.ts';
import type { Method, Peer, Session } from '../../../src/vault/peer.ts';
import { sharedCluster } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { policy, requestPath } from './random.ts';

const POLICIES = 60;
const CASES = 400;
const PATHS = 30;

const live = sharedCluster({ peers: 1 });
let peer: Peer;
let root: Session;

const ask = async (method: Method, path: string, body?: unknown, namespace?: string) => {
  const session = namespace === undefined ? root : root.inNamespace(namespace);
  const reply = await session.request(method, path, body);
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.errors.join('; ')}`);
  return reply.body;
};

/** What the server says that a token with these policies may do at the paths, each as sorted words. */
async function serverSays(
  token: Readonly<Record<string, unknown>>,
  paths: readonly string[],
  namespace?: string,
  from = 'auth/token/create',
): Promise<Record<string, unknown>> {
  const made = await ask('POST', from, { ...token, no_default_policy: true }, namespace);
  const asked = { token: at(made, 'auth', 'client_token'), paths };
  const said = at(await ask('POST', 'sys/capabilities', asked, namespace), 'data');
  return Object.fromEntries(paths.map((path) => [path, [...(at(said, path) as string[])].sort()]));
}

function weSay(texts: readonly string[], paths: readonly string[], namespace = ''): Record<string, unknown> {
  const rules = texts.flatMap((text, index) => {
    const name = `p${index.toString()}`;
    return parsePolicy(text, name).map((rule) => ({ ...rule, policy: name, namespace }));
  });
  const acl = new Acl(rules);
  return Object.fromEntries(paths.map((path) => [path, capabilitiesOf(acl.at(namespace + path, true))]));
}

afterAll(() => {
  peer.close();
});

describe('the precedence of policies', () => {
  beforeAll(async () => {
    const { cluster, rootToken } = live();
    peer = connectPeer({ name: 'peer', address: cluster.peers[0]?.address ?? '', ca: cluster.caFile });
    root = peer.session(Secret.fromText(rootToken));
    await ask('POST', 'sys/namespaces/team');
  });

  it('is the one of the server, for random policies and paths', async () => {
    const texts = fc.sample(policy, { numRuns: POLICIES, seed: 20_270_112 });
    const namespaces = [undefined, 'team'];
    const write = (text: string, index: number) =>
      namespaces.map((one) => ask('POST', `sys/policies/acl/case-${index.toString()}`, { policy: text }, one));
    await Promise.all(texts.flatMap(write));
    const samples = fc.sample(
      fc.tuple(
        fc.uniqueArray(fc.nat(POLICIES - 1), { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(requestPath, { minLength: PATHS, maxLength: PATHS }),
        fc.constantFrom(...namespaces),
      ),
      { numRuns: CASES, seed: 20_270_112 },
    );
    let allowed = 0;
    for (const [chosen, paths, namespace] of samples) {
      // A batch token is not written to the server's disk.
      const token = { policies: chosen.map((index) => `case-${index.toString()}`), type: 'batch' };
      const said = await serverSays(token, paths, namespace);
      const some = chosen.map((index) => texts[index] ?? '');
      expect(weSay(some, paths, namespace === undefined ? '' : `${namespace}/`), some.join('\n---\n')).toEqual(said);
      allowed += Object.values(said).filter((words) => !(words as string[]).includes('deny')).length;
    }
    // Otherwise nothing was compared.
    expect(allowed).toBeGreaterThan(CASES);
  });

  it('is the one of the server, for rules that look alike', async () => {
    const texts = [
      'path "mpc/*" { policy = "deny" }\npath "mpc/data/share" { capabilities = ["read"] }',
      '{"path": {"mpc/+/other": {"capabilities": ["update"]}, "+/data/other": {"policy": "write"}}}',
      'path "/lead/*" { capabilities = ["list"] }\npath "lead" { capabilities = [] }',
    ];
    const paths = ['mpc/data/share', 'mpc/data/other', 'mpc/x', 'lead/', 'lead', 'lead/a', 'x/data/other'];
    for (const [index, text] of texts.entries()) {
      await ask('POST', `sys/policies/acl/alike-${index.toString()}`, { policy: text });
    }
    const said = await serverSays({ policies: texts.map((_, index) => `alike-${index.toString()}`) }, paths);
    expect(weSay(texts, paths)).toEqual(said);
    expect(said['mpc/data/share']).toEqual(['read']);
    expect(said['mpc/data/other']).toEqual(['update']);
  });

  it('fills in templates as the server does', async () => {
    const accessor = String(at(await ask('GET', 'sys/auth'), 'token/', 'accessor'));
    const metadata = { node: 'north' };
    const id = String(at(await ask('POST', 'identity/entity', { name: 'alice', metadata }), 'data', 'id'));
    await ask('POST', 'identity/entity-alias', { name: 'alice', canonical_id: id, mount_accessor: accessor });
    const group = { name: 'nodes', member_entity_ids: [id], metadata: { site: 'eu' } };
    const groupId = String(at(await ask('POST', 'identity/group', group), 'data', 'id'));
    const selectors = [
      'identity.entity.id',
      'identity.entity.name',
      'identity.entity.metadata.node',
      'identity.entity.metadata.none',
      `identity.entity.aliases.${accessor}.name`,
      'identity.entity.aliases.none.name',
      `identity.groups.ids.${groupId}.name`,
      'identity.groups.names.nodes.metadata.site',
      'identity.groups.names.none.id',
    ];
    const text = selectors
      .map((one, index) => `path "t${index.toString()}/{{${one}}}/x" { capabilities = ["read"] }`)
      .join('\n');
    await ask('POST', 'sys/policies/acl/templated', { policy: text });
    await ask('POST', 'auth/token/roles/as-alice', {
      allowed_entity_aliases: ['alice'],
      allowed_policies: ['templated'],
    });
    const values = [id, 'alice', 'north', 'nodes', 'eu', 'none', ''];
    const paths = selectors.flatMap((_, index) => values.map((value) => `t${index.toString()}/${value}/x`));
    const said = await serverSays({ entity_alias: 'alice' }, paths, undefined, 'auth/token/create/as-alice');
    const entity = {
      id,
      name: 'alice',
      metadata,
      aliases: [{ id: 'x', name: 'alice', mountAccessor: accessor, metadata: {}, customMetadata: {} }],
      groups: [{ id: groupId, name: 'nodes', namespace: '', metadata: { site: 'eu' } }],
    };
    const rules = parsePolicy(text, 'templated').flatMap((rule) => {
      const filled = fillIn({ ...rule, policy: 'templated', namespace: '' }, entity, {
        slashes: false,
        wildcards: false,
      });
      return filled === undefined ? [] : [filled];
    });
    const acl = new Acl(rules);
    expect(Object.fromEntries(paths.map((path) => [path, capabilitiesOf(acl.at(path, true))]))).toEqual(said);
    expect(Object.values(said).filter((words) => String(words) === 'read')).toHaveLength(6);
  });
});
