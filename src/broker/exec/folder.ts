import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeExclusive } from '../../files.ts';
import { Secret } from '../../secret.ts';
import type { Fields } from '../output/fields.ts';
import { known } from '../output/formats.ts';
import { render } from '../output/formats.ts';

/** A folder of mode 0700 for a job's files; in memory where the system has such a place for the user. */
export interface JobFolder {
  /** Writes the credential, and returns the variables by which programs find it. None holds the password. */
  write(kind: 'pgpass' | 'pg-service' | 'my.cnf', fields: Fields): Promise<ReadonlyMap<string, string>>;
  remove(): Promise<void>;
}

export async function makeJobFolder(env: Readonly<Record<string, string | undefined>>): Promise<JobFolder> {
  const base = env['XDG_RUNTIME_DIR'];
  const folder = await mkdtemp(join(base === undefined || base === '' ? tmpdir() : base, 'quorate-db-')).catch(() =>
    mkdtemp(join(tmpdir(), 'quorate-db-')),
  );
  return {
    async write(kind, fields) {
      const text = Secret.fromText(render(kind, fields, {}));
      // MySQL's and MariaDB's clients look for this very name in the folder that MYSQL_HOME names.
      const file = join(folder, kind === 'my.cnf' ? 'my.cnf' : 'login');
      try {
        await text.expose((bytes) => writeExclusive(file, bytes));
      } finally {
        text.wipe();
      }
      return kind === 'my.cnf'
        ? new Map([['MYSQL_HOME', folder]])
        : new Map(Object.entries(pgVariables(kind, file, fields)));
    },
    async remove() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function pgVariables(kind: 'pgpass' | 'pg-service', file: string, fields: Fields): Readonly<Record<string, string>> {
  if (kind === 'pg-service') return { PGSERVICEFILE: file, PGSERVICE: 'quorate' };
  const { host, port, database, tls } = known(fields);
  return {
    PGPASSFILE: file,
    PGHOST: host,
    PGPORT: port.toString(),
    PGDATABASE: database,
    PGUSER: fields.username,
    PGSSLMODE: tls,
  };
}
