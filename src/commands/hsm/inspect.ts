import { EXIT } from '../../errors.ts';
import { keysOf } from '../../hsm/find-key.ts';
import type { JudgedKey } from '../../hsm/judgement.ts';
import { tableLines } from '../../layout.ts';
import type { Token } from '../../pkcs11/token.ts';
import type { Paint } from '../../ui/terminal.ts';
import { defineCommand } from '../command.ts';
import { tokenOptions, withLogin } from './opening.ts';
import { pinOptions } from './pin-options.ts';
import { keyJson, printable, shownSlot } from './words.ts';

/** `quorate hsm inspect`: the keys on a token, what each is fit for, and what is wrong with it; 5 when one is unfit. */
export const command = defineCommand({
  options: { ...tokenOptions, ...pinOptions },
  examples: [
    { command: 'quorate hsm inspect --token prod-seal', text: 'asks for the PIN' },
    {
      command: 'quorate hsm inspect --token prod-seal --pin-file user.pin --format json',
      text: 'every attribute, for scripts; exit 5 while a key is there that must not seal anything',
    },
  ],
  run: (context, values) =>
    withLogin(context, values, {}, async (session, _library, token) => {
      const keys = await keysOf(session);
      const objects = await session.countObjects();
      const { label, serial, model, slot } = token;
      context.output.result(
        { token: { label, serial, model, slot: slot.toString() }, objects, keys: keys.map(keyJson) },
        () => [head(token), '', ...keyLines(keys, context.output.paint)],
      );
      return keys.every((key) => key.mechanisms.length > 0) ? EXIT.done : EXIT.unverified;
    }),
});

function head({ label, model, serial, slot }: Token): string {
  return `${printable(label)}   ${printable(model)}   serial ${printable(serial)}   slot ${shownSlot(slot)}   PIN ok`;
}

function keyLines(keys: readonly JudgedKey[], paint: Paint): string[] {
  if (keys.length === 0) return ['It holds no key. quorate hsm keygen makes one.'];
  const answer = (is: boolean | undefined, good: boolean): string => {
    const word = is === undefined ? 'not told' : is ? 'yes' : 'no';
    return is === good ? word : paint.bad(word === 'not told' ? word : word.toUpperCase());
  };
  const rows = keys.map(({ label, id, type, key, mechanisms, faults }) => {
    const worst = faults.find(({ severity }) => severity === 'unfit');
    const fit =
      mechanisms.length === 0 ? paint.bad(`nothing: ${worst?.text ?? 'no seal uses it'}`) : mechanisms.join(', ');
    const { sensitive, extractable, local } = key.flags;
    return key.class === 'public'
      ? [printable(label), id, type, '', '', '', fit]
      : [printable(label), id, type, answer(sensitive, true), answer(extractable, false), answer(local, true), fit];
  });
  const notes = keys.flatMap(({ label, faults, mechanisms }) =>
    faults
      .filter(({ severity }, index) => severity === 'warning' || (mechanisms.length === 0 && index > 0))
      .map(({ text }) => `${paint.warn('note')}  ${printable(label)}: ${text}`),
  );
  return [
    ...tableLines(rows, ['label', 'id', 'type', 'sensitive', 'extractable', 'local', 'fit for']),
    ...(notes.length === 0 ? [] : ['', ...notes]),
  ];
}
