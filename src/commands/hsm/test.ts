import { QuorateError } from '../../errors.ts';
import { findKey, parseKeyId } from '../../hsm/find-key.ts';
import { type Latency, tryKey } from '../../hsm/trial.ts';
import { defineCommand } from '../command.ts';
import { plainWord, tokenOptions, withLogin } from './opening.ts';
import { pinOptions } from './pin-options.ts';

const HASHES = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;
const DEFAULT_ROUNDS = 10;

/** `quorate hsm test`: whether a key does what a seal will ask of it, and how fast. Changes nothing on the token. */
export const command = defineCommand({
  options: {
    ...tokenOptions,
    ...pinOptions,
    'key': { value: 'LABEL', description: 'the key, by its label; not needed where there is only one' },
    'key-id': { value: 'HEX', description: 'the key, by its id (CKA_ID)' },
    'rounds': { value: 'N', description: `how often to encrypt and decrypt (default: ${DEFAULT_ROUNDS.toString()})` },
    'oaep-hash': { value: 'HASH', choices: HASHES, description: 'the hash of RSA-OAEP (default: sha256)' },
  },
  examples: [
    { command: 'quorate hsm test --token prod-seal --key seal-2027', text: 'round trips, and tampered texts refused' },
    {
      command: 'quorate hsm test --token prod-seal --key seal-2027 --rounds 1000 --pin-file user.pin --format json',
      text: 'latency figures',
    },
  ],
  async run(context, values) {
    const rounds = values.rounds ?? DEFAULT_ROUNDS.toString();
    if (!/^[1-9]\d{0,5}$/.test(rounds)) throw new QuorateError('usage', '--rounds takes a number from 1');
    const oaepHash = HASHES.find((hash) => hash === values['oaep-hash']) ?? 'sha256';
    const label = values.key === undefined ? undefined : plainWord('--key', values.key);
    const id = values['key-id'] === undefined ? undefined : parseKeyId(values['key-id']);
    await withLogin(context, values, {}, async (session, library, token) => {
      const key = await findKey(session, {
        ...(label === undefined ? {} : { label }),
        ...(id === undefined ? {} : { id }),
      });
      const result = await context.output.progress(`trying key "${key.label}"`, () =>
        tryKey(library, session, token, key, { rounds: Number(rounds), oaepHash }),
      );
      const { paint } = context.output;
      context.output.result(
        { token: token.label, key: { label: key.label, id: key.id, type: key.type }, ...result },
        () => [
          `${paint.good('ok')}    ${result.mechanism} with key "${key.label}" (${key.type}) on token "${token.label}"`,
          `      ${result.rounds.toString()} round trips   ${timing('encrypt', result.encrypt)}   ${timing('decrypt', result.decrypt)}`,
          `      refused when changed: ${result.refused.join(', ')}`,
          ...key.faults.map(({ text }) => `      ${paint.warn('note')}  ${text}`),
        ],
      );
    });
    return undefined;
  },
});

function timing(what: string, { median, slowest }: Latency): string {
  return `${what} ${median.toFixed(2)} ms (slowest ${slowest.toFixed(2)})`;
}
