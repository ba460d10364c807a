import { isQuorateError } from '../../errors.ts';
import type {
  ExportedEntity,
  ExportedGroup,
  ExportedMount,
  ExportedNamespace,
  ExportedRole,
  SeparationExport,
} from '../model.ts';
import type { PlacedRule } from '../policy/acl.ts';
import { CAN, parsePolicy } from '../policy/parse.ts';
import type { TemplateEntity, TemplateRules } from '../policy/template.ts';

/** A policy in its namespace: `team/a/|node-1`. */
export type PolicyKey = string;

export const policyKey = (namespace: string, name: string): PolicyKey => `${namespace}|${name.trim().toLowerCase()}`;
export const namespaceOf = (key: PolicyKey): string => key.slice(0, key.indexOf('|'));
export const nameOf = (key: PolicyKey): string => key.slice(key.indexOf('|') + 1);

export interface KnownPolicy {
  readonly key: PolicyKey;
  readonly allow: TemplateRules;
  /** Without those that had expired when the export was made. */
  readonly rules: readonly PlacedRule[];
}

/** A role with where it is. */
export interface PlacedRole extends ExportedRole {
  readonly namespace: string;
  readonly type: string;
  readonly accessor: string;
}

export interface KnownEntity {
  readonly entity: ExportedEntity;
  readonly namespace: string;
  /** From the entity itself and all groups that it is in, directly or not. */
  readonly policies: readonly PolicyKey[];
  readonly template: TemplateEntity;
}

/** One cluster as its export tells it, looked up from every side. */
export class World {
  readonly export: SeparationExport;
  readonly policies = new Map<PolicyKey, KnownPolicy>();
  /** Policies whose text could not be understood. */
  readonly strange: { readonly key: PolicyKey; readonly why: string }[] = [];
  readonly roles: readonly PlacedRole[];
  readonly groups: readonly { readonly group: ExportedGroup; readonly namespace: string }[];
  /** Policies that somebody has, or can be given by what stands in the export. */
  readonly held = new Set<PolicyKey>();
  readonly #entities = new Map<string, KnownEntity>();
  readonly #byAccessor = new Map<string, KnownEntity[]>();
  readonly #byAlias = new Map<string, KnownEntity[]>();
  readonly #namespacesById = new Map<string, string>();
  /** Ids of the groups in which a group is a member. */
  readonly #parents = new Map<string, string[]>();
  readonly #groupsById = new Map<string, { readonly group: ExportedGroup; readonly namespace: string }>();

