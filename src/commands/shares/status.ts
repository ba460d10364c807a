import { resolve } from 'node:path';
import { EXIT } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import { gather, statusOf } from '../../shares/relay.ts';
import { defineCommand } from '../command.ts';
import { statusJson, statusLines } from './show.ts';
import { openStores } from './stores.ts';
import { sharedRootLines } from './topology.ts';
import { knownWallet, walletOptions } from './wallet.ts';

/** `quorate shares status WALLET`: what every node has stated, from anywhere, without a secret. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'a wallet of quorate.yaml' }],
  options: {
    ...walletOptions,
    export: { value: 'FILE', description: 'write the statements to this file, for a node that has lost its state' },
  },
  examples: [{ command: 'quorate shares status treasury', text: 'exit 2 while a store cannot be reached' }],
  async run(context, values, [name = '']) {
    const known = await knownWallet(context, name, values);
    const { reached, shared, close } = await openStores(context, known);
    try {
      const gathered = await gather(reached);
      const status = statusOf(known.wallet, gathered.statements);
      if (values.export !== undefined) {
        const text = `${JSON.stringify({ statements: gathered.statements })}\n`;
        await replaceFile(resolve(context.cwd, values.export), text);
      }
      context.output.result({ ...statusJson(name, status, gathered), sharedRoot: shared }, () => [
        ...statusLines(status, gathered),
        ...sharedRootLines(shared),
      ]);
      return gathered.faults.size === 0 ? EXIT.done : EXIT.refused;
    } finally {
      close();
    }
  },
});
