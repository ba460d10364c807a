import { QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import { type Collection, collectShares, withOperation } from './collect.ts';
import type { RotationPurpose } from './operation.ts';
import type { ShareSet } from './share-set.ts';
import { sweep } from './sweep.ts';

export interface Drilled {
  readonly opens: boolean;
  /** Whose shares did, as far as a roster knows. */
  readonly givers: readonly string[];
}

/**
 * Finds out whether a set of shares opens the cluster, and changes nothing: a 1-of-1 rotation with verification, which
 * is cancelled once the server has said that the shares are right. Its one void share is encrypted to a key that
 * nobody holds, so that not even a ghost of it on another peer can be brought alive.
 */
export async function shareDrill(
  run: Run,
  purpose: RotationPurpose,
  set: ShareSet,
  options: { readonly refusalIsAnswer?: boolean; readonly tolerate?: boolean } = {},
): Promise<Drilled> {
  const { binaryBase64 } = await run.tools.discardedKey();
  const request = { shares: 1, threshold: 1, pgpKeys: [binaryBase64], backup: false };
  const attempt = async (collection: Collection): Promise<Drilled> => {
    const outcome = await collectShares(run, collection, set, { refusalIsAnswer: options.refusalIsAnswer ?? false });
    const { operation, nonce } = collection;
    if (outcome.kind === 'complete' && outcome.issued !== undefined && outcome.issued.fingerprints.length !== 1) {
      throw new QuorateError('server-response', `${operation.peer} issued the void share of a drill unencrypted`, {
        hint: 'The drill was cancelled. Treat the reply as a share of nothing; look at the version of the server.',
      });
    }
    await operation.cancel(nonce);
    return { opens: outcome.kind === 'complete', givers: outcome.kind === 'complete' ? outcome.givers : [] };
  };
  const tolerate = options.tolerate ?? false;
  const drilled = await withOperation(run, purpose, 'drill', request, attempt, { tolerate });
  await sweep(run, { tolerate });
  return drilled;
}
