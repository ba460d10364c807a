import { join } from 'node:path';
import * as v from 'valibot';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { createWhole, readText } from '../../files.ts';
import type { RemoteSession } from '../../pkcs11/wire.ts';
import type { PinValues } from '../hsm/pin-options.ts';

/** Which token holds the keys of a node, in its folder; no secret. */
const schema = v.strictObject({
  module: v.pipe(v.string(), v.regex(/^\//)),
  serial: v.string(),
  label: v.string(),
});
export type NodeToken = v.InferOutput<typeof schema>;

const fileOf = (home: string): string => join(home, 'token.json');

/** The token that holds the keys of the node in `home`; undefined where they are in files. @throws QuorateError `file-invalid`. */
export async function readNodeToken(home: string): Promise<NodeToken | undefined> {
  const text = await readText(fileOf(home)).catch((error: unknown) => {
    if (isQuorateError(error, 'file-missing')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  const result = v.safeParse(schema, parsed);
  if (result.success) return result.output;
  throw new QuorateError('file-invalid', `${fileOf(home)} does not say which token holds the keys of this node`, {
    hint: 'quorate shares enroll wrote it; bring it back from there.',
  });
}

/** Remembers the token. @throws QuorateError `file-exists` for another one. */
export async function keepNodeToken(home: string, token: NodeToken): Promise<void> {
  const before = await readNodeToken(home);
  if (before === undefined) {
    await createWhole(fileOf(home), `${JSON.stringify(token)}\n`);
    return;
  }
  if (before.module === token.module && before.serial === token.serial) return;
  throw new QuorateError('file-exists', `the keys of the node in ${home} are in another token already`, {
    hint: 'One folder is one node. Give another --home, or that token.',
  });
}

/**
 * A session with a token that may write, logged in, until `close`.
 * @throws QuorateError as `withLogin`.
 */
export async function holdSession(
  context: Context,
  { module, serial }: Pick<NodeToken, 'module' | 'serial'>,
  pin: PinValues,
): Promise<{ readonly session: RemoteSession; readonly close: () => void }> {
  const { withLogin } = await import('../hsm/opening.ts');
  return new Promise((resolve, reject) => {
    const use = (session: RemoteSession): Promise<void> =>
      new Promise((close) => {
        resolve({ session, close });
      });
    withLogin(context, { module, serial, ...givenPin(context, pin) }, { write: true }, use).catch(reject);
  });
}

function givenPin({ env }: Context, pin: PinValues): PinValues {
  const named = [pin['pin-file'], pin['pin-fd'], pin['pin-credential']].some((one) => one !== undefined);
  if (named) return pin;
  const file = env['QUORATE_PIN_FILE'];
  if (file !== undefined && file !== '') return { ...pin, 'pin-file': file };
  return (env['CREDENTIALS_DIRECTORY'] ?? '') === '' ? pin : { ...pin, 'pin-credential': 'quorate-pin' };
}
