import { existsSync } from 'node:fs';
import { librariesHere } from '../../hsm/places.ts';
import { tableLines } from '../../layout.ts';
import type { LibraryInfo, MechanismInfo } from '../../pkcs11/library.ts';
import type { Token } from '../../pkcs11/token.ts';
import type { Paint } from '../../ui/terminal.ts';
import { defineCommand } from '../command.ts';
import { moduleOptions, openModule } from './opening.ts';
import { printable, shownSlot } from './words.ts';

/** `quorate hsm tokens`: what a PKCS#11 library sees; without one, which libraries are installed here. */
export const command = defineCommand({
  options: {
    ...moduleOptions,
    mechanisms: { description: 'also list what each token offers' },
  },
  examples: [
    { command: 'quorate hsm tokens', text: 'the PKCS#11 libraries in their usual places on this machine' },
    {
      command: 'quorate hsm tokens --module /usr/lib/softhsm/libsofthsm2.so',
      text: 'the slots and tokens of one, and how near each PIN is to being locked; nothing is logged in',
    },
  ],
  async run(context, values) {
    const named = values.module ?? context.env['QUORATE_PKCS11_MODULE'] ?? '';
    const { paint } = context.output;
    if (named === '') {
      const found = librariesHere(existsSync);
      context.output.result({ libraries: found }, () =>
        found.length === 0
          ? ['No PKCS#11 library is in a usual place. Name yours with --module FILE.']
          : [
              ...tableLines(
                found.map(({ vendor, path }) => [vendor, path]),
                ['vendor', 'library'],
              ),
              '',
              'Name one with --module FILE, or set QUORATE_PKCS11_MODULE.',
            ],
      );
      return undefined;
    }
    const library = await openModule(context, values);
    const info = await library.info();
    const tokens: { token: Token; mechanisms: readonly MechanismInfo[] }[] = [];
    for (const token of await library.tokens()) {
      tokens.push({ token, mechanisms: values.mechanisms === true ? await library.mechanisms(token) : [] });
    }
    const asJson = ({ token, mechanisms }: (typeof tokens)[number]): Record<string, unknown> => ({
      ...tokenJson(token),
      ...(values.mechanisms === true ? { mechanisms: mechanisms.map(({ name }) => name) } : {}),
    });
    context.output.result({ library: { path: library.path, ...info }, tokens: tokens.map(asJson) }, () => [
      ...libraryLines(library.path, info),
      ...tokens.flatMap(({ token, mechanisms }) => ['', ...tokenLines(token, mechanisms, paint)]),
      ...(tokens.length === 0 ? ['', 'It sees no token.'] : []),
    ]);
    return undefined;
  },
});

function libraryLines(path: string, { manufacturer, description, version, cryptoki }: LibraryInfo): string[] {
  return [path, `${printable(manufacturer)}   ${printable(description)}   version ${version}   Cryptoki ${cryptoki}`];
}

function tokenLines(token: Token, mechanisms: readonly MechanismInfo[], paint: Paint): string[] {
  const { label, model, manufacturer, serial, firmware, hardware } = token;
  const [state, loud] = stateOf(token);
  return [
    paint.strong(label === '' ? '(not initialised)' : printable(label)),
    ...tableLines([
      ['  slot', shownSlot(token.slot)],
      ['  serial', printable(serial)],
      ['  model', `${printable(model)} (${printable(manufacturer)})`],
      ['  firmware', `${firmware}, hardware ${hardware}`],
      ['  PIN', loud ? paint.bad(state) : state],
    ]),
    ...(mechanisms.length === 0
      ? []
      : ['  mechanisms', ...mechanisms.map(({ name }) => `    ${name.replace(/^CKM_/, '')}`)]),
  ];
}

/** The state of the PINs in words, and whether it is one to be alarmed by. */
function stateOf({ flags, label }: Token): readonly [string, boolean] {
  if (!flags.initialised) return ['none yet: quorate hsm init sets it', false];
  if (flags.errorState) return ['the token is in its error state', true];
  if (flags.userPinLocked) return ['LOCKED after too many wrong ones: only the security officer can help', true];
  if (flags.userPinFinalTry) return ['LAST TRY: one more wrong PIN locks it', true];
  if (flags.userPinCountLow) return [`wrong PINs were given to "${printable(label)}" since the last right one`, true];
  if (flags.protectedPath) return ['is typed at the device', false];
  if (!flags.userPinSet) return ['not set by the security officer', true];
  return [flags.userPinToBeChanged ? 'set, and wants to be changed' : 'ok, no failed try', false];
}

function tokenJson(token: Token): Record<string, unknown> {
  const { handle: _handle, slot, ...rest } = token;
  // A slot's number can be larger than what JSON readers keep whole.
  return { slot: slot.toString(), slotHex: `0x${slot.toString(16)}`, ...rest };
}
