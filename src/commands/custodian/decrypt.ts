import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { makeProof, renderProof } from '../../ceremony/proof.ts';
import { shareText } from '../../ceremony/share.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { fillExclusive, readBounded } from '../../files.ts';
import { Secret } from '../../secret.ts';
import { defineCommand } from '../command.ts';
import { type Opener, openShare } from './opening.ts';

const MESSAGE_LIMIT = 64 << 10;
const KEY_LIMIT = 256 << 10;

/** `quorate custodian decrypt`: reads an issued share in memory, and gives it, or the proof of it, to one place. */
export const command = defineCommand({
  arguments: [{ name: 'FILE', description: 'the encrypted share: binary, armoured, base64 or hexadecimal' }],
  options: {
    'proof': { description: 'print the line that proves to the administrator that you can read it, not the share' },
    'holder': { value: 'NAME', description: 'with --proof: your name as the script has it' },
    'ceremony': { value: 'ID', description: 'with --proof: the id of the ceremony' },
    'key': { value: 'FILE', description: 'decrypt with the OpenPGP secret key in this file, without gpg' },
    'gnupg-home': { value: 'DIR', description: "another GnuPG home than the user's own" },
    'output': { value: 'FILE', description: 'write the share to this new file, readable by you alone' },
  },
  examples: [
    {
      command: 'quorate custodian decrypt alice.pgp --proof',
      text: 'the line to hand to the administrator; holds no share',
    },
    {
      command: 'quorate custodian decrypt alice.pgp | quorate unseal --share-fd 0',
      text: 'the share goes straight on',
    },
  ],
  async run(context, values, [file = '']) {
    const wantsProof = values.proof === true;
    if (!wantsProof && (values.holder ?? values.ceremony) !== undefined)
      throw new QuorateError('usage', '--holder and --ceremony go with --proof');
    if (wantsProof && values.output !== undefined)
      throw new QuorateError('usage', 'a proof is printed; --output is for the share');
    // Before the card is asked for: a share that has nowhere to go is not decrypted.
    const stdout = await context.secretOutput();
    if (!wantsProof && values.output === undefined) stdout.refuseTerminal();

    const openpgp = await context.openpgp();
    const message = openpgp.messageBytes(await readBounded(resolve(context.cwd, file), MESSAGE_LIMIT));
    const way = await opener(context, values.key, values['gnupg-home']);
    const share = await openShare(message, way).finally(() => {
      if (way.kind === 'file') way.key.fill(0);
    });
    try {
      if (wantsProof) {
        const proof = makeProof(share, message, { holder: values.holder, ceremony: values.ceremony });
        context.output.result(proof, () => [renderProof(proof)]);
        return undefined;
      }
      const text = withNewline(shareText(share));
      try {
        if (values.output === undefined) await stdout.write(text);
        else await writeShareFile(resolve(context.cwd, values.output), text);
      } finally {
        text.wipe();
      }
    } finally {
      share.bytes.wipe();
    }
    return undefined;
  },
});

async function opener(context: Context, key: string | undefined, home: string | undefined): Promise<Opener> {
  if (key === undefined) {
    const { gpg } = await context.programs();
    return { kind: 'gpg', gpg, home, signal: context.signal };
  }
  if (home !== undefined) throw new QuorateError('usage', '--key and --gnupg-home exclude each other');
  return {
    kind: 'file',
    openpgp: await context.openpgp(),
    key: await readKeyFile(resolve(context.cwd, key)),
    passphrase: () => context.prompts.secret('Passphrase of the key', { instead: 'gpg, by leaving --key out' }),
  };
}

/** Byte for byte, unlike a secret of text: a binary key may end with what looks like a newline. */
async function readKeyFile(path: string): Promise<Uint8Array> {
  const bytes = await readBounded(path, KEY_LIMIT);
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return bytes;
  bytes.fill(0);
  throw new QuorateError('file-mode', `${path} can be read by others (mode ${(mode & 0o777).toString(8)})`, {
    hint: `chmod 600 ${path}, and consider whether somebody has copied the key in it.`,
  });
}

async function writeShareFile(path: string, text: Secret): Promise<void> {
  await fillExclusive(path, (handle) => text.expose((bytes) => handle.writeFile(bytes)));
}

/** Takes over `text`. */
function withNewline(text: Secret): Secret {
  const line = new Uint8Array(text.length + 1);
  try {
    text.expose((bytes) => {
      line.set(bytes);
    });
    line[line.length - 1] = 0x0a;
    return new Secret(line);
  } finally {
    line.fill(0);
    text.wipe();
  }
}
