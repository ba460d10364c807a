import { isQuorateError, QuorateError } from '../errors.ts';
import { hashOf, type Header, SHARE } from './envelope.ts';
import { COMMIT, commitOf, type EpochView, type Published, viewOf, type Wallet, type WalletView } from './epochs.ts';
import { unionOf } from './kv-store.ts';
import { isSignedBy, readStatement, type Signed } from './statement.ts';

/** What one store holds; each part the fault where it could not be read. */
export interface SeenStore {
  readonly node: string;
  readonly statements: readonly Published[] | QuorateError;
  /** An operator may not read them, and need not. */
  readonly envelopes: readonly Signed[] | QuorateError;
}

/** One thing that was looked at. `open` is no fault: it is not there yet, could not be seen, or nobody can check it. */
export interface Finding {
  readonly verdict: 'good' | 'open' | 'wrong' | 'unreachable';
  readonly node?: string;
  readonly epoch?: number;
  readonly text: string;
}

/**
 * Whether the public commitment of an epoch is sound. @returns the wallet's public key where it is known, and whether
 * anybody checked. @throws QuorateError `commitment-mismatch`.
 */
export type CheckPublic = (
  headers: readonly Header[],
) => Promise<{ readonly publicKey?: string; readonly by: 'quorate' | 'verifier' | 'nobody' }>;

/** Looks at everything that all stores hold, without decrypting anything. Nothing that is wrong ends it early. */
export async function verifyWallet(
  wallet: Wallet,
  stores: readonly SeenStore[],
  checkPublic: CheckPublic,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const lists = new Map<string, readonly Published[]>();
  for (const { node, statements } of stores) {
    if (statements instanceof QuorateError) {
      // What is there and is no list of statements is worse than a server that is away.
      const verdict = statements.code === 'statement-invalid' ? 'wrong' : 'unreachable';
      findings.push({ verdict, node, text: `its store: ${statements.message}` });
    } else lists.set(node, statements);
  }
  const all = unionOf(...lists.values());
  const view = attempt(findings, () => viewOf(wallet, all));
  if (view === undefined) return findings;
  findings.push(...storeFindings(wallet, lists, all));
  const epochs = relevant(view);
  if (view.committed === 0) findings.push({ verdict: 'open', text: 'no epoch is committed' });
  const keys = new Map<number, string>();
  for (const epoch of epochs) {
    findings.push(...epochFindings(wallet, view, epoch));
    const headers = [...epoch.staged.values()].map(({ header }) => header);
    const key = await publicFinding(findings, epoch, headers, checkPublic);
    if (key !== undefined) keys.set(epoch.epoch, key);
  }
  if (new Set(keys.values()).size > 1) {
    findings.push({ verdict: 'wrong', text: `epochs ${[...keys.keys()].join(' and ')} have different public keys` });
  }
  for (const store of stores) findings.push(...envelopeFindings(wallet, epochs, store));
  return findings;
}

/** The committed epoch, what is on its way to be next, and the one before while it is not given up by all. */
function relevant({ epochs, committed }: WalletView): readonly EpochView[] {
  const current = epochs.get(committed);
  const before = current?.commit === undefined ? 0 : readStatement(COMMIT, current.commit).previous;
  return [...epochs.values()]
    .filter(({ epoch, abandoned, retired }) => {
      if (epoch > committed) return abandoned.size === 0;
      return epoch === committed || (epoch === before && retired.size === 0);
    })
    .toSorted((a, b) => a.epoch - b.epoch);
}

function storeFindings(
  wallet: Wallet,
  lists: ReadonlyMap<string, readonly Published[]>,
  all: readonly Published[],
): Finding[] {
  return [...lists].flatMap(([node, list]): Finding[] => {
    const rejected = attempt([], () => viewOf(wallet, list))?.rejected ?? 0;
    const lacks = all.length - unionOf(list).length;
    if (rejected > 0) {
      return [
        { verdict: 'wrong', node, text: `${count(rejected, 'statement')} in its store that no pinned node signed` },
      ];
    }
    if (lacks > 0) {
      const text = `its store lacks ${count(lacks, 'statement')}: quorate shares refresh carries them`;
      return [{ verdict: 'open', node, text }];
    }
    return [{ verdict: 'good', node, text: `${count(list.length, 'statement')}, all signed by pinned nodes` }];
  });
}

