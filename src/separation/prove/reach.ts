import type { PlacedRule } from '../policy/acl.ts';
import { CAN } from '../policy/parse.ts';
import type { NodeRef, Topology } from '../topology.ts';
import type { Credential, Evaluator, Finding } from './credential.ts';
import { allowsPolicy, entityCredentials, hasLists, tokenRoleCredentials } from './logins.ts';
import { endsIn } from './remount.ts';
import type { Effect, Power } from './targets.ts';
import { ANY_NAME } from './unify.ts';
import { nameOf, namespaceOf, type PolicyKey, policyKey, type World } from './world.ts';

/** One link of the chain that leads to a share. */
export interface Step {
  /** `writes sys/policies/acl/node-1`. */
  readonly text: string;
  /** The rule that allows it; none for what a root token may. */
  readonly rule?: PlacedRule;
}

/** How somebody gets at one node's share. */
export interface Way {
  readonly node: NodeRef;
  readonly power: Power;
  /** The last step reaches the share. One step alone is direct. */
  readonly steps: readonly Step[];
}

const ALL: readonly Power[] = ['read', 'overwrite', 'destroy'];
const WORDS: Readonly<Record<Power, string>> = { read: 'reads', overwrite: 'overwrites', destroy: 'destroys' };

interface Open {
  readonly credential: Credential;
  readonly trail: readonly Step[];
}

