import * as v from 'valibot';
import { write } from '../../first-writes.ts';
import { COMMON, custodian, pgpKey } from '../../script.ts';
import { ceremonyLogin } from './login.ts';

/** The script of an init: who gets a share, what is written first, and which login remains. */
export const initScript = v.strictObject({
  'ceremony': v.literal('init'),
  ...COMMON,
  'shares': v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255)),
  'threshold': v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255)),
  'custodians': v.pipe(v.array(custodian), v.minLength(1)),
  'root-token': v.optional(v.strictObject({ pgp: pgpKey })),
  'first-writes': v.optional(v.array(write), []),
  'ceremony-login': v.optional(ceremonyLogin),
  /** For a lab: no keys; the shares and the root token lie in clear in files of mode 0600. */
  'insecure-plain-shares': v.optional(v.boolean(), false),
  'audit': v.optional(v.picklist(['required', 'none']), 'required'),
});

export type InitScript = v.InferOutput<typeof initScript>;

/** The holder name under which the key for the root token is kept among a script's keys. */
export const ROOT_TOKEN = 'root token';
