import { QuorateError } from '../../errors.ts';
import { nodeUnit } from '../../deploy/systemd.ts';
import { nodeLogin } from '../../wallet-config.ts';
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
    const described = known.config.nodes[deployment.node];
    const login = nodeLogin(name, deployment.node, described ?? {});
    if (login !== undefined && login.method !== 'approle') {
      throw new QuorateError('usage', `a unit for a node that logs in by ${login.method} is not made here`, {
        hint: 'Take that of AppRole, and change QUORATE_LOGIN in it.',
      });
    }
    const roleId = described?.auth?.method === 'approle' ? described.auth['role-id'] : `${name}-${deployment.node}`;
    const byAppRole = `approle,mount=${login?.mount ?? 'approle'},role-id=${roleId},secret-id-file=%d/secret-id`;
    const programNotifies = values['program-notifies'] === true;
    const unit = nodeUnit(deployment, { quorate, login: byAppRole, programNotifies });
    context.output.result({ unit }, () => unit.trimEnd().split('\n'));
    return undefined;
  },
});
