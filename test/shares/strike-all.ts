import { parseArgs } from 'node:util';
import { endAll } from '../support/at-end.ts';
import { layWallet, moveTo, NODES } from '../support/wallet.ts';
import { strikable, STRIKES, type StruckCommand } from './struck-move.ts';

/*
 * npm run faults:shares [-- --moves N]
 *
 * Moves a wallet of two nodes on two real clusters from epoch to epoch while every request of every command is struck, one
 * by one; from move to move each request meets the next strike, so that 6 moves (the default) play every strike at every
 * request. Exits with 1 at the first moment at which the nodes would hold no common epoch.
 */

const { values } = parseArgs({ options: { moves: { type: 'string', default: STRIKES.length.toString() } } });

async function main(): Promise<void> {
  const wallet = await layWallet();
  await wallet.run(['shares', 'setup', 'treasury', '--yes']);
  for (const node of NODES) await wallet.giveSecretId(node);
  await moveTo(wallet, 1);
  const struckWallet = await strikable(wallet);
  const all: StruckCommand[] = [];
  for (let count = 0; count < Number(values.moves); count += 1) {
    const struck = await struckWallet.move(count + 2, (_, number) => STRIKES[(number + count) % STRIKES.length]);
    console.error(`move ${(count + 1).toString()}: ${struck.length.toString()} requests were struck`);
    all.push(...struck);
  }
  for (const strike of STRIKES) {
    const those = all.filter((one) => one.strike === strike);
    const failed = those.filter(({ status }) => status !== 0 && status !== 3);
    console.log(
      `${strike.padEnd(14)} ${those.length.toString().padStart(4)} requests, ${failed.length.toString().padStart(4)} commands ended by it`,
    );
  }
  console.log('at every moment both nodes held a common epoch, and every move came to its end');
}

try {
  await main();
} finally {
  await endAll();
}