  constructor(exported: SeparationExport) {
    this.export = exported;
    const { namespaces } = exported;
    for (const one of namespaces) {
      if (one.id !== '') this.#namespacesById.set(one.id, one.path);
      this.#readPolicies(one, Date.parse(exported.to));
    }
    this.roles = namespaces.flatMap(placedRoles);
    this.groups = namespaces.flatMap((one) => one.groups.map((group) => ({ group, namespace: one.path })));
    for (const placed of this.groups) {
      this.#groupsById.set(placed.group.id, placed);
      for (const member of placed.group.groups) append(this.#parents, member, placed.group.id);
    }
    this.#readEntities(namespaces);
    this.#collectHeld();
  }

  namespace(path: string): ExportedNamespace | undefined {
    return this.export.namespaces.find((one) => one.path === path);
  }

  /** The namespace with that id of the server. */
  namespaceById(id: string): string | undefined {
    return this.#namespacesById.get(id);
  }

  /** By its id, or by that of one that was merged into it. */
  entity(id: string): KnownEntity | undefined {
    return this.#entities.get(id);
  }

  /** Every entity once. */
  entities(): readonly KnownEntity[] {
    return [...new Set(this.#entities.values())];
  }

  /** Those that log in at a mount. */
  entitiesAt(accessor: string): readonly KnownEntity[] {
    return this.#byAccessor.get(accessor) ?? [];
  }

  /** Those that log in at a mount under that name, in whatever case. */
  entitiesNamed(accessor: string, name: string): readonly KnownEntity[] {
    return this.#byAlias.get(`${accessor} ${name.toLowerCase()}`) ?? [];
  }

  /** The policies of a group's members: its own, and those of the groups that it is in. */
  groupPolicies(id: string): readonly PolicyKey[] {
    return this.#upwards([id]).flatMap(({ group, namespace }) => keysOf(namespace, group.policies));
  }

  #readPolicies({ path, policies }: ExportedNamespace, now: number): void {
    for (const { name, text, slashes, wildcards } of policies) {
      const key = policyKey(path, name);
      try {
        const rules = parsePolicy(text, name)
          .filter(({ expires }) => expires === undefined || expires > now)
          .map((rule): PlacedRule => ({ ...rule, policy: name, namespace: path }));
        this.policies.set(key, { key, allow: { slashes, wildcards }, rules });
      } catch (error) {
        if (!isQuorateError(error, 'document-invalid')) throw error;
        this.strange.push({ key, why: error.message });
      }
    }
  }

  #readEntities(namespaces: readonly ExportedNamespace[]): void {
    const memberships = new Map<string, string[]>();
    for (const { group } of this.groups) for (const id of group.entities) append(memberships, id, group.id);
    for (const { path, entities } of namespaces) {
      for (const entity of entities) {
        const groups = this.#upwards(memberships.get(entity.id) ?? []);
        const policies = [
          ...keysOf(path, entity.policies),
          ...groups.flatMap(({ group, namespace }) => keysOf(namespace, group.policies)),
        ];
        const template = {
          ...entity,
          groups: groups.map(({ group, namespace }) => ({ ...group, namespace })),
        };
        const known = { entity, namespace: path, policies: [...new Set(policies)].sort(), template };
        for (const id of [entity.id, ...entity.merged]) this.#entities.set(id, known);
        for (const { mountAccessor, name } of entity.aliases) {
          append(this.#byAccessor, mountAccessor, known);
          append(this.#byAlias, `${mountAccessor} ${name.toLowerCase()}`, known);
        }
      }
    }
  }

  /** These groups, and all that they are in. */
  #upwards(ids: readonly string[]): readonly { readonly group: ExportedGroup; readonly namespace: string }[] {
    const all = new Set(ids);
    for (const id of all) for (const parent of this.#parents.get(id) ?? []) all.add(parent);
    return [...all].flatMap((id) => this.#groupsById.get(id) ?? []);
  }

  #collectHeld(): void {
    const add = (namespace: string, names: readonly string[]): void => {
      for (const key of keysOf(namespace, names)) this.held.add(key);
    };
    for (const { namespace, policies, identityPolicies } of this.export.tokens) {
      add(namespace, policies);
      add(namespace, identityPolicies);
    }
    // Whoever logs in has it, unless the role says otherwise.
    for (const { path } of this.export.namespaces) add(path, ['default']);
    for (const role of this.roles) {
      add(role.namespace, role.policies);
      add(role.namespace, role.token?.allowed ?? []);
    }
    for (const { group, namespace } of this.groups) add(namespace, group.policies);
    for (const { entity, namespace } of this.entities()) add(namespace, entity.policies);
  }
}

/** Whether a rule allows anything at all. */
export function grants({ bits }: PlacedRule): boolean {
  return bits !== 0 && (bits & CAN.deny) === 0;
}

export function keysOf(namespace: string, names: readonly string[]): readonly PolicyKey[] {
  return names.map((name) => policyKey(namespace, name));
}

function placedRoles({ path, auth, roles }: ExportedNamespace): readonly PlacedRole[] {
  const mounts = new Map(auth.map((mount): [string, ExportedMount] => [mount.path, mount]));
  return roles.map((role) => {
    const mount = mounts.get(role.mount);
    return { ...role, namespace: path, type: mount?.type ?? '', accessor: mount?.accessor ?? '' };
  });
}

function append<V>(map: Map<string, V[]>, key: string, value: V): void {
  const there = map.get(key);
  if (there === undefined) map.set(key, [value]);
  else there.push(value);
}
