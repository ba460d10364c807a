import { mkdir, readdir } from 'node:fs/promises';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { fileError } from '../../files.ts';
import { enrollNode, stateFile } from '../../shares/home.ts';
import type { Signer } from '../../shares/signing.ts';
import { isWalletName } from '../../shares/statement.ts';
import { defineCommand } from '../command.ts';
import { openToken, tokenOptions } from '../hsm/opening.ts';
import { pinOptions, type PinValues } from '../hsm/pin-options.ts';
import { holdSession, keepNodeToken, readNodeToken } from './token.ts';
import { homeOf, nodeOptions } from './wallet.ts';

type TokenValues = Partial<Record<keyof typeof tokenOptions, string>>;

/** `quorate shares enroll WALLET`: the node's signing key, in a file or a token, and what to pin. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'the wallet that this node is to take part in' }],
  options: { home: nodeOptions.home, ...tokenOptions, ...pinOptions },
  examples: [
    { command: 'quorate shares enroll treasury', text: 'on the node; prints what quorate.yaml pins' },
    {
      command: 'quorate shares enroll treasury --module /usr/lib/hsm.so --token node --pin-file pin',
      text: 'its keys are made in its HSM, and never leave that',
    },
  ],
  async run(context, values, [wallet = '']) {
    if (!isWalletName(wallet)) {
      throw new QuorateError('usage', 'a wallet is called by lower-case letters, digits and dashes');
    }
    const home = homeOf(context, values.home);
    await mkdir(home, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw fileError(home, error);
    });
    const { signer, made, where, used } = await enroll(context, home, wallet, values);
    const state = stateFile(home, wallet);
    // With keys of earlier epochs and no state it cannot be known what this node has seen: boot says what to do.
    if (!used && (await state.read()) === undefined) await state.write({ committed: 0 });
    context.output.result({ wallet, home, signingKey: signer.key, made }, () => [
      made ? `made a signing key in ${where}` : `${where} has a signing key already`,
      'pin it for this node in quorate.yaml, on every machine of the wallet:',
      `signing-key: ${signer.key}`,
    ]);
    return undefined;
  },
});

/** In a token where one is named, now or before. */
async function enroll(
  context: Context,
  home: string,
  wallet: string,
  values: TokenValues & PinValues,
): Promise<{ readonly signer: Signer; readonly made: boolean; readonly where: string; readonly used: boolean }> {
  const named = [values.module, values.token, values.serial, values.slot].some((one) => one !== undefined);
  const before = await readNodeToken(home);
  if (!named && before === undefined) {
    const enrolled = await enrollNode(home);
    const used = (await readdir(home)).some((name) => name.startsWith(`${wallet}.epoch-`));
    return { ...enrolled, where: home, used };
  }
  if (before === undefined && (await readdir(home)).includes('signing.key')) {
    throw new QuorateError('file-exists', `the keys of the node in ${home} are in files already`, {
      hint: 'One folder is one node. Give another --home, and pin the key of the token in place of the other.',
    });
  }
  const { library, token } = named ? await openToken(context, values) : { library: undefined, token: undefined };
  const place = library === undefined ? before : { module: library.path, serial: token.serial, label: token.label };
  library?.close();
  if (place === undefined) throw new QuorateError('bug', 'no token');
  const { session, close } = await holdSession(context, place, values);
  try {
    const { enrollToken, hasEpochs } = await import('../../shares/token-keys.ts');
    const enrolled = await enrollToken(session);
    await keepNodeToken(home, place);
    return { ...enrolled, where: `token "${place.label}"`, used: await hasEpochs(session, wallet) };
  } finally {
    close();
  }
}
