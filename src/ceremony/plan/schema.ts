import * as v from 'valibot';
import { write } from '../first-writes.ts';

const { path, data } = write.entries;

/** One reviewed action with a root token. */
const action = v.variant('action', [
  v.strictObject({
    action: v.literal('read'),
    path,
    /** What must be there; other fields do not matter. Without it the record names the fields that were found. */
    expect: v.optional(v.record(v.string(), v.unknown())),
  }),
  v.strictObject({ action: v.literal('write'), path, data }),
  v.strictObject({ action: v.literal('delete'), path }),
]);

/** What is done with a root token, in this order, and nothing else. */
export const plan = v.pipe(v.array(action), v.minLength(1, 'a root token without a plan is of no use'));

export type Action = v.InferOutput<typeof action>;
export type Plan = v.InferOutput<typeof plan>;

/** Faults that a schema cannot express. */
export function planFaults(actions: Plan): string[] {
  const written = actions.flatMap((one) => (one.action === 'write' ? [one.path] : []));
  return [...new Set(written)]
    .filter((one) => written.indexOf(one) !== written.lastIndexOf(one))
    .map((one) => `plan: ${one} is written twice; the last one would win`);
}

/** `2 write sys/policies/acl/app`, as it stands in the record and on screens. */
export function actionTitle(one: Action, index: number): string {
  return `${(index + 1).toString()} ${one.action} ${one.path}`;
}