function epochFindings(wallet: Wallet, view: WalletView, epoch: EpochView): Finding[] {
  const findings: Finding[] = [];
  const names = [...wallet.nodes.keys()].sort();
  const without = (has: { has(node: string): boolean }): string => names.filter((name) => !has.has(name)).join(', ');
  const tell = (verdict: Finding['verdict'], text: string): void => {
    findings.push({ verdict, epoch: epoch.epoch, text });
  };
  if (epoch.commit === undefined) {
    const [unstaged, unsigned] = [without(epoch.staged), without(epoch.votes)];
    const agreed = attempt(findings, () => commitOf(wallet, epoch), epoch.epoch);
    if (unstaged !== '') tell('open', `not staged by ${unstaged}`);
    else if (agreed !== undefined) tell('open', `staged by all; not signed by ${unsigned}`);
    return findings;
  }
  const named = readStatement(COMMIT, epoch.commit);
  const restated = attempt(findings, () => commitOf(wallet, epoch), epoch.epoch);
  if (restated === undefined) {
    // Without all of them in the stores nobody can see that the record is of one set.
    if (findings.length === 0)
      tell('wrong', `its commit record is there, but not what ${without(epoch.staged)} staged`);
  } else if (JSON.stringify(restated) === JSON.stringify(named))
    tell('good', 'committed: one set, signed by all nodes');
  else tell('wrong', 'its commit record names other shares than the nodes staged');
  const unacknowledged = without(epoch.acknowledged);
  if (epoch.epoch === view.committed) {
    tell(
      unacknowledged === '' ? 'good' : 'open',
      unacknowledged === '' ? 'acknowledged by all' : `not acknowledged by ${unacknowledged}`,
    );
  }
  return findings;
}

async function publicFinding(
  findings: Finding[],
  { epoch }: EpochView,
  headers: readonly Header[],
  checkPublic: CheckPublic,
): Promise<string | undefined> {
  const [first] = headers;
  if (first === undefined) return undefined;
  try {
    const { publicKey, by } = await checkPublic(headers);
    const text =
      by === 'nobody'
        ? `its public commitment is unchecked: ${first.scheme} is not known here, and no verifier is configured`
        : `its public commitment is sound (${first.scheme}${by === 'verifier' ? ', says the verifier' : ''})`;
    findings.push({ verdict: by === 'nobody' ? 'open' : 'good', epoch, text });
    return publicKey;
  } catch (error) {
    if (!isQuorateError(error, 'commitment-mismatch')) throw error;
    findings.push({ verdict: 'wrong', epoch, text: error.message });
    return undefined;
  }
}

function envelopeFindings(wallet: Wallet, epochs: readonly EpochView[], { node, envelopes }: SeenStore): Finding[] {
  if (envelopes instanceof QuorateError) {
    if (envelopes.code === 'statement-invalid') return [{ verdict: 'wrong', node, text: envelopes.message }];
    const text = 'its encrypted shares were not seen: this login may not read them, and need not';
    return envelopes.code === 'denied' ? [{ verdict: 'open', node, text }] : [];
  }
  const unreadable: Finding[] = [];
  const stored = new Map<number, Signed>();
  for (const one of envelopes) {
    const read = attempt(unreadable, () => readStatement(SHARE, one.text), undefined, node);
    if (read !== undefined) stored.set(read.header.epoch, one);
  }
  const found = epochs.flatMap(({ epoch, staged }): Finding[] => {
    const stated = staged.get(node);
    if (stated === undefined) return [];
    const one = stored.get(epoch);
    if (one === undefined) return [{ verdict: 'wrong', node, epoch, text: 'its encrypted share is not in its store' }];
    if (!isSignedBy(SHARE.format, one, wallet.nodes) || one.node !== node) {
      return [{ verdict: 'wrong', node, epoch, text: 'its stored share was not signed by it' }];
    }
    if (hashOf(one.text) !== stated.envelope) {
      return [{ verdict: 'wrong', node, epoch, text: 'its stored share is not the one that it staged' }];
    }
    return [{ verdict: 'good', node, epoch, text: 'its encrypted share is stored, as it was staged' }];
  });
  return [...unreadable, ...found];
}

function attempt<T>(findings: Finding[], look: () => T, epoch?: number, node?: string): T | undefined {
  try {
    return look();
  } catch (error) {
    if (!isQuorateError(error)) throw error;
    const where = { ...(epoch === undefined ? {} : { epoch }), ...(node === undefined ? {} : { node }) };
    findings.push({ verdict: 'wrong', ...where, text: error.message });
    return undefined;
  }
}

function count(number: number, what: string): string {
  return `${number.toString()} ${what}${number === 1 ? '' : 's'}`;
}
