import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import type { Session } from '../vault/peer.ts';
import { amendVersioned, readVersioned, type VersionedPlace } from '../versioned.ts';
import { hashOf, SHARE } from './envelope.ts';
import { type Published, publishedSchema } from './epochs.ts';
import type { NodeStore } from './ports.ts';
import { readStatement, type Signed, signedSchema } from './statement.ts';

const envelopesSchema = v.strictObject({ envelopes: v.pipe(v.array(signedSchema), v.maxLength(8)) });
const statementsSchema = v.strictObject({ statements: v.pipe(v.array(publishedSchema), v.maxLength(4096)) });

/** Where a node's envelopes of one wallet are: only the node writes there. */
export function envelopesPlace(mount: string, wallet: string): VersionedPlace {
  return { mount, path: `${wallet}/envelopes` };
}

/** Where what all nodes of a wallet have stated is: the node and the operator write there. */
export function statementsPlace(mount: string, wallet: string): VersionedPlace {
  return { mount, path: `${wallet}/statements` };
}

/** A node's place in the KV store, version 2, of its own cluster or namespace. */
export function kvStore(session: Session, mount: string, wallet: string, signal?: AbortSignal): NodeStore {
  const envelopes = envelopesPlace(mount, wallet);
  return {
    envelopes: async () => envelopesIn((await readVersioned(session, envelopes, signal)).data),
    addEnvelope: (epoch, envelope) =>
      amendVersioned(
        session,
        envelopes,
        (data) => {
          const there = envelopesIn(data);
          const same = there.find((one) => epochOf(one) === epoch);
          if (same === undefined) return { envelopes: [...there, envelope].sort((a, b) => epochOf(a) - epochOf(b)) };
          if (same.text === envelope.text) return undefined;
          throw new QuorateError('epoch-conflict', `${wallet}: another share of epoch ${epoch.toString()} is stored`, {
            hint: 'quorate shares status shows what each node has stated.',
          });
        },
        signal,
      ),
    dropEnvelope: (epoch) =>
      amendVersioned(
        session,
        envelopes,
        (data) => {
          const there = envelopesIn(data);
          const left = there.filter((one) => epochOf(one) !== epoch);
          return left.length === there.length ? undefined : { envelopes: left };
        },
        signal,
      ),
    statements: () => readStatements(session, mount, wallet, signal),
    publish: (statements) => publishStatements(session, mount, wallet, statements, signal),
  };
}

/** What the nodes of `wallet` have stated, as one store has it. @throws as `readVersioned`; `statement-invalid`. */
export async function readStatements(
  session: Session,
  mount: string,
  wallet: string,
  signal?: AbortSignal,
): Promise<readonly Published[]> {
  return statementsIn((await readVersioned(session, statementsPlace(mount, wallet), signal)).data);
}

/** Adds statements to what is in a store. @throws as `amendVersioned`; `statement-invalid`. */
export async function publishStatements(
  session: Session,
  mount: string,
  wallet: string,
  statements: readonly Published[],
  signal?: AbortSignal,
): Promise<void> {
  await amendVersioned(
    session,
    statementsPlace(mount, wallet),
    (data) => {
      const there = statementsIn(data);
      const merged = unionOf(there, statements);
      return merged.length === there.length ? undefined : { statements: merged };
    },
    signal,
  );
}

/** Every statement once. Two signatures of one node under one text are one statement. */
export function unionOf(...lists: readonly (readonly Published[])[]): readonly Published[] {
  const all = new Map<string, Published>();
  for (const one of lists.flat()) {
    const key = `${one.kind} ${one.node} ${hashOf(one.text)}`;
    if (!all.has(key)) all.set(key, one);
  }
  return [...all.values()];
}

function envelopesIn(data: unknown): readonly Signed[] {
  return data === undefined ? [] : parsed(envelopesSchema, data, 'envelopes').envelopes;
}

function statementsIn(data: unknown): readonly Published[] {
  return data === undefined ? [] : parsed(statementsSchema, data, 'statements').statements;
}

function parsed<S extends v.GenericSchema>(schema: S, data: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, data);
  if (result.success) return result.output;
  throw new QuorateError('statement-invalid', `the store holds something that is no list of ${what}`, {
    hint: 'Somebody else writes there. Bring back the version before, and look at the policies.',
  });
}

function epochOf(envelope: Signed): number {
  return readStatement(SHARE, envelope.text).header.epoch;
}
