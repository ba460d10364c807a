import type { PlacedRule } from './acl.ts';

/** Who a policy's templates are filled in for. */
export interface TemplateEntity {
  readonly id: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly aliases: readonly {
    readonly id: string;
    readonly name: string;
    readonly mountAccessor: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly customMetadata: Readonly<Record<string, string>>;
  }[];
  readonly groups: readonly {
    readonly id: string;
    readonly name: string;
    /** `team/a/`, empty for the root. */
    readonly namespace: string;
    readonly metadata: Readonly<Record<string, string>>;
  }[];
}

/** What the server lets values of an entity bring into a path. */
export interface TemplateRules {
  readonly slashes: boolean;
  readonly wildcards: boolean;
}

/** Whether a path has something to fill in. */
export function isTemplated(path: string): boolean {
  return path.includes('{{');
}

/**
 * The rule for one entity, as OpenBao 2.7 fills it in (sdk/helper/identitytpl, mode ACL): undefined where a value is
 * missing or not let in, for then the rule is not there.
 */
export function fillIn(
  rule: PlacedRule,
  entity: TemplateEntity | undefined,
  allow: TemplateRules,
): PlacedRule | undefined {
  if (!isTemplated(rule.path)) return rule;
  // What the clock brings in cannot be known beforehand.
  if (/\{\{\s*time\./.test(rule.path)) return fillInAny(rule);
  const [start = '', ...pieces] = rule.path.split('{{');
  let path = start;
  for (const piece of pieces) {
    const [inner = '', rest, ...more] = piece.split('}}');
    if (rest === undefined || more.length > 0) return undefined;
    const value = valueOf(inner.trim(), entity, rule.namespace);
    if (value === undefined || value === '') return undefined;
    if ((!allow.slashes && value.includes('/')) || (!allow.wildcards && /[*+]/.test(value))) return undefined;
    path += value + rest;
  }
  return { ...rule, path: path.startsWith('/') ? path.slice(1) : path };
}

/** The rule for somebody who is not known: what is filled in can be any text. */
export function fillInAny(rule: PlacedRule): PlacedRule {
  if (!isTemplated(rule.path)) return rule;
  return { ...rule, path: rule.path.slice(0, rule.path.indexOf('{{')) + '*' };
}

function valueOf(selector: string, entity: TemplateEntity | undefined, namespace: string): string | undefined {
  if (entity === undefined) return undefined;
  const own = after(selector, 'identity.entity.');
  if (own !== undefined) return ofEntity(own, entity);
  const group = after(selector, 'identity.groups.');
  return group === undefined ? undefined : ofGroup(group, entity, namespace);
}

function ofEntity(selector: string, entity: TemplateEntity): string | undefined {
  if (selector === 'id') return entity.id;
  if (selector === 'name') return entity.name;
  const key = after(selector, 'metadata.');
  if (key !== undefined) return own(entity.metadata, key);
  const [accessor = '', what = ''] = cut(after(selector, 'aliases.') ?? '');
  const alias = entity.aliases.find(({ mountAccessor }) => mountAccessor === accessor);
  if (alias === undefined) return undefined;
  if (what === 'id') return alias.id;
  if (what === 'name') return alias.name;
  const custom = after(what, 'custom_metadata.');
  if (custom !== undefined) return own(alias.customMetadata, custom);
  const metadata = after(what, 'metadata.');
  return metadata === undefined ? undefined : own(alias.metadata, metadata);
}

function ofGroup(selector: string, entity: TemplateEntity, namespace: string): string | undefined {
  const [by = '', rest = ''] = cut(selector);
  const [which = '', what = ''] = cut(rest);
  const group = entity.groups.find((one) =>
    by === 'ids' ? one.id === which : by === 'names' && one.name === which && one.namespace === namespace,
  );
  if (group === undefined) return undefined;
  if (what === 'id') return group.id;
  if (what === 'name') return group.name;
  const key = after(what, 'metadata.');
  return key === undefined ? undefined : own(group.metadata, key);
}

function own(record: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function after(text: string, start: string): string | undefined {
  return text.startsWith(start) ? text.slice(start.length) : undefined;
}

/** At the first dot. */
function cut(text: string): readonly [string, string] | readonly [] {
  const at = text.indexOf('.');
  return at < 0 ? [] : [text.slice(0, at), text.slice(at + 1)];
}
