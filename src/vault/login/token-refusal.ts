import { isQuorateError, QuorateError } from '../../errors.ts';
import type { CallOptions, Peer } from '../peer.ts';
import { type Claims, readClaims } from './claims.ts';
import type { Understand } from './outcome.ts';
import type { Secret } from '../../secret.ts';

/** A login with a signed token. */
export interface TokenLogin {
  readonly peer: Peer;
  readonly mount: string;
  readonly role: string;
  readonly token: Secret;
  readonly options: CallOptions;
  /** Whether the server has the token reviewed by Kubernetes. */
  readonly reviewed?: boolean;
}

/** What clocks may differ by before that is blamed: servers forgive about a minute. */
const SKEW = 30_000;

/**
 * Why a server refused a signed token. Texts of OpenBao 2.7.2 and Vault 1.14.0, which say the same.
 * @returns `login-audience`, `login-claims` (what the role is bound to), `login-expired`, `login-clock`,
 * `login-untrusted` (its signer, its issuer, or Kubernetes' review), `login-role`; undefined for all else.
 */
export function understandToken(login: TokenLogin): Understand {
  const { peer, mount, role, token, reviewed = false } = login;
  const at = `auth/${mount}`;
  return async ({ status, errors }) => {
    if (status !== 400 && status !== 403) return undefined;
    const says = (text: RegExp): RegExpExecArray | undefined =>
      errors.map((line) => text.exec(line)).find((match) => match !== null) ?? undefined;
    const claims = readClaims(token);
    if (says(/\(exp\) claim|token is expired|\(nbf\) claim|\(iat\) claim/)) {
      const early = says(/\(nbf\)|\(iat\)/) !== undefined;
      return timeRefusal({ peer: peer.name, at, early, claims, skew: await skewOf(login) });
    }
    if (says(/audience/i)) {
      return new QuorateError('login-audience', `the token is for another audience than the role ${role} takes`, {
        hint: `Ask for one with an audience that bound_audiences of the role names.${saying(claims, 'aud')}`,
      });
    }
    if (says(/service account name not authorized|namespace not authorized/i)) {
      return new QuorateError('login-claims', `the role ${role} at ${at} is for other service accounts`, {
        hint: `Compare its bound service account names and namespaces.${saying(claims, 'sub')}`,
      });
    }
    const [, claim] = says(/claim "([\w./:-]{1,80})" (?:does not match|is missing|not found)/) ?? [];
    if (claim !== undefined || says(/validating claims/i)) {
      const named = claim === undefined ? 'a claim' : `its claim ${claim}`;
      return new QuorateError('login-claims', `the role ${role} at ${at} is not for this token: ${named} differs`, {
        hint: `Compare bound_claims of the role: is it for another repository, branch or environment?${saying(claims, claim ?? 'sub')}`,
      });
    }
    if (says(/issuer/i)) {
      return new QuorateError('login-untrusted', `${at} believes another issuer than this token's`, {
        hint: `Compare bound_issuer of the method's configuration.${saying(claims, 'iss')}`,
      });
    }
    if (says(/invalid role name|role .{0,80}could not be found|unknown role/i)) {
      return new QuorateError('login-role', `${peer.name} has no role ${role} at ${at}`, {
        hint: 'Is it spelled right, and is the mount the right one?',
      });
    }
    if (says(/signature|three parts|malformed/i)) {
      return new QuorateError(
        'login-untrusted',
        claims === undefined
          ? 'what was given as a token is no signed token'
          : `no key that ${at} believes has signed this token`,
        {
          hint: `Is the method configured for the system that issued it?${saying(claims, 'iss')}`,
        },
      );
    }
    if (!reviewed || status !== 403) return undefined;
    // The server gives its reason to its own log only.
    if ((claims?.expires ?? Infinity) < Date.now()) {
      return timeRefusal({ peer: peer.name, at, early: false, claims, skew: undefined });
    }
    return new QuorateError(
      'login-untrusted',
      `${peer.name} denied the login at ${at}: Kubernetes did not confirm it`,
      {
        hint: 'Is the method enabled there, can the server reach the Kubernetes API, may its reviewer create TokenReviews, and does the service account still exist? The server log says which (level debug).',
      },
    );
  };
}

function saying(claims: Claims | undefined, name: string): string {
  const value = claims?.show(name);
  return value === undefined ? '' : ` The token says ${name} = ${value}.`;
}

/** Milliseconds that the server is ahead of this machine; undefined where it does not say. */
async function skewOf({ peer, options }: TokenLogin): Promise<number | undefined> {
  try {
    const { serverTime, localTime } = await peer.health(options);
    return serverTime - localTime;
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'bug' || error.code === 'cancelled') throw error;
    return undefined;
  }
}

/** What a token is refused for that has ended, or has not begun, by the server's clock. */
export function timeRefusal(seen: {
  readonly peer: string;
  readonly at: string;
  /** Whether it has not begun. */
  readonly early: boolean;
  readonly claims: Pick<Claims, 'expires' | 'begins'> | undefined;
  /** As `skewOf`. */
  readonly skew: number | undefined;
  readonly now?: number;
}): QuorateError {
  const { peer, at, early, claims, skew = 0, now = Date.now() } = seen;
  const seconds = (ms: number): string => `${Math.round(Math.abs(ms) / 1000).toString()} s`;
  const clocks =
    Math.abs(skew) < SKEW
      ? ''
      : ` The clock of ${peer} is ${seconds(skew)} ${skew > 0 ? 'ahead' : 'behind'} of this machine's.`;
  if (early) {
    const ahead = (claims?.begins ?? now) - now;
    const issuer =
      ahead > SKEW && clocks === ''
        ? ` It begins ${seconds(ahead)} from now: the clock of whoever issued it is ahead.`
        : '';
    return new QuorateError('login-clock', `the token for ${at} is not valid yet, says ${peer}`, {
      hint: `Set the clocks right (NTP).${clocks}${issuer}`,
    });
  }
  if (claims?.expires !== undefined && claims.expires > now) {
    return new QuorateError(
      'login-clock',
      `the token for ${at} has expired, says ${peer}; by this machine it has not`,
      {
        hint: `Set the clocks right (NTP).${clocks}`,
      },
    );
  }
  const since = claims?.expires === undefined ? '' : ` ${seconds(now - claims.expires)} ago`;
  return new QuorateError('login-expired', `the token for ${at} expired${since}`, {
    hint: `Log in soon after the token was issued: a CI system's lives for minutes.${clocks}`,
  });
}
