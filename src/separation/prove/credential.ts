import { Acl, passes, type PlacedRule } from '../policy/acl.ts';
import { CAN } from '../policy/parse.ts';
import { fillIn, fillInAny, isTemplated } from '../policy/template.ts';
import { roleCredentials } from './logins.ts';
import type { Effect, Target } from './targets.ts';
import { covers, nameFor, pathWith, rulePath } from './unify.ts';
import { grants, type KnownEntity, nameOf, namespaceOf, type PlacedRole, type PolicyKey, type World } from './world.ts';

/** What somebody holds at one moment: a token's own policies, and those of who it belongs to. */
export interface Credential {
  /** Where the token lives: a token without sudo makes others only there. */
  readonly namespace: string;
  readonly token: readonly PolicyKey[];
  readonly identity: readonly PolicyKey[];
  readonly entity?: KnownEntity;
}

/** One permission that leads somewhere. */
export interface Finding {
  readonly effect: Effect;
  /** The request's path, from the root. */
  readonly path: string;
  readonly rule: PlacedRule;
  readonly sudo: boolean;
}

/** What a question was, for the second engine. */
export interface Probe {
  readonly credential: Credential;
  readonly path: string;
}

/** Which rules of a policy speak of which targets. */
interface Interest {
  readonly rule: number;
  readonly target: Target;
}

/** The rules of what somebody holds, by policy, filled in for them; undefined where one is not there for them. */
export function filledRules(
  world: World,
  { token, identity, entity }: Credential,
): readonly { readonly key: PolicyKey; readonly rules: readonly (PlacedRule | undefined)[] }[] {
  return [...new Set([...token, ...identity])].flatMap((key) => {
    const policy = world.policies.get(key);
    if (policy === undefined) return [];
    return [{ key, rules: policy.rules.map((rule) => fillIn(rule, entity?.template, policy.allow)) }];
  });
}

/** Says what credentials on one cluster lead to; every set of policies is looked at once. */
export class Evaluator {
  readonly #world: World;
  readonly #interests = new Map<PolicyKey, readonly Interest[]>();
  readonly #templated = new Set<PolicyKey>();
  readonly #known = new Map<string, readonly Finding[]>();
  readonly #keys = new WeakMap<Credential, string>();
  readonly #leads = new WeakMap<Credential, boolean>();
  readonly #acls = new Map<string, Acl>();
  readonly #alone = new Map<PolicyKey, Credential>();
  readonly #mattering = new Map<string, readonly PolicyKey[]>();
  readonly #logins = new Map<PlacedRole, readonly Credential[]>();
  readonly #onProbe: ((probe: Probe) => void) | undefined;

  constructor(world: World, targets: readonly Target[], onProbe?: (probe: Probe) => void) {
    this.#world = world;
    this.#onProbe = onProbe;
    const byStart = groupByStart(targets);
    for (const { key, rules } of world.policies.values()) {
      const interests = rules.flatMap((rule, index) => interestsOf(rule, index, targets, byStart));
      if (interests.length === 0) continue;
      this.#interests.set(key, interests);
      if (rules.some(({ path }) => isTemplated(path))) this.#templated.add(key);
    }
  }

  /** Whether a policy can matter at all. */
  matters(key: PolicyKey): boolean {
    return this.#interests.has(key);
  }

  /** A token with one policy, and nobody's. */
  alone(key: PolicyKey): Credential {
    const known = this.#alone.get(key) ?? { namespace: namespaceOf(key), token: [key], identity: [] };
    this.#alone.set(key, known);
    return known;
  }

  /** Policies of a namespace that can matter. */
  mattering(namespace: string): readonly PolicyKey[] {
    const known =
      this.#mattering.get(namespace) ?? [...this.#interests.keys()].filter((key) => namespaceOf(key) === namespace);
    this.#mattering.set(namespace, known);
    return known;
  }

