import { openTicket } from '../../ceremony/apart/joining/ticket.ts';
import type { CeremonyLogin, ConnectedCluster, Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { Peer } from '../../vault/peer.ts';

/** Whose ticket it is, for which ceremony. */
export interface JoinerLogin {
  readonly ticket?: string;
  readonly ceremony: string;
  readonly custodian: string;
}

/**
 * How a custodian's machine logs in: by their ticket, else as their quorate.yaml says, when a server first wants it.
 * HashiCorp Vault takes shares from anybody. A ticket is opened once, however many peers are asked with it.
 */
export function joinerLogin(
  context: Context,
  cluster: ConnectedCluster,
  { ticket, ceremony, custodian }: JoinerLogin,
): CeremonyLogin {
  const held = context.heldLogin(cluster);
  let opened: Promise<Secret> | undefined;
  return {
    async login(peer: Peer) {
      const nobody = { accessor: undefined, policies: [], own: false };
      const { flavour } = await peer.sealStatus({ signal: context.signal });
      if (flavour === 'vault') return { ...nobody, session: peer.session() };
      if (ticket !== undefined) {
        opened ??= openTicket(peer, ticket, { ceremony, custodian });
        return { ...nobody, session: peer.session(await opened) };
      }
      try {
        return await held.login(peer);
      } catch (error) {
        if (!isQuorateError(error, 'token-missing')) throw error;
        throw new QuorateError('token-missing', 'this server takes shares for that from a login only', {
          hint: 'Name the ticket that the administrator issued to you with --ticket, or describe a login of yours under auth in quorate.yaml.',
        });
      }
    },
    async end() {
      await opened?.then(
        (token) => {
          token.wipe();
        },
        () => undefined,
      );
      return held.end();
    },
  };
}
