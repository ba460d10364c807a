import { type Caller, callerOf } from '../../broker/caller.ts';
import { parseDuration } from '../../duration.ts';
import { type Revoked, revoke } from '../../broker/revoke.ts';
import { QuorateError } from '../../errors.ts';
import { tableLines } from '../../layout.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand, type OptionValues } from '../command.ts';
import { logIn } from '../log-in.ts';
import { checkLease, checkMount, checkRole, roleOptions } from './role-options.ts';

const options = {
  'idempotency-key': {
    value: 'KEY',
    description: 'the credential of this key, with --role; what was stored of it goes too',
  },
  'role': { value: 'ROLE', description: 'with --idempotency-key: the role that it was asked for' },
  ...roleOptions,
  'timeout': { value: 'TIME', description: 'how long to go on trying, for each (default: 1m)' },
  ...clusterOptions,
  ...loginOption,
} as const;

type Row = Revoked & { readonly lease: string };

/** `quorate db revoke LEASE...`: waits for the database's own answer, and sees that the server knows the lease no more. */
export const command = defineCommand({
  arguments: [{ name: 'LEASE', optional: true, variadic: true, description: 'the id of a lease' }],
  options,
  examples: [
    { command: 'quorate db revoke database/creds/app-read/Q0ur8tE', text: 'exit 5 when it is not known to be gone' },
    {
      command: 'quorate db revoke --role app-read --idempotency-key "$GITHUB_RUN_ID-$GITHUB_JOB-2"',
      text: 'the credential that quorate db creds stored for this key',
    },
  ],
  async run(context, values, ids) {
    const seconds = parseDuration(values.timeout ?? '1m');
    if (seconds === undefined) throw new QuorateError('usage', '--timeout takes a time such as 30s or 2m');
    const named = keyOf(values);
    if ((named === undefined) === (ids.length === 0)) {
      throw new QuorateError('usage', 'give leases, or --role with --idempotency-key');
    }
    ids.forEach(checkLease);
    const { login, peers } = await logIn(context, values, { unchecked: true });
    const caller = callerOf(login.session, peers);
    try {
      const trouble = {
        timeout: seconds * 1000,
        onTrouble: (error: QuorateError) => {
          context.output.warn(`not revoked yet: ${error.message}`);
        },
      };
      const rows =
        named === undefined ? await revokeAll(caller, ids, trouble) : [await endKey(caller, { ...named, ...trouble })];
      context.output.result({ revoked: rows }, () => tableLines(rows.map((row) => [row.lease, `gone at ${row.at}`])));
      return undefined;
    } finally {
      caller.close();
    }
  },
});

interface Named {
  readonly mount: string;
  readonly role: string;
  readonly key: string;
}

function keyOf(values: OptionValues<typeof options>): Named | undefined {
  const { role, mount } = values;
  const key = values['idempotency-key'];
  if (key === undefined && role === undefined) return undefined;
  if (key === undefined || role === undefined)
    throw new QuorateError('usage', '--role and --idempotency-key go together');
  return { key, role: checkRole(role), mount: checkMount(mount) };
}

type Trouble = { readonly timeout: number; readonly onTrouble: (error: QuorateError) => void };

/** All are tried, whatever becomes of one; the first failure is told at the end. */
async function revokeAll(caller: Caller, ids: readonly string[], trouble: Trouble): Promise<readonly Row[]> {
  const rows: Row[] = [];
  let failure: Error | undefined;
  for (const lease of ids) {
    try {
      rows.push({ lease, ...(await revoke([caller], lease, trouble)) });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return rows;
}

async function endKey(caller: Caller, request: Named & Trouble): Promise<Row> {
  return (await import('../../broker/idempotency/end.ts')).endKey(caller, request);
}