  /** Whether a credential leads anywhere at all. */
  leads(credential: Credential): boolean {
    const known = this.#leads.get(credential);
    if (known !== undefined) return known;
    const leads = [credential.token, credential.identity].some((keys) =>
      keys.some((key) => this.#interests.has(key) || nameOf(key) === 'root'),
    );
    this.#leads.set(credential, leads);
    return leads;
  }

  /** Whether what a policy allows depends on who holds it. */
  dependsOnHolder(key: PolicyKey): boolean {
    return this.#templated.has(key);
  }

  /** What names a credential: the same for those that allow the same. */
  keyOf(credential: Credential): string {
    const known = this.#keys.get(credential) ?? this.#makeKey(credential);
    this.#keys.set(credential, known);
    return known;
  }

  #makeKey({ namespace, token, identity, entity }: Credential): string {
    const all = [...token, ...identity];
    const who = entity !== undefined && all.some((key) => this.#templated.has(key)) ? entity.entity.id : '';
    return [namespace, [...token].sort().join(','), [...identity].sort().join(','), who].join(' ');
  }

  findings(credential: Credential): readonly Finding[] {
    if (!this.leads(credential)) return [];
    const key = this.keyOf(credential);
    const known = this.#known.get(key) ?? this.#evaluate(credential);
    this.#known.set(key, known);
    return known;
  }

  /** What a login by a role gives that leads anywhere, looked up once. */
  login(role: PlacedRole): readonly Credential[] {
    const known = this.#logins.get(role) ?? roleCredentials(this.#world, this, role).filter((one) => this.leads(one));
    this.#logins.set(role, known);
    return known;
  }

  /** What holds for a credential at any path. */
  acl(credential: Credential): Acl {
    const key = this.keyOf(credential);
    const known = this.#acls.get(key) ?? new Acl(this.rulesOf(credential));
    this.#acls.set(key, known);
    return known;
  }

  /** The rules of a credential, filled in for its holder. */
  rulesOf(credential: Credential): readonly PlacedRule[] {
    return filledRules(this.#world, credential).flatMap(({ rules }) => rules.filter((rule) => rule !== undefined));
  }

  #evaluate(credential: Credential): readonly Finding[] {
    const filled = filledRules(this.#world, credential);
    const acl = new Acl(filled.flatMap(({ rules }) => rules.filter((rule) => rule !== undefined)));
    const found = new Map<string, Finding>();
    for (const { key, rules } of filled) {
      for (const { rule: index, target } of this.#interests.get(key) ?? []) {
        const rule = rules[index];
        if (rule === undefined) continue;
        for (const name of candidates(rule, target)) this.#try(credential, acl, target, name, found);
      }
    }
    // What reaches a share at once comes first.
    return [...found.values()].sort((a, b) => Number(b.effect.kind === 'node') - Number(a.effect.kind === 'node'));
  }

  #try(credential: Credential, acl: Acl, target: Target, name: string, found: Map<string, Finding>): void {
    const effect = target.effect(name);
    // A login that leads nowhere needs no look.
    if (effect === undefined || (effect.kind === 'login' && this.login(effect.role).length === 0)) return;
    const path = pathWith(target.path, name);
    const permissions = acl.at(path);
    this.#onProbe?.({ credential, path });
    if (permissions === undefined || (permissions.bits & CAN.deny) !== 0) return;
    if ((permissions.bits & target.bits) === 0) return;
    const sudo = (permissions.bits & CAN.sudo) !== 0;
    if (target.sudo === true && !sudo) return;
    if (target.parameters !== undefined && !passes(permissions, target.parameters)) return;
    const rule = permissions.rules.find(({ bits }) => (bits & target.bits) !== 0);
    if (rule === undefined) return;
    const key = `${effectKey(effect)} ${path}`;
    if (!found.has(key)) found.set(key, { effect, path, rule, sudo });
  }
}

/** The names with which a rule speaks of a target: the most general one, and each that is there. */
function candidates(rule: PlacedRule, { path, names }: Target): readonly string[] {
  const own = rulePath(rule.namespace + rule.path);
  const general = nameFor(own, path);
  if (general === undefined) return [];
  const there = (names ?? []).filter((name) => name !== general && covers(own, pathWith(path, name)));
  return [general, ...there];
}

function effectKey(effect: Effect): string {
  switch (effect.kind) {
    case 'node':
      return `node ${effect.node.wallet} ${effect.node.node} ${effect.power}`;
    case 'all':
      return `all ${effect.namespace} ${effect.powers.join()}`;
    case 'login':
    case 'role-token':
      return `${effect.kind} ${effect.role.namespace}${effect.role.mount}${effect.role.kind}/${effect.role.name}`;
    case 'mount':
      return `mount ${effect.accessor}`;
    case 'groups':
      return `groups ${effect.namespace} ${effect.group ?? ''}`;
    case 'children':
      return `children ${effect.namespace} ${String(effect.orphan)}`;
    case 'writes':
    case 'removes':
    case 'token-role':
      return `${effect.kind} ${effect.namespace} ${effect.name}`;
    case 'new-login':
      return `new-login ${effect.namespace} ${effect.mount}`;
    case 'admin':
    case 'policies':
    case 'entities':
    case 'remount':
      return `${effect.kind} ${effect.namespace}`;
  }
}

/** Targets by the first segment of their path, so that most rules are compared with few. */
function groupByStart(targets: readonly Target[]): ReadonlyMap<string, readonly Target[]> {
  const groups = new Map<string, Target[]>();
  for (const target of targets) {
    const start = target.path.segments[0] ?? '';
    const there = groups.get(start);
    if (there === undefined) groups.set(start, [target]);
    else there.push(target);
  }
  return groups;
}

function interestsOf(
  rule: PlacedRule,
  index: number,
  all: readonly Target[],
  byStart: ReadonlyMap<string, readonly Target[]>,
): readonly Interest[] {
  if (!grants(rule)) return [];
  const own = rulePath(rule.namespace + fillInAny(rule).path);
  const [start = ''] = own.parts;
  const open = start === '+' || (own.isPrefix && own.parts.length === 1);
  const some = open ? all : (byStart.get(start) ?? []);
  return some.flatMap((target) =>
    (target.bits & rule.bits) !== 0 && nameFor(own, target.path) !== undefined ? [{ rule: index, target }] : [],
  );
}
