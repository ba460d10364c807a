import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Comparison, Question } from '../../separation/compare.ts';
import type { SeparationExport } from '../../separation/model.ts';
import type { Peer } from '../../vault/peer.ts';

/** How long a throwaway server of one peer may take to serve after it was unsealed. Milliseconds. */
const READY_LIMIT = 60_000;

/**
 * Starts a throwaway server on this machine, puts the questions to it, and ends it.
 * @throws QuorateError `server-unsupported` when it is not of the version of the exports; `program-missing`.
 */
export async function askSecondEngine(
  context: Context,
  exports: readonly SeparationExport[],
  questions: readonly Question[],
): Promise<Comparison> {
  const { output, signal } = context;
  return output.progress('asking a throwaway server', async () => {
    const [{ startCluster }, { compareWithServer }, programs] = await Promise.all([
      import('../../rehearsal/cluster.ts'),
      import('../../separation/compare.ts'),
      context.programs(),
    ]);
    const folder = await mkdtemp(join(tmpdir(), 'quorate-separation-'));
    try {
      const binary = await programs.findServer('openbao');
      const cluster = await startCluster({ folder, binary, flavour: 'openbao', peers: 1, audit: false, signal });
      try {
        const [peer] = await context.peersOf(cluster.configFile, 'rehearsal');
        if (peer === undefined) throw new QuorateError('bug', 'the throwaway server has no peer');
        const session = await open(peer, signal);
        try {
          await sameVersion(peer, exports);
          return await compareWithServer(session, questions);
        } finally {
          session.close();
        }
      } finally {
        await cluster.remove();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

async function open(peer: Peer, signal: AbortSignal): Promise<ReturnType<Peer['session']>> {
  const made = await peer.initialise({ shares: 1, threshold: 1, recovery: false }, { signal });
  try {
    const [share] = made.shares;
    if (share === undefined) throw new QuorateError('server-response', 'the throwaway server made no share');
    await peer.unseal(share, { signal });
    const until = Date.now() + READY_LIMIT;
    while (!(await serves(peer))) {
      if (Date.now() > until) throw new QuorateError('server-timeout', 'the throwaway server does not get ready');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return peer.session(made.rootToken);
  } finally {
    made.raw.wipe();
    made.rootToken.wipe();
    for (const share of made.shares) share.wipe();
  }
}

async function serves(peer: Peer): Promise<boolean> {
  try {
    return (await peer.leader()).isSelf;
  } catch (error) {
    if (isQuorateError(error, 'sealed')) return false;
    throw error;
  }
}

async function sameVersion(peer: Peer, exports: readonly SeparationExport[]): Promise<void> {
  const { version, flavour } = await peer.sealStatus();
  const other = exports.find((one) => one.version !== version || one.flavour !== flavour);
  if (other === undefined) return;
  throw new QuorateError(
    'server-unsupported',
    `${other.cluster} runs ${other.flavour} ${other.version}, and the server on this machine is ${flavour} ${version}`,
    { hint: 'Name a bao of the same version in QUORATE_BAO.' },
  );
}
