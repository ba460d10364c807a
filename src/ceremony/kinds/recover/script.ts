import * as v from 'valibot';
import { COMMON } from '../../script.ts';

const path = v.pipe(v.string(), v.minLength(1), v.maxLength(1000));

/** The script of a recovery: which rotation tore, and which peer starts anew. */
export const recoverScript = v.strictObject({
  ceremony: v.literal('recover'),
  ...COMMON,
  /** The folder of the rotation that tore; its record names the snapshot and the snapshot's hash. */
  record: path,
  /** Where the snapshot is now, when it was moved since. */
  snapshot: v.optional(path),
  /** The roster of the old shares; the cluster's own in quorate.yaml when left out. */
  roster: v.optional(path),
  /** The peer that starts with an empty data folder; the first of the cluster when left out. */
  peer: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(80))),
});

export type RecoverScript = v.InferOutput<typeof recoverScript>;
