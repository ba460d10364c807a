import { join } from 'node:path';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import type { Run } from '../kind.ts';
import { clusterLeader } from '../leadership.ts';
import type { RecordLine } from '../record/events.ts';
import { SCRIPT_FILE } from '../record/folder.ts';
import type { ShareSet } from '../rotation/share-set.ts';
import { surveyPeers } from '../survey.ts';
import type { Apart } from './apart.ts';
import type { Signer } from './check.ts';
import { type HandedOut, handedOut, INVITATION } from './handed-out.ts';
import { type Invitation, invitationDigest } from './invitation.ts';
import type { Task } from './task.ts';
import { pinTickets } from './tickets.ts';

/** What is true of every ticket, and what the report says. */
export const TICKETS =
  'custodians have tickets for this ceremony: the audit log names them. Who issues tickets could use them; the signed receipts are the proof';

/** How often a set of shares has turned out wrong; a resumed ceremony counts the same. */
function roundOf(run: Run): number {
  return run.events.filter((one) => one.event === 'share.refused' && one.reason === 'shares-wrong').length;
}

type Started = Extract<RecordLine, { event: 'step.started' }>;

function currentStep(run: Run): Started {
  const started = run.events.findLast((one) => one.event === 'step.started');
  if (started?.event === 'step.started') return started;
  throw new QuorateError('bug', 'an invitation before the first step');
}

/**
 * The nonce of the last invitation in this step to give this, where it is this ceremony's own: with it a resumed
 * ceremony takes receipts for an invitation from before. Undefined where there is none, or something was issued since.
 */
export function standingNonce(run: Run, give: Task['give']): string | undefined {
  const { id } = currentStep(run);
  const { namespace = '' } = run.cluster;
  const before = handedOut(run.events).filter((one) => one.namespace === namespace);
  const last = before.findLast((one) => one.give === give && one.step === id);
  const issued = run.events.findLastIndex(({ event }) => event === 'share.issued');
  return last === undefined || last.index < issued ? undefined : last.nonce;
}

/**
 * Records an invitation, binds the tickets to it, and hands it out.
 * @throws QuorateError `roster-invalid` when nobody has an SSH key.
 */
export async function invite(
  run: Run,
  apart: Apart,
  { task, set }: { readonly task: Task; readonly set: ShareSet },
  signers: readonly Signer[],
): Promise<Invitation> {
  const without = signers.filter(({ ssh }) => ssh === undefined).map(({ holder }) => holder);
  if (without.length === signers.length) {
    throw new QuorateError(
      'roster-invalid',
      'no custodian has an SSH key in the roster, so that no receipt can count',
      {
        hint: 'Custodians enroll with --ssh-key; in scripts their key stands under ssh.',
      },
    );
  }
  if (without.length > 0) run.people.say(`  ${without.join(', ')}: no SSH key is known, so that no receipt can count.`);
  const opened = run.events.find((one) => one.event === 'ceremony.opened');
  if (opened?.event !== 'ceremony.opened') throw new QuorateError('bug', 'an invitation before the first step');
  const started = currentStep(run);
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const clusterId = surveys.find(({ seal }) => seal?.clusterId !== undefined)?.seal?.clusterId;
  const administrator = run.events.find((one) => one.event === 'participant' && one.role === 'administrator');
  const invitation: Invitation = {
    invitation: 1,
    ceremony: opened.id,
    ...(administrator?.event === 'participant' ? { administrator: administrator.name } : {}),
    ...(run.cluster.namespace === undefined ? {} : { namespace: run.cluster.namespace }),
    script: await readText(join(run.folder, SCRIPT_FILE)),
    step: { number: started.step, id: started.id, title: started.title },
    task,
    round: roundOf(run),
    ...(clusterId === undefined ? {} : { clusterId }),
    peers: run.cluster.peers.map(({ name, certificate }) => ({
      name,
      ...(certificate === undefined ? {} : { certificate }),
    })),
    wanted: set.name,
    ...(set.roster === undefined ? {} : { roster: set.roster }),
    rehearsal: opened.id.includes('-rehearsal-'),
  };
  const { give, nonce } = task;
  await run.record({
    event: 'check',
    code: INVITATION,
    ok: true,
    finding: `custodians were invited to take part from their own machines (${give})`,
    facts: {
      digest: invitationDigest(invitation),
      give,
      step: started.id,
      nonce,
      ...(run.cluster.namespace === undefined ? {} : { namespace: run.cluster.namespace }),
    },
  });
  // Whoever has the invitation may use their ticket at once.
  await bindTickets(run, invitation);
  await apart.invite(invitation);
  return invitation;
}

/** Whether a ticket is of use for what was asked: of a namespace nobody sees anything without a token. */
export function wantsTickets({ give, namespace }: Pick<HandedOut, 'give' | 'namespace'>): boolean {
  return namespace !== '' || ['rotation', 'verification', 'root-token'].includes(give);
}

/** Says in the record that there are tickets, should they have been issued after the invitation. Never throws for a server's fault. */
export async function noteTickets(run: Run, invitation: Invitation): Promise<void> {
  await bindTickets(run, invitation).catch((error: unknown) => {
    if (!isQuorateError(error) || error.code === 'bug') throw error;
  });
}

async function bindTickets(run: Run, invitation: Invitation): Promise<void> {
  const { namespace, home = '' } = run.cluster;
  if (!wantsTickets({ give: invitation.task.give, namespace: namespace ?? '' })) return;
  const peer = await clusterLeader(run);
  if ((await peer.sealStatus({ signal: run.signal })).flavour !== 'openbao') return;
  const { session } = await run.login(peer);
  try {
    const bound = await pinTickets(session.inNamespace(home), invitation, home);
    if (bound !== true || run.events.some((one) => one.event === 'note' && one.text === TICKETS)) return;
    await run.record({ event: 'note', text: TICKETS });
  } catch (error) {
    if (!isQuorateError(error, 'denied')) throw error;
    run.people.say(`  ${error.message}: the tickets still open what came before. ${error.hint ?? ''}`);
  } finally {
    session.close();
  }
}
