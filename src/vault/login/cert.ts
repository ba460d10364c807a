import { X509Certificate } from 'node:crypto';
import type { AuthOf } from '../../auth.ts';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import type { Peer } from '../peer.ts';
import type { LoginMethod } from './method.ts';
import { loginAt, type Understand } from './outcome.ts';

/**
 * With the certificate that the connection shows: whoever connects to the peer has given it `certificate` and `key`.
 * @throws QuorateError as `loginAt`; `login-untrusted`, `login-claims`, `login-expired`, `login-clock`.
 */
export const withCertificate: LoginMethod<'cert'> = async (peer, auth, _surroundings, options) => {
  const body = auth.role === undefined ? {} : { name: auth.role };
  return loginAt(peer, `auth/${auth.mount}/login`, body, options, understand(peer, auth));
};

/** Texts of OpenBao 2.7.2 and Vault 1.14.0. */
const understand =
  ({ name }: Peer, auth: AuthOf<'cert'>): Understand =>
  async ({ errors }) => {
    const says = (text: RegExp): boolean => errors.some((line) => text.test(line));
    const at = `auth/${auth.mount}`;
    if (says(/no client certificate found|client certificate must be supplied/i)) {
      return new QuorateError('login-untrusted', `${name} saw no client certificate, for the login at ${at}`, {
        hint: 'Name certificate and key under auth. What ends TLS before the server, such as a load balancer, keeps it from the server.',
      });
    }
    if (says(/no chain matching all constraints/i)) {
      return new QuorateError('login-claims', `${name} trusts the certificate, but takes none of its names at ${at}`, {
        hint: 'Compare its names and extensions with what the role allows: allowed_common_names, allowed_dns_sans and the like.',
      });
    }
    if (!says(/invalid certificate/i)) return undefined;
    return (
      (await outOfDate(auth)) ??
      new QuorateError('login-untrusted', `${name} does not trust the client certificate at ${at}`, {
        hint:
          auth.role === undefined
            ? 'Is its authority the one that a role of this method names?'
            : `Is there a role ${auth.role}, and is the certificate of the authority that it names?`,
      })
    );
  };

async function outOfDate({ certificate: file }: AuthOf<'cert'>): Promise<QuorateError | undefined> {
  if (file === undefined) return undefined;
  const { validFrom, validTo } = new X509Certificate(await readText(file));
  if (Date.parse(validTo) < Date.now()) {
    return new QuorateError('login-expired', `the client certificate in ${file} has expired (${validTo})`, {
      hint: 'Have a new one issued.',
    });
  }
  if (Date.parse(validFrom) > Date.now()) {
    return new QuorateError('login-clock', `the client certificate in ${file} is not valid yet (${validFrom})`, {
      hint: "Is this machine's clock right?",
    });
  }
  return undefined;
}
