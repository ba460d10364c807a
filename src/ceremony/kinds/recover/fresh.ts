import { isQuorateError, QuorateError } from '../../../errors.ts';
import type { Peer, Session } from '../../../vault/peer.ts';
import type { Run, Step } from '../../kind.ts';
import { activePeer } from '../../leadership.ts';
import { surveyPeer, surveyPeers } from '../../survey.ts';
import { askUntil } from '../../by-hand.ts';
import type { RecoverScript } from './script.ts';
import { chosenPeer, recordRestored, restored, snapshotSource, tornRotation } from './source.ts';

const FORCE = 'sys/storage/raft/snapshot-force';
const ASIDE = 'where the old data folders are';

/**
 * The login on the peer while it is nobody's yet. It lives in memory alone: what it opens is overwritten by the
 * snapshot within this sitting, and an interruption starts again with an empty folder.
 */
export class Throwaway {
  session: Session | undefined;

  close(): void {
    this.session?.close();
    this.session = undefined;
  }
}

/** People lay the old data aside and start one peer with none; quorate sees that it is so. */
export function emptyStep(script: RecoverScript): Step {
  return {
    id: 'empty',
    title: 'all peers are stopped, their data is set aside, and one starts with an empty data folder',
    who: 'administrator',
    done: async (run) => restored(run) || (await whyNotEmpty(run, chosenPeer(run, script))) === undefined,
    async run(run) {
      const peer = chosenPeer(run, script);
      if (!run.events.some((one) => one.event === 'people' && Object.hasOwn(one.fields, ASIDE))) {
        const say =
          'Stop the servers of ALL peers. Move each data folder aside, and delete none of them: they are the only ' +
          'copy of what was written since the snapshot.';
        const fields = await run.people.act({ say, fields: [ASIDE] });
        await run.record({ event: 'people', say, fields: { ...fields } });
      }
      await askUntil(run, {
        say: `Start the server of ${peer.name}, and no other, with a new empty data folder.`,
        why: () => whyNotEmpty(run, peer),
      });
      await run.record({
        event: 'check',
        code: 'empty',
        ok: true,
        finding: `${peer.name} is not initialised; no other peer answers`,
      });
    },
  };
}

/** What is still in the way of an empty cluster of one peer. */
async function whyNotEmpty(run: Run, peer: Peer): Promise<string | undefined> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal, timeout: 5000 });
  const others = surveys.filter((one) => one.peer !== peer && one.state !== 'unreachable');
  if (others.length > 0) return `${others.map((one) => one.peer.name).join(', ')} still answers`;
  const own = surveys.find((one) => one.peer === peer);
  if (own?.state === 'uninitialised') {
    return own.seal?.type === 'shamir' ? undefined : `${peer.name} has another seal than the snapshot's (shamir)`;
  }
  return own?.state === 'unreachable'
    ? `${peer.name} does not answer`
    : `${peer.name} is initialised (${own?.state ?? 'unknown'}): its data folder was not empty`;
}

/** A cluster that lives for some seconds, so that it can be told to become the old one. */
export function initialiseStep(script: RecoverScript, throwaway: Throwaway): Step {
  return {
    id: 'initialise',
    title: 'the empty peer is initialised with a share that nobody sees and that opens nothing afterwards',
    who: 'administrator',
    done: (run) => Promise.resolve(restored(run)),
    async run(run) {
      const peer = chosenPeer(run, script);
      const reply = await peer.initialise({ shares: 1, threshold: 1, recovery: false });
      const [share] = reply.shares;
      try {
        await run.record({
          event: 'request',
          peer: peer.name,
          request: 'PUT sys/init',
          expected: { status: 200, shares: 1 },
          actual: { status: 200, shares: reply.shares.length },
        });
        if (share === undefined || reply.rootToken.length === 0) {
          throw new QuorateError('server-response', `${peer.name} answered the init in an unknown shape`, {
            hint: 'Nothing is lost: resume, and give it an empty data folder again.',
          });
        }
        await peer.unseal(share);
        await activePeer({ cluster: { name: run.cluster.name, peers: [peer] }, signal: run.signal });
        throwaway.session = peer.session(reply.rootToken);
      } finally {
        for (const secret of [reply.raw, reply.rootToken, ...reply.shares]) secret.wipe();
      }
    },
  };
}

/** The snapshot replaces everything that the peer holds, its seal too. */
export function restoreStep(script: RecoverScript, throwaway: Throwaway): Step {
  return {
    id: 'restore',
    title: 'the snapshot is forced into the peer; data, tokens and the old shares come back',
    who: 'administrator',
    done: (run) => Promise.resolve(restored(run)),
    async run(run) {
      const { session } = throwaway;
      if (session === undefined) throw new QuorateError('bug', 'a snapshot without a peer to restore it into');
      try {
        const peer = chosenPeer(run, script);
        const torn = await tornRotation(run, script);
        const source = await snapshotSource(torn.path);
        const sent = await run.people.progress(`sending the snapshot to ${peer.name}`, () =>
          session.upload(FORCE, source, { signal: run.signal }).catch(async (error: unknown) => {
            throw await notTaken(run, peer, error);
          }),
        );
        await run.record({
          event: 'request',
          peer: peer.name,
          request: `POST ${FORCE}`,
          expected: { digest: torn.digest },
          actual: { digest: `sha256:${sent.sha256}`, size: sent.size },
        });
        if (`sha256:${sent.sha256}` !== torn.digest) {
          throw new QuorateError('record-invalid', 'the snapshot changed between its check and its upload', {
            hint: `What ${peer.name} holds now is worth nothing. Find the right file and resume with an empty data folder.`,
          });
        }
        await recordRestored(run, `${peer.name} took the snapshot of ${torn.taken}`);
      } finally {
        throwaway.close();
      }
    },
  };
}

/** Whatever the server made of it: nothing that anybody needs is on that peer. */
async function notTaken(run: Run, peer: Peer, error: unknown): Promise<unknown> {
  if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') return error;
  const { state } = await surveyPeer(peer, { signal: run.signal });
  return new QuorateError(error.code, `${error.message}; the peer is ${state}`.slice(0, 390), {
    hint: `Nothing is lost: resume the ceremony, which begins again with an empty data folder on ${peer.name}.`,
  });
}
