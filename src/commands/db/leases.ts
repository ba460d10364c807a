import { callerOf } from '../../broker/caller.ts';
import { showDuration } from '../../duration.ts';
import { listLeases } from '../../broker/leases.ts';
import { EXIT } from '../../errors.ts';
import { tableLines } from '../../layout.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { logIn } from '../log-in.ts';
import { checkMount, checkRole, roleOptions } from './role-options.ts';

/** `quorate db leases`: what lives, per role; 2 while any is stuck. */
export const command = defineCommand({
  arguments: [{ name: 'ROLE', optional: true, variadic: true, description: 'only of these roles (default: all)' }],
  options: { ...roleOptions, ...clusterOptions, ...loginOption },
  examples: [
    { command: 'quorate db leases', text: 'stuck ones first; exit 2 while there are any' },
    { command: 'quorate db leases app-migrate --format json', text: 'of one role, for scripts' },
  ],
  async run(context, values, roles) {
    const mount = checkMount(values.mount);
    const { login, peers } = await logIn(context, values, { unchecked: true });
    const caller = callerOf(login.session, peers);
    try {
      const leases = await listLeases(caller, mount, roles.map(checkRole), { signal: context.signal });
      const { paint } = context.output;
      context.output.result({ leases }, () => {
        if (leases.length === 0) return ['No credential lives.'];
        const rows = leases.map((one) => [
          one.role,
          one.stuck ? paint.bad('stuck') : paint.good('alive'),
          one.stuck ? `overdue by ${showDuration(-one.ttl)}` : showDuration(one.ttl),
          one.issued.replace(/\.\d+/, ''),
          one.renewed === undefined ? '' : one.renewed.replace(/\.\d+/, ''),
          one.id,
        ]);
        return tableLines(rows, ['role', 'state', 'lives for', 'issued', 'renewed', 'lease']);
      });
      return leases.some(({ stuck }) => stuck) ? EXIT.refused : EXIT.done;
    } finally {
      caller.close();
    }
  },
});
