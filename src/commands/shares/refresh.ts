import type { Context } from '../../context.ts';
import { EXIT, type Exit, QuorateError } from '../../errors.ts';
import { abandon, advance } from '../../shares/node.ts';
import { relay, statusOf } from '../../shares/relay.ts';
import { defineCommand } from '../command.ts';
import { wholeNumber } from '../whole-number.ts';
import { statusJson, statusLines } from './show.ts';
import { openStores } from './stores.ts';
import { sharedRootLines } from './topology.ts';
import { type KnownWallet, knownWallet, nodeOptions, type NodeValues, openNode, walletOptions } from './wallet.ts';

const POLL_MILLISECONDS = 2000;

/** `quorate shares refresh WALLET`: brings the nodes to the next epoch; run by operators and, with --node, on each node. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'a wallet of quorate.yaml' }],
  options: {
    ...nodeOptions,
    ...walletOptions,
    wait: { value: 'SECONDS', description: 'go on until every node has moved, for so long at most' },
    abandon: {
      value: 'EPOCH',
      description: 'with --node: give this epoch up, for all; only before this node has signed it',
    },
  },
  examples: [
    {
      command: 'quorate shares refresh treasury --node north',
      text: 'on a node: sign, acknowledge, retire, whatever is next',
    },
    {
      command: 'quorate shares refresh treasury --wait 600',
      text: 'by an operator: carry what the nodes state to each other',
    },
  ],
  async run(context, values, [name = '']) {
    const known = await knownWallet(context, name, values);
    const until = Date.now() + 1000 * (values.wait === undefined ? 0 : wholeNumber(values.wait, '--wait', 0));
    if (values.abandon !== undefined && values.node === undefined) {
      throw new QuorateError('usage', '--abandon is a node’s to say: run it there, with --node');
    }
    return values.node === undefined ? carry(context, known, until) : onNode(context, known, values, until);
  },
});

async function onNode(
  context: Context,
  known: KnownWallet,
  values: NodeValues & { readonly abandon?: string },
  until: number,
): Promise<Exit> {
  const { node, close } = await openNode(context, known, values);
  const did: string[] = [];
  try {
    if (values.abandon !== undefined) {
      const epoch = wholeNumber(values.abandon, '--abandon');
      await abandon(known.wallet, node, epoch);
      did.push(`abandoned epoch ${epoch.toString()}`);
    }
    for (;;) {
      const step = await advance(known.wallet, node);
      if (step.did !== 'nothing') {
        did.push(`${step.did} epoch ${step.epoch.toString()}`);
        continue;
      }
      if (step.waitsFor === undefined || Date.now() >= until) {
        const waits = step.waitsFor === undefined ? [] : [`waits for the ${step.waitsFor} of other nodes`];
        context.output.result(
          { wallet: known.wallet.name, node: node.name, did, waitsFor: step.waitsFor ?? null },
          () => ([...did, ...waits].length === 0 ? ['nothing to do'] : [...did, ...waits]),
        );
        return step.waitsFor === undefined ? EXIT.done : EXIT.sealed;
      }
      await pause(context.signal);
    }
  } finally {
    close();
  }
}

async function carry(context: Context, known: KnownWallet, until: number): Promise<Exit> {
  const { reached, shared, close } = await openStores(context, known);
  try {
    for (;;) {
      const gathered = await relay(reached);
      const status = statusOf(known.wallet, gathered.statements);
      if (status.settled || Date.now() >= until) {
        const told = { ...gathered, lacks: new Map([...gathered.lacks].map(([node]) => [node, 0])) };
        context.output.result(
          { ...statusJson(known.wallet.name, status, told), carried: gathered.carried, sharedRoot: shared },
          () => [...statusLines(status, told), ...sharedRootLines(shared)],
        );
        if (gathered.faults.size > 0) return EXIT.refused;
        return status.settled ? EXIT.done : EXIT.sealed;
      }
      await pause(context.signal);
    }
  } finally {
    close();
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  const { setTimeout } = await import('node:timers/promises');
  await setTimeout(POLL_MILLISECONDS, undefined, { signal }).catch(() => {
    throw new QuorateError('cancelled', 'cancelled; nothing is lost, go on whenever you like');
  });
}
