import type { ExportedEntity, ExportedGroup, ExportedToken } from '../model.ts';
import type { Reader } from './reader.ts';
import { answersOf, countOf, flagOf, isAnswer, listsOf, pairsOf, textOf, textsOf } from './values.ts';

/** All entities of a namespace, with their aliases. */
export function readEntities(reader: Reader, namespace: string): Promise<readonly ExportedEntity[]> {
  return reader.readAll(namespace, 'identity/entity/id', (answer) => ({
    id: textOf(answer, 'id'),
    name: textOf(answer, 'name'),
    disabled: flagOf(answer, 'disabled'),
    policies: textsOf(answer, 'policies'),
    metadata: pairsOf(answer, 'metadata'),
    aliases: answersOf(answer, 'aliases').map((alias) => ({
      id: textOf(alias, 'id'),
      name: textOf(alias, 'name'),
      mountAccessor: textOf(alias, 'mount_accessor'),
      metadata: pairsOf(alias, 'metadata'),
      customMetadata: pairsOf(alias, 'custom_metadata'),
    })),
    merged: textsOf(answer, 'merged_entity_ids'),
  }));
}

/** All groups of a namespace. */
export function readGroups(reader: Reader, namespace: string): Promise<readonly ExportedGroup[]> {
  return reader.readAll(namespace, 'identity/group/id', (answer) => ({
    id: textOf(answer, 'id'),
    name: textOf(answer, 'name'),
    type: textOf(answer, 'type') === 'external' ? ('external' as const) : ('internal' as const),
    policies: textsOf(answer, 'policies'),
    metadata: pairsOf(answer, 'metadata'),
    entities: textsOf(answer, 'member_entity_ids'),
    groups: textsOf(answer, 'member_group_ids'),
    ...aliasOf(answer['alias']),
  }));
}

function aliasOf(alias: unknown): Pick<ExportedGroup, 'alias'> {
  if (!isAnswer(alias) || textOf(alias, 'name') === '') return {};
  return { alias: { name: textOf(alias, 'name'), mountAccessor: textOf(alias, 'mount_accessor') } };
}

/** The tokens that live in a namespace, by accessor. Batch tokens have none: what hands them out is in the export. */
export async function readTokens(reader: Reader, namespace: string): Promise<readonly ExportedToken[]> {
  const accessors = await reader.list(namespace, 'auth/token/accessors');
  return reader.each(accessors, async (accessor) => {
    const path = 'auth/token/lookup-accessor';
    const answer = await reader.look(namespace, path, { accessor }, 'invalid accessor');
    if (answer === undefined) return undefined;
    const meta = pairsOf(answer, 'meta');
    const role = textOf(answer, 'role') || (meta['role_name'] ?? meta['role'] ?? meta['username'] ?? '');
    const entity = textOf(answer, 'entity_id');
    return {
      accessor,
      namespace,
      displayName: textOf(answer, 'display_name'),
      path: textOf(answer, 'path'),
      policies: textsOf(answer, 'policies'),
      identityPolicies: textsOf(answer, 'identity_policies'),
      externalPolicies: listsOf(answer, 'external_namespace_policies'),
      ...(entity === '' ? {} : { entity }),
      ...(role === '' ? {} : { role }),
      type: textOf(answer, 'type'),
      ttl: countOf(answer, 'ttl'),
      uses: countOf(answer, 'num_uses'),
    };
  });
}
