import { callerOf } from '../../broker/caller.ts';
import { parseDuration, showDuration } from '../../duration.ts';
import { lookUp, renew, unknownLease } from '../../broker/lease.ts';
import { QuorateError } from '../../errors.ts';
import { tableLines } from '../../layout.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { logIn } from '../log-in.ts';
import { checkLease } from './role-options.ts';

/** `quorate db renew LEASE...`: lengthens leases, as far as their maximum goes. */
export const command = defineCommand({
  arguments: [{ name: 'LEASE', variadic: true, description: 'the id of a lease, as quorate db creds prints it' }],
  options: {
    by: { value: 'TIME', description: 'how long it lives from now on (default: as long as it was given first)' },
    ...clusterOptions,
    ...loginOption,
  },
  examples: [
    { command: 'quorate db renew database/creds/app-read/Q0ur8tE --by 30m', text: 'exit 2 once it has ended' },
  ],
  async run(context, values, ids) {
    const by = values.by === undefined ? 0 : parseDuration(values.by);
    if (by === undefined) throw new QuorateError('usage', '--by takes a time such as 30m');
    ids.forEach(checkLease);
    const { login, peers } = await logIn(context, values, { unchecked: true });
    const caller = callerOf(login.session, peers);
    const { signal } = context;
    try {
      const rows: { lease: string; seconds: number; expires: string; atMaximum: boolean }[] = [];
      for (const id of ids) {
        // 0 is the server's word for the time that the role gives.
        const { lease } = await renew(caller, id, by, { signal });
        const state = await lookUp(caller, id, { signal });
        if (state === undefined) throw unknownLease(id);
        const short = by > 0 && lease.ttl < by - 1;
        if (short) context.output.warn(`${id} has reached its maximum: it ends in ${showDuration(lease.ttl)}`);
        rows.push({ lease: id, seconds: lease.ttl, expires: new Date(lease.expires).toISOString(), atMaximum: short });
      }
      context.output.result({ leases: rows }, () =>
        tableLines(
          rows.map((row) => [row.lease, showDuration(row.seconds), row.expires]),
          ['lease', 'lives for', 'until'],
        ),
      );
      return undefined;
    } finally {
      caller.close();
    }
  },
});
