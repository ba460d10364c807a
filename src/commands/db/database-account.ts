import { resolve } from 'node:path';
import { parseTarget } from '../../broker/target.ts';
import type { Connection } from '../../broker/connection.ts';
import type { Context } from '../../context.ts';
import type { DatabaseTarget } from '../../database/database.ts';
import { QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import type { Secret } from '../../secret.ts';

/** The option that `targetOfConnection` takes. */
export const targetOption = {
  target: { value: 'URL', description: 'where the database is, where it is not as the server reaches it' },
} as const;

/** A password from a 0600 file, or asked for; never from the command line. The caller wipes it. */
export async function readPassword(
  context: Context,
  file: string | undefined,
  { question, instead }: { readonly question: string; readonly instead: string },
): Promise<Secret> {
  if (file !== undefined) return readSecretFile(resolve(context.cwd, file));
  return context.prompts.secret(question, { instead });
}

/**
 * Where this machine reaches a connection's database: as `--target` says, else as the server does.
 * @throws QuorateError `database-target-unknown`.
 */
export function targetOfConnection({ name, target }: Connection, given: string | undefined): DatabaseTarget {
  if (given !== undefined) return parseTarget(given);
  if (target !== undefined) return target;
  throw new QuorateError('database-target-unknown', `the address of the connection ${name} is of another kind`, {
    hint: 'Name it: --target postgresql://db.example:5432/app?sslmode=verify-full (or mysql://...), without a login.',
  });
}
