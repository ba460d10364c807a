import { QuorateError } from '../../errors.ts';
import { parseKeyId } from '../../hsm/find-key.ts';
import { generateKey } from '../../hsm/keygen.ts';
import { defineCommand } from '../command.ts';
import { plainWord, tokenOptions, withLogin } from './opening.ts';
import { pinOptions } from './pin-options.ts';
import { keyJson } from './words.ts';

const DEFAULT_BITS = { aes: '256', rsa: '3072' } as const;
const BITS = { aes: ['128', '192', '256'], rsa: ['2048', '3072', '4096'] } as const;

/** `quorate hsm keygen`: a key for a seal, made on the token and never to leave it. */
export const command = defineCommand({
  options: {
    ...tokenOptions,
    ...pinOptions,
    label: { value: 'LABEL', description: 'the label that the key gets, and by which a server finds it' },
    id: { value: 'HEX', description: 'its id (CKA_ID); random when left out' },
    type: { value: 'TYPE', choices: ['aes', 'rsa'], description: 'AES for AES-GCM (default), or RSA for OAEP' },
    bits: { value: 'N', description: '128, 192 or 256 (AES, default 256); 2048, 3072 or 4096 (RSA, default 3072)' },
  },
  examples: [
    { command: 'quorate hsm keygen --token prod-seal --label seal-2027', text: 'AES-256, for AES-GCM' },
    {
      command: 'quorate hsm keygen --token prod-seal --label seal-2027 --type rsa --bits 4096 --pin-file user.pin',
      text: 'RSA, for tokens without AES-GCM',
    },
  ],
  async run(context, values) {
    if (values.label === undefined)
      throw new QuorateError('usage', 'which label is the key to get? Give --label LABEL');
    const label = plainWord('--label', values.label);
    const type = values.type === 'rsa' ? 'rsa' : 'aes';
    const bits = values.bits ?? DEFAULT_BITS[type];
    if (!(BITS[type] as readonly string[]).includes(bits)) {
      throw new QuorateError('usage', `--bits is one of ${BITS[type].join(', ')} for ${type.toUpperCase()}`);
    }
    const id = values.id === undefined ? undefined : parseKeyId(values.id);
    await withLogin(context, values, { write: true }, async (session, _library, token) => {
      const key = await context.output.progress('the token makes a key', () =>
        generateKey(session, { type, bits: Number(bits), label, ...(id === undefined ? {} : { id }) }),
      );
      const { paint } = context.output;
      context.output.result({ token: token.label, key: keyJson(key) }, () => [
        `${paint.good('ok')}    key "${key.label}"   id ${key.id}   ${key.type}   on token "${token.label}"`,
        '      It cannot be read out: every attribute was read back, and the token refuses its value.',
        ...key.faults.map(({ text }) => `      ${paint.warn('note')}  ${text}`),
        `Next: quorate hsm test --token ${token.label} --key ${key.label}`,
      ]);
    });
    return undefined;
  },
});
