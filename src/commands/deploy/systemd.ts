import { QuorateError } from '../../errors.ts';
import { nodeUnit } from '../../deploy/systemd.ts';
import { defineCommand } from '../command.ts';
import { deployOptions, deploymentsOf } from './deployment.ts';

/** `quorate deploy systemd WALLET -- COMMAND`: the hardened unit of one node. */
export const command = defineCommand({
  arguments: [
    { name: 'WALLET', description: 'a wallet of quorate.yaml' },
    { name: 'COMMAND', variadic: true, description: "the node's program, after --" },
  ],
  options: {
    ...deployOptions,
    'node': { value: 'NAME', description: 'which node the unit is for' },
    'quorate': { value: 'PATH', description: 'where quorate is installed (default: /usr/bin/quorate)' },
    'program-notifies': { description: 'the program tells systemd itself when it is ready (sd_notify)' },
  },
  examples: [
    {
      command: 'quorate deploy systemd treasury --node north -- /usr/bin/mpc-node > quorate-node.service',
      text: 'a unit for /etc/systemd/system, to be read before it is installed',
    },
  ],
  async run(context, values, [name = '', ...program]) {
    const { known, all } = await deploymentsOf(context, name, program, values);
    const deployment = all.find(({ node }) => node === values.node);
    if (deployment === undefined) {
      const names = all.map(({ node }) => node).join(', ');
      throw new QuorateError('usage', 'which node is it for? Say --node NAME', { hint: `The wallet has: ${names}.` });
    }
    const quorate = values.quorate ?? '/usr/bin/quorate';
    if (!/^\/[\w./@+-]+$/.test(quorate))
      throw new QuorateError('usage', '--quorate wants an absolute path without blanks');
    const auth = known.config.nodes[deployment.node]?.auth;
    if (auth !== undefined && auth.method !== 'approle') {
      throw new QuorateError('usage', `a unit for a node that logs in by ${auth.method} is not made here`, {
        hint: 'Take that of AppRole, and change QUORATE_LOGIN in it.',
      });
    }
    const mount = auth?.mount ?? 'approle';
    const role = auth?.['role-id'] ?? `${name}-${deployment.node}`;
    const login = `approle,mount=${mount},role-id=${role},secret-id-file=%d/secret-id`;
    const programNotifies = values['program-notifies'] === true;
    const unit = nodeUnit(deployment, { quorate, login, programNotifies });
    context.output.result({ unit }, () => unit.trimEnd().split('\n'));
    return undefined;
  },
});
