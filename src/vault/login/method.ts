import type { AuthMethod, AuthOf } from '../../auth.ts';
import type { Environment } from '../environment.ts';
import type { CallOptions, Peer } from '../peer.ts';
import type { Secret } from '../../secret.ts';
import type { Login } from './outcome.ts';

/** Where a login looks for what the settings do not hold. */
export interface Surroundings {
  readonly env: Environment;
  /** The user's home folder. */
  readonly home: string;
  /** Asks a person; called only when it is needed. */
  readonly password?: () => Promise<Secret>;
  readonly signal?: AbortSignal;
  /**
   * A token that is at hand already is not looked up: its first use tells whether it is any good. The login then names
   * neither accessor nor policies.
   */
  readonly unchecked?: boolean;
  /** Secret ids that were unwrapped, which can be done once only, by their files. Whoever gives it wipes them. */
  readonly unwrapped?: Map<string, Secret>;
}

/** One way to log in on a server. */
export type LoginMethod<M extends AuthMethod> = (
  peer: Peer,
  auth: AuthOf<M>,
  surroundings: Surroundings,
  options: CallOptions,
) => Promise<Login>;
