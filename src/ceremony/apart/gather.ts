import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import type { ShareSet } from '../rotation/share-set.ts';
import type { Apart } from './apart.ts';
import { checkReceipt, isLate, type Signer } from './check.ts';
import type { Invitation } from './invitation.ts';
import { invite, noteTickets } from './inviting.ts';
import { keepLate, keepReceipt, keptReceipts } from './keeping.ts';
import { answerLines, mayCount, parseReceipt, type ReceiptBody } from './receipt.ts';
import type { Task } from './task.ts';

const POLL = 1000;
/** A receipt travels slower than a share: only after this is it called missing. */
const TELL_AFTER = 5000;
const FELL_WAIT = 10_000;
/** After the servers have said that all is done; from then on a receipt only explains it. */
const LOST_AFTER = 900_000;

/** Where the servers stand, which is what decides; receipts say who, and bring what only one of them was told. */
export interface Standing {
  /** How many shares count, all that were needed included. */
  readonly counted: number;
  readonly needed: number;
  /** No further share is wanted: it is done, or gone. */
  readonly over: boolean;
  /** The set was wrong, and the server counts from zero again, where `counted` alone does not show it. */
  readonly fell?: boolean;
  readonly peers: readonly { readonly name: string; readonly status: string }[];
}

export interface Gathering {
  readonly task: Task;
  readonly set: ShareSet;
  /** Whose receipts count; the roster's holders when left out. */
  readonly signers?: readonly Signer[];
  look(held: readonly ReceiptBody[]): Promise<Standing>;
}

export interface Gathered {
  /** `fell`: the set was wrong, and the server counts from zero again. `nobody`: people say that no other will come. */
  readonly kind: 'over' | 'fell' | 'nobody';
  readonly receipts: readonly ReceiptBody[];
}

/**
 * The one place where a ceremony turns to custodians who are not in the room: invites them, watches the servers, and
 * takes their signed receipts until the servers say that it is over and all receipts are here, or nobody hands in
 * another. A receipt that is not right is refused by name, and nothing else happens.
 * @throws QuorateError `roster-invalid` when nobody has an SSH key; whatever `look` throws.
 */
export async function gather(run: Run, apart: Apart, gathering: Gathering): Promise<Gathered> {
  const signers = gathering.signers ?? signersOf(gathering.set);
  const invitation = await invite(run, apart, gathering, signers);
  const held = await heldBefore(run, invitation);
  let [top, said, movedAt, overAt] = [0, 0, Date.now(), 0];
  let fellAt: number | undefined;
  for (;;) {
    run.signal.throwIfAborted();
    const { counted, needed, over, peers, fell = false } = await gathering.look(held);
    if (counted > top) movedAt = Date.now();
    const wrong = held.some(saysWrong);
    if (wrong || fell || (!over && counted < top)) fellAt ??= Date.now();
    const given = held.filter(mayCount).length;
    // The receipt that says so, or those of the others whose shares fell with it, may still be on their way.
    const told = wrong && given >= needed;
    if (told || Date.now() - (fellAt ?? Infinity) > FELL_WAIT) return { kind: 'fell', receipts: held };
    top = Math.max(top, counted);
    const missing = counted - given;
    if (over && overAt === 0) overAt = Date.now();
    if (over && missing <= 0) {
      await noteTickets(run, invitation);
      return { kind: 'over', receipts: held };
    }
    if (missing > 0 && fellAt === undefined && counted !== said && Date.now() - movedAt > TELL_AFTER) {
      said = counted;
      tellMissing(run, { counted, needed, missing, peers, over });
    }
    const text = over && Date.now() - overAt > LOST_AFTER ? null : await apart.next(POLL);
    if (text === undefined) continue;
    if (text !== null) await take(run, apart, invitation, signers, held, text);
    else if (over) return await giveUp(run, held, missing);
    else return { kind: 'nobody', receipts: held };
  }
}

/** Receipts from before an interruption that still count; whoever proves is asked again for what was not accepted. */
async function heldBefore(run: Run, { task: { give, nonce }, round }: Invitation): Promise<ReceiptBody[]> {
  if (give === 'proof') return [];
  const kept = await keptReceipts(run);
  return kept.filter((one) => one.give === give && one.nonce === nonce && one.round === round);
}

function saysWrong({ said }: ReceiptBody): boolean {
  return said.some(({ answer }) => answer === 'wrong set');
}

/** Those who hold these shares, with what their receipts must say of them. */
export function signersOf({ roster, name }: ShareSet): readonly Signer[] {
  if (roster === undefined) {
    throw new QuorateError('roster-invalid', `without a roster nobody can tell whose receipts count for ${name}`, {
      hint: 'Name the roster in quorate.yaml, with the SSH keys of its holders.',
    });
  }
  return roster.shares.map(({ holder, ssh, x, fingerprint }) => ({
    holder,
    ssh,
    share: { x, fingerprint: `sha256:${fingerprint.sha256}` },
  }));
}

async function take(
  run: Run,
  apart: Apart,
  invitation: Invitation,
  signers: readonly Signer[],
  held: ReceiptBody[],
  text: string,
): Promise<void> {
  let who: string | undefined;
  try {
    const receipt = parseReceipt(text);
    who = receipt.body.custodian;
    const key = await apart.signer(receipt);
    const everybody = [...signers, ...(run.roster?.shares ?? [])];
    if (isLate(run, invitation, everybody, receipt, key)) {
      await keepLate(run, receipt, key ?? '');
      run.people.say(`  receipt of ${who}, for an invitation that is over: kept beside the record`);
      return;
    }
    const { ssh = '' } = checkReceipt(run, invitation, signers, held, receipt, key);
    await keepReceipt(run, receipt, ssh);
    held.push(receipt.body);
    run.people.say(`  receipt of ${who}: ${answerLines(receipt.body).join('; ')}`);
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    await run.record({ event: 'share.refused', ...(who === undefined ? {} : { who }), reason: error.code });
    run.people.say(`  refused: ${error.message}`);
    if (error.hint !== undefined) run.people.say(`  ${error.hint}`);
  }
}

function tellMissing(
  run: Run,
  { counted, needed, peers, missing, over }: Standing & { readonly missing: number },
): void {
  const where = peers.map(({ name, status }) => `${name} ${status}`).join(', ');
  const what = missing === 1 ? 'one receipt is' : `${missing.toString()} receipts are`;
  run.people.say(
    over
      ? `  ${where}: all that was needed is given; ${what} missing.`
      : `  ${where}: ${counted.toString()} of ${needed.toString()} count; ${what} missing.`,
  );
  run.people.say('  Have them run the same quorate ceremony join again: it gives the receipt once more.');
  if (over) run.people.say('  Type "lost" when it will not come.');
}

async function giveUp(run: Run, held: readonly ReceiptBody[], missing: number): Promise<Gathered> {
  await run.record({
    event: 'exception',
    expected: 'a signed receipt for each share that counts',
    happened: `${missing.toString()} did not come`,
    decision: 'went on by what the servers say',
    by: 'administrator',
  });
  return { kind: 'over', receipts: held };
}
