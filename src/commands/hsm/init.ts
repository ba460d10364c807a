import { QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import { prepareToken } from '../../hsm/prepare.ts';
import { resolve } from 'node:path';
import type { Context } from '../../context.ts';
import type { Secret } from '../../secret.ts';
import { defineCommand } from '../command.ts';
import { openModule, plainWord, tokenChoice, tokenOptions } from './opening.ts';
import { printable, shownSlot } from './words.ts';

/** `quorate hsm init`: gives a token its label and its PINs; what was on it is lost. */
export const command = defineCommand({
  options: {
    ...tokenOptions,
    'token': { value: 'LABEL', description: 'a token that is initialised already, by its label' },
    'label': { value: 'LABEL', description: 'the label that the token gets' },
    'so-pin-file': { value: 'FILE', description: "the security officer's PIN in a file of mode 0600" },
    'pin-file': { value: 'FILE', description: "the user's PIN, to be set, in a file of mode 0600" },
    'erase': { description: 'initialise anew a token that is in use; asks for its label to be typed' },
  },
  examples: [
    {
      command: 'quorate hsm init --label prod-seal',
      text: 'the first token that was never initialised; both PINs are asked for, twice',
    },
    {
      command: 'quorate hsm init --slot 3 --label prod-seal --so-pin-file so.pin --pin-file user.pin',
      text: 'without a terminal; nothing is ever erased so',
    },
    { command: 'quorate hsm init --token old-seal --label prod-seal --erase', text: 'destroys what is on "old-seal"' },
  ],
  async run(context, values) {
    const { erase = false } = values;
    if (values.label === undefined)
      throw new QuorateError('usage', 'which label is the token to get? Give --label LABEL');
    const label = plainWord('--label', values.label);
    const choice = await tokenChoice(context, values);
    const library = await openModule(context, values);
    const { token, objects } = await prepareToken(library, choice, { label, erase });
    if (token.flags.initialised) {
      context.output.warn(
        `token "${printable(token.label)}" is in use (${objects}); all that is on it, keys with it, is destroyed`,
      );
      await context.prompts.typed('A server that is sealed by one of them can never be opened again.', token.label);
    }
    const so = await newPin(context, values['so-pin-file'], "The security officer's PIN", '--so-pin-file', token);
    let user: Secret | undefined;
    try {
      user = await newPin(context, values['pin-file'], "The user's PIN", '--pin-file', token);
      const made = await context.output.progress('initialising the token', () =>
        library.initialiseToken(token, label, { so, user: user ?? so }),
      );
      context.output.result({ label: made.label, serial: made.serial, slot: made.slot.toString() }, () => [
        `${context.output.paint.good('ok')}    token "${made.label}"   serial ${printable(made.serial)}   slot ${shownSlot(made.slot)}`,
        "Keep both PINs apart from each other. Without the security officer's, a locked PIN stays locked.",
        `Next: quorate hsm keygen --token ${made.label} --label NAME`,
      ]);
    } finally {
      so.wipe();
      user?.wipe();
    }
    return undefined;
  },
});

/** A PIN that is to be set: from a file, or typed twice. */
async function newPin(
  context: Context,
  file: string | undefined,
  question: string,
  option: string,
  {
    flags,
    minPinLength,
    maxPinLength,
  }: { flags: { initialised: boolean }; minPinLength: number; maxPinLength: number },
): Promise<Secret> {
  const isSet = flags.initialised && option === '--so-pin-file';
  const pin =
    file === undefined
      ? await context.prompts.secret(isSet ? `${question} as it is` : question, { instead: `${option} FILE` })
      : await readSecretFile(resolve(context.cwd, file));
  try {
    const { length } = pin;
    if (length === 0 || length < minPinLength || (maxPinLength > 0 && length > maxPinLength)) {
      throw new QuorateError(
        'pin-unusable',
        `the token takes PINs of ${minPinLength.toString()} to ${maxPinLength.toString()} characters`,
      );
    }
    if (file !== undefined || isSet) return pin;
    const again = await context.prompts.secret(`${question}, again`);
    try {
      if (!pin.equals(again)) throw new QuorateError('pin-unusable', 'the two PINs differ; nothing was done');
    } finally {
      again.wipe();
    }
    return pin;
  } catch (error) {
    pin.wipe();
    throw error;
  }
}