/** Everything that can be reached from some credentials on one cluster, by whatever number of steps. */
export class Reach {
  readonly #world: World;
  readonly #evaluator: Evaluator;
  readonly #nodes: readonly (NodeRef & { readonly namespace: string; readonly mount: string })[];
  readonly #ways = new Map<string, Way>();
  readonly #seen = new Set<string>();
  readonly #queue: Open[] = [];
  /** Namespaces in which any policy can be had, and those in which everything can. */
  readonly #policies = new Set<string>();
  readonly #attachable: {
    readonly namespace: string;
    readonly accepts: (name: string) => boolean;
    readonly trail: readonly Step[];
  }[] = [];
  readonly #admin = new Set<string>();
  /** Policies that can be written and that nobody holds. */
  readonly #written = new Map<PolicyKey, readonly Step[]>();

  constructor(world: World, evaluator: Evaluator, { wallets }: Topology) {
    this.#world = world;
    this.#evaluator = evaluator;
    this.#nodes = wallets.flatMap(({ name: wallet, nodes }) =>
      nodes
        .filter(({ cluster }) => cluster === world.export.cluster)
        .map(({ name: node, namespace, mount }) => ({ wallet, node, namespace, mount })),
    );
  }

  /** The ways to every share, the shortest found first. */
  from(credentials: readonly Credential[]): readonly Way[] {
    for (const credential of credentials) this.#push(credential, []);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#visit(next);
      if (this.#complete) break;
    }
    return [...this.#ways.values()];
  }

  /** There is a way to everything: what comes after is no shorter. */
  get #complete(): boolean {
    return this.#ways.size === this.#nodes.length * ALL.length;
  }

  #isNew(credential: Credential): boolean {
    return !this.#seen.has(this.#evaluator.keyOf(credential));
  }

  #push(credential: Credential, trail: readonly Step[]): void {
    if (!this.#evaluator.leads(credential)) return;
    const key = this.#evaluator.keyOf(credential);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#queue.push({ credential, trail });
  }

  #visit({ credential, trail }: Open): void {
    for (const key of [...credential.token, ...credential.identity]) {
      if (nameOf(key) === 'root') this.#becomeAdmin(namespaceOf(key), [...trail, { text: 'is root' }]);
    }
    for (const finding of this.#evaluator.findings(credential)) {
      if (this.#complete) return;
      this.#apply(finding, credential, trail);
    }
  }

  #apply(finding: Finding, credential: Credential, trail: readonly Step[]): void {
    const { effect, path, rule } = finding;
    const step = (text: string): readonly Step[] => [...trail, { text, rule }];
    switch (effect.kind) {
      case 'node':
        this.#reach(effect.node, effect.power, step(`${WORDS[effect.power]} ${path}`));
        break;
      case 'all':
        this.#reachAll(effect.namespace, effect.powers, step(`uses ${path}`));
        break;
      case 'admin':
        this.#becomeAdmin(effect.namespace, step(`writes ${path}`));
        break;
      case 'policies':
        this.#takePolicies(effect.namespace, step(`gives itself policies by ${shown(path)}`));
        break;
      case 'writes':
        this.#write(policyKey(effect.namespace, effect.name), step(`writes ${shown(path)}`));
        break;
      case 'removes':
        this.#without(policyKey(effect.namespace, effect.name), credential, step(`deletes ${path}`));
        break;
      case 'login':
        for (const one of this.#evaluator.login(effect.role)) {
          if (this.#isNew(one)) this.#push(one, step(`logs in as ${effect.role.name} by ${path}`));
        }
        break;
      case 'mount':
        this.#enterMount(effect.accessor, step(`decides who logs in by ${path}`));
        break;
      case 'entities':
      case 'groups':
        this.#takeIdentity(effect, step(`becomes somebody else by ${shown(path)}`));
        break;
      case 'children':
        this.#makeChildren(effect, finding, credential, step(`makes a token by ${path}`));
        break;
      case 'role-token':
        for (const one of tokenRoleCredentials(this.#world, effect.role, credential)) {
          this.#push(one, step(`makes a token by ${path}`));
        }
        if (finding.sudo && !hasLists(effect.role)) {
          this.#takePolicies(effect.role.namespace, step(`makes tokens with any policy by ${path}`));
        }
        this.#attach(
          effect.role.namespace,
          (name) => allowsPolicy(effect.role, name),
          step(`makes a token by ${path}`),
        );
        break;
      case 'token-role':
        if (this.#may(credential, `${effect.namespace}auth/token/create/${effect.name}`, CAN.create | CAN.update)) {
          this.#takePolicies(effect.namespace, step(`writes ${shown(path)}, and makes tokens by it`));
        }
        break;
      case 'new-login':
        this.#openLogin(effect, credential, step(`makes a way to log in by ${shown(path)}`));
        break;
      case 'remount':
        this.#remount(effect.namespace, credential, step(`moves mounts by ${path}`));
        break;
    }
  }

  #reach({ wallet, node }: NodeRef, power: Power, steps: readonly Step[]): void {
    const key = `${wallet} ${node} ${power}`;
    const known = this.#ways.get(key);
    if (known === undefined || steps.length < known.steps.length) {
      this.#ways.set(key, { node: { wallet, node }, power, steps });
    }
  }

  #reachAll(namespace: string, powers: readonly Power[], steps: readonly Step[]): void {
    for (const node of this.#nodes) {
      if (!node.namespace.startsWith(namespace)) continue;
      for (const power of powers) this.#reach(node, power, steps);
    }
  }

  #becomeAdmin(namespace: string, trail: readonly Step[]): void {
    if (this.#admin.has(namespace)) return;
    this.#admin.add(namespace);
    this.#reachAll(namespace, ALL, trail);
  }

  #takePolicies(namespace: string, trail: readonly Step[]): void {
    if (this.#policies.has(namespace)) return;
    this.#policies.add(namespace);
    for (const key of this.#evaluator.mattering(namespace)) {
      const credential = this.#evaluator.alone(key);
      if (this.#isNew(credential)) this.#push(credential, [...trail, { text: `takes policy ${nameOf(key)}` }]);
      if (!this.#evaluator.dependsOnHolder(key)) continue;
      for (const entity of this.#world.entities()) this.#push({ ...credential, entity }, trail);
    }
    this.#attach(namespace, () => true, trail);
  }

  /** Policies by these names can be had, whether they are there yet or not. */
  #attach(namespace: string, accepts: (name: string) => boolean, trail: readonly Step[]): void {
    this.#attachable.push({ namespace, accepts, trail });
    for (const [key, steps] of this.#written) {
      if (namespaceOf(key) === namespace && accepts(nameOf(key))) this.#becomeAdmin(namespace, [...steps, ...trail]);
    }
  }

  /** A text of its own choice in a policy that somebody holds, or that it can take. */
  #write(key: PolicyKey, trail: readonly Step[]): void {
    const namespace = namespaceOf(key);
    const taken = this.#attachable.find((one) => one.namespace === namespace && one.accepts(nameOf(key)));
    if (this.#world.held.has(key)) this.#becomeAdmin(namespace, trail);
    else if (taken !== undefined) this.#becomeAdmin(namespace, [...trail, ...taken.trail]);
    else this.#written.set(key, trail);
  }

  #without(key: PolicyKey, credential: Credential, trail: readonly Step[]): void {
    const rest = (keys: readonly PolicyKey[]): readonly PolicyKey[] => keys.filter((one) => one !== key);
    this.#push({ ...credential, token: rest(credential.token), identity: rest(credential.identity) }, trail);
  }

  #enterMount(accessor: string, trail: readonly Step[]): void {
    for (const role of this.#world.roles) {
      if (role.accessor !== accessor) continue;
      for (const one of this.#evaluator.login(role)) this.#push(one, trail);
    }
    for (const entity of this.#world.entitiesAt(accessor)) {
      for (const one of entityCredentials(entity)) this.#push(one, trail);
    }
  }

  #takeIdentity(effect: Effect & { readonly kind: 'entities' | 'groups' }, trail: readonly Step[]): void {
    if (effect.kind === 'entities') {
      for (const entity of this.#world.entities()) {
        if (entity.namespace !== effect.namespace) continue;
        for (const one of entityCredentials(entity)) this.#push(one, trail);
      }
      return;
    }
    for (const { group, namespace } of this.#world.groups) {
      if (namespace !== effect.namespace || (effect.group !== undefined && effect.group !== group.id)) continue;
      this.#push({ namespace, token: [], identity: this.#world.groupPolicies(group.id) }, trail);
    }
  }

  /** Each of its policies alone: what another of them denies is gone. With sudo, any policy. */
  #makeChildren(
    { namespace, orphan }: { readonly namespace: string; readonly orphan: boolean },
    { sudo }: Finding,
    credential: Credential,
    trail: readonly Step[],
  ): void {
    if (sudo) this.#takePolicies(namespace, trail);
    if (namespace !== credential.namespace) return;
    // An orphan belongs to nobody, so that what its maker is denied as somebody does not hold for it.
    const { entity: _, ...nobody } = { ...credential, identity: [] };
    const base = orphan ? nobody : credential;
    for (const key of credential.token) this.#push({ ...base, token: [key] }, trail);
  }

  #openLogin(
    { namespace, mount }: { readonly namespace: string; readonly mount: string },
    credential: Credential,
    trail: readonly Step[],
  ): void {
    const below = ['role', 'users', 'certs', 'groups'].map((kind) => `${namespace}auth/${mount}/${kind}/${ANY_NAME}`);
    if (below.some((path) => this.#may(credential, path, CAN.create | CAN.update)))
      this.#takePolicies(namespace, trail);
  }

  /** A mount can go away, and come to where a rule reads it. */
  #remount(namespace: string, credential: Credential, trail: readonly Step[]): void {
    this.#reachAll(namespace, ['destroy'], trail);
    const rules = this.#evaluator.rulesOf(credential);
    for (const node of this.#nodes) {
      if (!node.namespace.startsWith(namespace)) continue;
      const entry = ['data', node.wallet, 'envelopes'];
      const at = (bits: number): PlacedRule | undefined =>
        rules.find((rule) => (rule.bits & bits) !== 0 && endsIn(rule, entry));
      for (const [power, bits] of [
        ['read', CAN.read],
        ['overwrite', CAN.update | CAN.patch],
      ] as const) {
        const rule = at(bits);
        if (rule === undefined) continue;
        this.#reach(node, power, [...trail, { text: `${WORDS[power]} ${rule.namespace}${rule.path}`, rule }]);
      }
    }
  }

  #may(credential: Credential, path: string, bits: number): boolean {
    const permissions = this.#evaluator.acl(credential).at(path);
    return permissions !== undefined && (permissions.bits & CAN.deny) === 0 && (permissions.bits & bits) !== 0;
  }
}

/** A path with a name that nobody has, for people. */
function shown(path: string): string {
  return path.replaceAll(ANY_NAME, '…');
}
