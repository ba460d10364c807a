import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../../../errors.ts';
import type { Peer } from '../../../vault/peer.ts';
import type { Given } from '../../asking.ts';
import { askUntil } from '../../by-hand.ts';
import type { Run } from '../../kind.ts';
import { asking, presentShares } from '../../rotation/share-set.ts';
import { named } from '../../unseal/target.ts';
import { unsealPeers } from '../../unseal/unsealing.ts';
import { JOIN_TIMEOUT } from '../init/unseal.ts';
import { describeLook, isOver, type Look, lookAt, STAGE } from './look.ts';
import { type MigrateSealScript, SHAMIR, sharesOf } from './script.ts';

/** `before`: the cluster's keys are under the old seal. `after`: they are under the new one. */
export type Phase = 'before' | 'after';

/** A peer wants the shares right after it was restarted, several times an hour, and for another call than unseal is. */
export const NOT_APART =
  'a seal is not changed with custodians apart: each peer takes their shares when it has just been restarted';

const ROUNDS = 6;
const OPENS_WITHIN = 60_000;
const POLL = 500;

export interface BringOver {
  readonly script: MigrateSealScript;
  readonly phase: Phase;
  /** Shares given so far; they serve every peer, and whoever made the list wipes them. */
  readonly kept: Given[];
}

/**
 * Takes one peer to the new seal: people change its configuration and restart it, it says so, and it is opened: by
 * shares with `migrate`, by shares alone, or by the seal itself, as it says that it needs. Begins wherever the peer is.
 * @returns whether it opened with the new stanza alone, as it will from now on.
 * @throws QuorateError `not-ready`, and what the asking for shares throws.
 */
export async function bringOver(run: Run, peer: Peer, options: BringOver): Promise<boolean> {
  const { script, phase } = options;
  let migrated = phase === 'before';
  for (let round = 0; round < ROUNDS; round += 1) {
    const look = await lookAt(run, peer);
    if (isOver(run, peer, look, script) || (phase === 'after' && isReady(look, options) && look.kind === 'open')) {
      await recordStage(run, peer, look, { state: 'open', to: script.to });
      return !migrated;
    }
    if (look.kind !== 'sealed' || !isReady(look, options)) {
      await instruct(run, peer, options);
      continue;
    }
    const expected = phase === 'before' ? { migration: true } : {};
    await recordStage(run, peer, look, { state: 'sealed', to: script.to, ...expected });
    if (look.seal.migration) migrated = true;
    await openSealed(run, peer, look, options);
  }
  throw new QuorateError('not-ready', `${peer.name}: ${describeLook(await lookAt(run, peer))}`, {
    hint: `See the log of ${peer.name}. Leave the other peers as they are, and resume the ceremony.`,
  });
}

/**
 * Whether the peer has been started with what its configuration is to have, as far as it says so: where both seals are of
 * one type, only that a migration is pending tells.
 */
function isReady(look: Look, { script: { from, to }, phase }: BringOver): boolean {
  if ((look.kind !== 'sealed' && look.kind !== 'open') || look.type !== to) return false;
  return from !== to || phase === 'after' || (look.kind === 'sealed' && look.seal.migration);
}

async function instruct(run: Run, peer: Peer, options: BringOver): Promise<void> {
  const { script, phase } = options;
  for (const line of stanzaLines(script, phase)) run.people.say(line);
  await askUntil(run, {
    say: instruction(script, phase, peer.name),
    why: async () => {
      const look = await lookAt(run, peer);
      return isReady(look, options) ? undefined : named(peer.name, describeLook(look));
    },
  });
}

/** What people are told to do to one server. */
export function instruction({ from, to }: MigrateSealScript, phase: Phase, peer: string): string {
  const then = `Then restart the server of ${peer}, and no other.`;
  const [which, other] = from === to ? ['new ', 'old '] : ['', ''];
  const fresh = `the ${which}${to} stanza`;
  const old = `the ${other}${from} stanza with disabled = "true"`;
  if (phase === 'before') {
    const both = from === SHAMIR ? fresh : to === SHAMIR ? old : `${fresh}, and ${old}`;
    return `Put ${both} into the configuration of the server of ${peer}. ${then}`;
  }
  const only =
    to === SHAMIR
      ? `Take every seal stanza out of the configuration of the server of ${peer}.`
      : `Have ${fresh}, and no other, in the configuration of the server of ${peer}.`;
  const behind =
    from === to
      ? ` Should it not open itself, because it has missed the migration: with ${old}.`
      : ` Should it not start (no disabled seal in configuration): with ${old}.`;
  return `${only} ${then}${from === SHAMIR ? '' : behind}`;
}

