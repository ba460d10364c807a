import { mkdir, readdir } from 'node:fs/promises';
import { QuorateError } from '../../errors.ts';
import { fileError } from '../../files.ts';
import { enrollNode, stateFile } from '../../shares/home.ts';
import { isWalletName } from '../../shares/statement.ts';
import { defineCommand } from '../command.ts';
import { homeOf, nodeOptions } from './wallet.ts';

/** `quorate shares enroll WALLET`: the node's signing key, and what to pin. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'the wallet that this node is to take part in' }],
  options: { home: nodeOptions.home },
  examples: [{ command: 'quorate shares enroll treasury', text: 'on the node; prints what quorate.yaml pins' }],
  async run(context, values, [wallet = '']) {
    if (!isWalletName(wallet)) {
      throw new QuorateError('usage', 'a wallet is called by lower-case letters, digits and dashes');
    }
    const home = homeOf(context, values.home);
    await mkdir(home, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw fileError(home, error);
    });
    const { signer, made } = await enrollNode(home);
    const state = stateFile(home, wallet);
    const keys = (await readdir(home)).filter((name) => name.startsWith(`${wallet}.epoch-`));
    // With keys of earlier epochs and no state it cannot be known what this node has seen: boot says what to do.
    if (keys.length === 0 && (await state.read()) === undefined) await state.write({ committed: 0 });
    context.output.result({ wallet, home, signingKey: signer.key, made }, () => [
      made ? `made a signing key in ${home}` : `${home} has a signing key already`,
      'pin it for this node in quorate.yaml, on every machine of the wallet:',
      `signing-key: ${signer.key}`,
    ]);
    return undefined;
  },
});
