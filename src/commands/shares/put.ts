import { resolve } from 'node:path';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readBounded, readSecretDescriptor } from '../../files.ts';
import { LARGEST_SHARE } from '../../shares/envelope.ts';
import { stage } from '../../shares/node.ts';
import { defineCommand } from '../command.ts';
import { wholeNumber } from '../whole-number.ts';
import { knownWallet, nodeOptions, openNode, walletOptions } from './wallet.ts';

/** `quorate shares put WALLET`: seals this node's share of an epoch on the node, stores it, and reads it back. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'a wallet of quorate.yaml' }],
  options: {
    ...nodeOptions,
    ...walletOptions,
    'epoch': { value: 'N', description: 'the epoch that the share belongs to' },
    'scheme': {
      value: 'NAME',
      description:
        'feldman-secp256k1 and feldman-ed25519 are checked against the commitment; others are stored as they are',
    },
    'index': { value: 'N', description: "the node's x-coordinate in the scheme" },
    'commitment': {
      value: 'HEX',
      repeat: true,
      description: "a point of the set's public commitment, constant term first; once for each",
    },
    'share-file': { value: 'FILE', description: 'the share, as bytes' },
    'share-fd': { value: 'N', description: 'the share from an open descriptor; 0 is standard input' },
  },
  examples: [
    {
      command:
        'mpc-keygen | quorate shares put treasury --node north --epoch 1 --scheme cggmp21 --index 1 --share-fd 0',
      text: 'on the node; the share goes nowhere else',
    },
  ],
  async run(context, values, [name = '']) {
    const known = await knownWallet(context, name, values);
    const epoch = wholeNumber(values.epoch, '--epoch');
    const index = wholeNumber(values.index, '--index');
    if (values.scheme === undefined) throw new QuorateError('usage', '--scheme is missing');
    const given = { epoch, index, scheme: values.scheme, commitment: values.commitment ?? [] };
    const share = await readShare(context, values['share-file'], values['share-fd']);
    try {
      const { node, close } = await openNode(context, known, values);
      try {
        await stage(known.wallet, node, { ...given, share });
      } finally {
        close();
      }
    } finally {
      share.fill(0);
    }
    context.output.result({ wallet: name, node: values.node, epoch, staged: true }, () => [
      `staged epoch ${epoch.toString()} of ${name}: stored, and read back`,
    ]);
    return undefined;
  },
});

async function readShare(
  context: Context,
  file: string | undefined,
  descriptor: string | undefined,
): Promise<Uint8Array> {
  if ((file === undefined) === (descriptor === undefined)) {
    throw new QuorateError('usage', 'say where the share comes from: --share-file or --share-fd, one of them', {
      hint: 'A share is never an argument: others could see it.',
    });
  }
  if (file !== undefined) {
    return readBounded(resolve(context.cwd, file), LARGEST_SHARE).catch((error: unknown) => {
      if (!isQuorateError(error, 'file-missing')) throw error;
      // Not named: somebody may have given the share in the place of its file.
      throw new QuorateError('file-missing', 'the file that --share-file names does not exist');
    });
  }
  const secret = await readSecretDescriptor(wholeNumber(descriptor, '--share-fd', 0), LARGEST_SHARE);
  try {
    return secret.expose((bytes) => bytes.slice());
  } finally {
    secret.wipe();
  }
}
