import type { Context } from '../../context.ts';
import { EXIT, isQuorateError, QuorateError } from '../../errors.ts';
import { tableLines } from '../../layout.ts';
import { verifyPublic } from '../../shares/commitment.ts';
import type { Header } from '../../shares/envelope.ts';
import type { Reached } from '../../shares/relay.ts';
import { type CheckPublic, type Finding, type SeenStore, verifyWallet } from '../../shares/verify.ts';
import { defineCommand } from '../command.ts';
import { openStores } from './stores.ts';
import { sharedRootLines } from './topology.ts';
import { knownWallet, walletOptions } from './wallet.ts';

const VERIFIER_TIMEOUT = 60_000;

/** `quorate shares verify WALLET`: signatures, commit records, commitments and stored shares, without decrypting. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'a wallet of quorate.yaml' }],
  options: walletOptions,
  examples: [
    { command: 'quorate shares verify treasury', text: 'exit 5 when something is wrong, 2 when a store is away' },
  ],
  async run(context, values, [name = '']) {
    const known = await knownWallet(context, name, values);
    const { reached, shared, close } = await openStores(context, known);
    try {
      const stores = await Promise.all(reached.map(seenStore));
      const findings = await verifyWallet(known.wallet, stores, publicChecker(context, known.verifier));
      context.output.result({ wallet: name, findings, sharedRoot: shared }, () => [
        ...findingLines(context, findings),
        ...sharedRootLines(shared),
      ]);
      if (findings.some(({ verdict }) => verdict === 'wrong')) return EXIT.unverified;
      return findings.some(({ verdict }) => verdict === 'unreachable') ? EXIT.refused : EXIT.done;
    } finally {
      close();
    }
  },
});

async function seenStore({ node, store, fault }: Reached): Promise<SeenStore> {
  if (store === undefined) {
    const away = isQuorateError(fault) ? fault : new QuorateError('server-unreachable', 'it was not reached');
    return { node, statements: away, envelopes: away };
  }
  const [statements, envelopes] = await Promise.all([orFault(store.statements()), orFault(store.envelopes())]);
  return { node, statements, envelopes };
}

async function orFault<T>(reading: Promise<T>): Promise<T | QuorateError> {
  try {
    return await reading;
  } catch (error) {
    if (isQuorateError(error) && error.code !== 'cancelled' && error.code !== 'bug') return error;
    throw error;
  }
}

/** Knows Feldman's commitments itself; for other schemes the configured program decides, by its exit status. */
function publicChecker(context: Context, verifier: string | undefined): CheckPublic {
  return async (headers) => {
    const keys = new Set<string>();
    for (const header of headers) {
      const key = await verifyPublic(header);
      if (key === undefined) return { by: await askVerifier(context, verifier, headers) };
      keys.add(key);
    }
    const [publicKey = ''] = keys;
    return { publicKey, by: 'quorate' };
  };
}

async function askVerifier(
  context: Context,
  verifier: string | undefined,
  headers: readonly Header[],
): Promise<'verifier' | 'nobody'> {
  if (verifier === undefined) return 'nobody';
  const { run } = await context.programs();
  const [first] = headers;
  const asked = {
    ...{ wallet: first?.wallet, epoch: first?.epoch, scheme: first?.scheme, threshold: first?.threshold },
    ...{ previous: first?.previous, commitment: first?.commitment },
    nodes: headers.map(({ node, index }) => ({ node, index })),
  };
  const { status } = await run({
    program: verifier,
    args: [],
    stdin: new TextEncoder().encode(`${JSON.stringify(asked)}\n`),
    statuses: [0, 1],
    timeout: VERIFIER_TIMEOUT,
    signal: context.signal,
    hint: 'A verifier ends with 0 for a sound commitment and with 1 for a wrong one; anything else is no answer.',
  });
  if (status === 0) return 'verifier';
  throw new QuorateError('commitment-mismatch', 'the verifier says that its public commitment is wrong');
}

function findingLines({ output: { paint } }: Context, findings: readonly Finding[]): string[] {
  const words = {
    good: paint.good('good'),
    open: paint.strong('open'),
    wrong: paint.bad('WRONG'),
    unreachable: paint.bad('AWAY'),
  };
  const rows = findings.map(({ verdict, node, epoch, text }) => {
    const where = [
      ...(epoch === undefined ? [] : [`epoch ${epoch.toString()}`]),
      ...(node === undefined ? [] : [node]),
    ];
    return [words[verdict], where.join(', '), text];
  });
  return tableLines(rows);
}
