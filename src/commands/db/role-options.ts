import { QuorateError } from '../../errors.ts';
import type { DatabaseTarget } from '../../database/database.ts';
import type { Mapping, Preset, Source } from '../../broker/output/fields.ts';

/** Options that say which role's credential is meant. */
export const roleOptions = {
  mount: { value: 'PATH', description: 'where the database engine is (default: database)' },
} as const;

/** Options that say which variables hold what, and where the database is. */
export const variableOptions = {
  preset: {
    value: 'NAME',
    repeat: true,
    choices: ['pg', 'mysql', 'url', 'spring', 'plain'],
    description: 'names of variables: PGUSER..., MYSQL_USER..., DATABASE_URL, SPRING_DATASOURCE_..., DB_USERNAME...',
  },
  env: {
    value: 'NAME=FIELD',
    repeat: true,
    description: 'one variable of your own: username, password, host, port, database, url, jdbc-url, sslmode, lease',
  },
  target: {
    value: 'URL',
    description: 'where the database is, without a login, where it is not as the server reaches it',
  },
} as const;

/** A path segment, so that no role or mount names something else, and no token: messages name roles. @throws QuorateError `usage`. */
export function checkRole(role: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(role) && !/^(?:hv[sbr]|[sbr])\..{20}/.test(role)) return role;
  throw new QuorateError('usage', 'a role is named with letters, digits, dots, - and _');
}

/** A lease's id, and nothing else that may be secret: messages name leases. @throws QuorateError `usage`. */
export function checkLease(id: string): string {
  if (/^(?:[A-Za-z0-9_.-]+\/)+creds\/[A-Za-z0-9_.-]+\/[A-Za-z0-9_.-]+$/.test(id)) return id;
  throw new QuorateError('usage', 'that is not the id of a lease, such as database/creds/app-read/Q0ur8tE');
}

/** @throws QuorateError `usage`. */
export function checkMount(mount = 'database'): string {
  if (/^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)*$/.test(mount)) return mount;
  throw new QuorateError('usage', '--mount is a path such as database or team/database');
}

/** Undefined where neither presets nor names were given: the database's own kind decides. @throws QuorateError `usage`. */
export async function namedMapping(values: {
  readonly preset?: readonly string[];
  readonly env?: readonly string[];
}): Promise<Mapping | undefined> {
  const { preset = [], env = [] } = values;
  if (preset.length === 0 && env.length === 0) return undefined;
  const { PRESETS, SOURCES } = await import('../../broker/output/fields.ts');
  const mapping: Record<string, Source> = {};
  for (const name of preset) Object.assign(mapping, PRESETS[name as Preset]);
  for (const one of env) {
    const [, name, field] = /^([A-Za-z_][A-Za-z0-9_]*)=([a-z-]+)$/.exec(one) ?? [];
    const source = SOURCES.find((known) => known === field);
    if (name === undefined || source === undefined) {
      throw new QuorateError('usage', '--env takes NAME=FIELD, such as PGUSER=username', {
        hint: `A field is one of ${SOURCES.join(', ')}.`,
      });
    }
    mapping[name] = source;
  }
  return mapping;
}

export async function defaultMapping(target: DatabaseTarget): Promise<Mapping> {
  const { PRESETS } = await import('../../broker/output/fields.ts');
  return target.engine === 'postgresql' ? PRESETS.pg : PRESETS.mysql;
}
