import { expect, it } from 'vitest';
import { judgeKeys } from '../../src/hsm/judgement.ts';
import type { KeyFlag, KeyInfo } from '../../src/pkcs11/keys.ts';

const GOOD: Readonly<Record<KeyFlag, boolean>> = {
  ...{ token: true, private: true, sensitive: true, alwaysSensitive: true, extractable: false, neverExtractable: true },
  ...{ local: true, modifiable: true, encrypt: true, decrypt: true },
  ...{ sign: false, verify: false, wrap: false, unwrap: false, derive: false },
};

function key(flags: Partial<Record<KeyFlag, boolean | undefined>> = {}, more: Partial<KeyInfo> = {}): KeyInfo {
  return {
    ...{ handle: Buffer.alloc(8), class: 'secret', type: 'AES', label: 'k', id: Uint8Array.of(1), bits: 256 },
    ...more,
    flags: { ...GOOD, ...flags },
  };
}

const judged = (...args: Parameters<typeof key>): { fit: number; faults: string[] } => {
  const [one] = judgeKeys([key(...args)]);
  return {
    fit: one?.mechanisms.length ?? -1,
    faults: (one?.faults ?? []).map(({ severity, text }) => `${severity}: ${text}`),
  };
};

it('finds nothing wrong with a key as keygen makes it', () => {
  expect(judged()).toEqual({ fit: 1, faults: [] });
});

it.each<[Partial<Record<KeyFlag, boolean | undefined>>, string]>([
  [{ extractable: true }, 'unfit: the key can be read out'],
  [{ extractable: undefined }, 'unfit: the token does not tell whether it is extractable'],
  [{ sensitive: false }, 'unfit: its value is not protected'],
  [{ decrypt: false }, 'unfit: it may not both encrypt and decrypt'],
  [{ token: false }, 'unfit: it ends with the session'],
])('%o makes a key unfit', (flags, fault) => {
  expect(judged(flags)).toEqual({ fit: 0, faults: [fault] });
});

it.each<[Partial<Record<KeyFlag, boolean | undefined>>, string]>([
  [{ alwaysSensitive: false }, 'warning: its value was not always protected: copies may exist'],
  [{ neverExtractable: false }, 'warning: it could be read out once: copies may exist'],
  [{ local: false }, 'warning: it was not made on the token: copies may exist'],
  [{ private: false }, 'warning: it can be used without the PIN'],
  [{ sign: true, derive: true }, 'warning: it may also sign, derive'],
  [{ wrap: true }, 'warning: with wrap and decrypt together, other keys of the token can be read out'],
])('%o is told, and no more', (flags, fault) => {
  expect(judged(flags)).toEqual({ fit: 1, faults: [fault] });
});

it('judges an RSA pair as one, and each half alone as unfit', () => {
  const priv = key({ encrypt: undefined }, { class: 'private', type: 'RSA', bits: 3072 });
  const pub = key({ decrypt: undefined, sensitive: undefined }, { class: 'public', type: 'RSA', bits: 3072 });
  const [pair, ...others] = judgeKeys([pub, priv]);
  expect(others).toEqual([]);
  expect(pair).toMatchObject({ type: 'RSA-3072', mechanisms: ['rsa-oaep'], faults: [] });
  const stranger = { ...pub, id: Uint8Array.of(2) };
  expect(judgeKeys([priv, stranger]).map(({ mechanisms }) => mechanisms)).toEqual([[], []]);
  expect(
    judgeKeys([
      { ...priv, bits: 1024 },
      { ...pub, bits: 1024 },
    ])[0]?.mechanisms,
  ).toEqual([]);
});