/** The stanzas, as they belong into the file. */
function stanzaLines({ from, to, ...script }: MigrateSealScript, phase: Phase): readonly string[] {
  const lines = (type: string, text: string | undefined, extra: readonly string[]): string[] => {
    const known = text?.trimEnd().split('\n') ?? [`seal "${type}" {`, '  # as it is', '}'];
    const end = known.findLastIndex((one) => one.trim() === '}');
    return [...known.slice(0, end), ...extra, ...known.slice(end)].map((one) => `    ${one}`);
  };
  return [
    '',
    ...(to === SHAMIR ? [] : lines(to, script.stanza, [])),
    ...(from === SHAMIR || phase === 'after' ? [] : lines(from, script['old-stanza'], ['  disabled = "true"'])),
  ];
}

async function openSealed(
  run: Run,
  peer: Peer,
  look: Extract<Look, { kind: 'sealed' }>,
  { script, kept }: BringOver,
): Promise<void> {
  const { seal } = look;
  if (!seal.migration && script.to !== SHAMIR) {
    await waitUntilOpen(run, peer, script.to);
    return;
  }
  if (run.apart !== undefined) throw new QuorateError('usage', NOT_APART, { hint: 'Resume it without --apart.' });
  const name = `the ${sharesOf(seal.migration ? script.from : script.to)} shares`;
  const { left } = await unsealPeers(asking(run, presentShares(run, name)), [{ peer, seal }], {
    ...(run.roster === undefined ? {} : { roster: run.roster }),
    unlistedShare: false,
    joinTimeout: JOIN_TIMEOUT,
    migrate: seal.migration,
    kept,
  });
  // What the peer itself says counts: between two seals it answers in its own way.
  const after = await lookAt(run, peer);
  if (after.kind === 'open') return;
  const [still] = left;
  throw new QuorateError('not-ready', named(peer.name, still?.why ?? describeLook(after)), {
    hint: 'Resume the ceremony when those who hold the shares are there.',
  });
}

/** A seal opens its server by itself, once it has been restarted. @throws QuorateError `not-ready`. */
export async function waitUntilOpen(run: Run, peer: Peer, to: string): Promise<void> {
  const deadline = Date.now() + OPENS_WITHIN;
  for (;;) {
    const look = await lookAt(run, peer);
    if (look.kind === 'open' && look.type === to) return;
    if (Date.now() > deadline) {
      throw new QuorateError('not-ready', `${peer.name} has not opened itself: ${describeLook(look)}`, {
        hint: 'Does the seal answer, and is its stanza the only one? See its log, restart it, and resume the ceremony.',
      });
    }
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

/** What a peer should say at a stage, and what it says. */
export async function recordStage(
  run: Run,
  peer: Peer,
  look: Look,
  expected: { readonly state: 'sealed' | 'open'; readonly to: string; readonly migration?: boolean },
): Promise<void> {
  const type = look.kind === 'sealed' || look.kind === 'open' ? look.type : 'unknown';
  const pending =
    look.kind === 'sealed' ? look.seal.migration : look.kind === 'open' ? look.type !== look.stored : undefined;
  await run.record({
    event: 'check',
    code: STAGE,
    ok: type === expected.to && look.kind === expected.state,
    finding: named(peer.name, describeLook(look)).slice(0, 390),
    facts: {
      'peer': peer.name,
      'expected state': expected.state,
      'expected seal': expected.to,
      ...(expected.migration === undefined ? {} : { 'expected migration': expected.migration }),
      'actual state': look.kind,
      'actual seal': type,
      ...(pending === undefined ? {} : { 'actual migration': pending }),
    },
  });
  run.people.say(`  ${named(peer.name, describeLook(look))}`);
}
