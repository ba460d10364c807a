import { parseAddress } from './address.ts';
import { QuorateError } from '../errors.ts';
import type { PeerSettings } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const YES = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const NO = new Set(['', '0', 'f', 'F', 'FALSE', 'false', 'False']);

/**
 * The value of `BAO_name`, else of `VAULT_name`. A BAO_ variable that is there wins even when it is empty
 * (as in OpenBao's own command line); an empty value counts as none.
 */
export function readVariable(env: Environment, name: string): string | undefined {
  const value = env[`BAO_${name}`] ?? env[`VAULT_${name}`];
  return value === '' ? undefined : value;
}

/**
 * The one peer that the environment names, with the variables of the servers' own command lines: ADDR, CACERT
 * (wins over CAPATH), CAPATH, CLIENT_CERT, CLIENT_KEY, TLS_SERVER_NAME, NAMESPACE, CLIENT_TIMEOUT. Undefined
 * without an address.
 * @throws QuorateError `environment-hostile` when SKIP_VERIFY asks for unverified TLS; `usage` for a value that
 * cannot be read.
 */
export function settingsFromEnvironment(env: Environment): PeerSettings | undefined {
  const address = readVariable(env, 'ADDR');
  if (address === undefined) return undefined;
  refuseUnverified(env);
  const { kind, authority, socket } = parseAddress(address);
  const ca = readVariable(env, 'CACERT') ?? readVariable(env, 'CAPATH');
  const serverName = readVariable(env, 'TLS_SERVER_NAME');
  const clientCertificate = readVariable(env, 'CLIENT_CERT');
  const clientKey = readVariable(env, 'CLIENT_KEY');
  const namespace = readVariable(env, 'NAMESPACE');
  const timeout = readVariable(env, 'CLIENT_TIMEOUT');
  return {
    name: kind === 'unix' ? socket : authority,
    address,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(clientKey === undefined ? {} : { clientKey }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(timeout === undefined ? {} : { timeout: parseDuration(timeout) }),
  };
}

function refuseUnverified(env: Environment): void {
  const text = readVariable(env, 'SKIP_VERIFY') ?? '';
  if (NO.has(text)) return;
  if (YES.has(text)) {
    throw new QuorateError('environment-hostile', 'BAO_SKIP_VERIFY or VAULT_SKIP_VERIFY turns TLS verification off', {
      hint: 'Unset it, and name the CA (BAO_CACERT) or pin the peer’s certificate in quorate.yaml.',
    });
  }
  throw new QuorateError('usage', 'BAO_SKIP_VERIFY or VAULT_SKIP_VERIFY is neither true nor false');
}

/** Go's durations (`90s`, `1m30s`), or whole seconds; in milliseconds. */
function parseDuration(text: string): number {
  const seconds = /^[0-9]+$/.test(text) ? `${text}s` : text;
  let total = 0;
  const rest = seconds.replace(/([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)/g, (_all, amount: string, unit: string) => {
    total += Number(amount) * (UNITS[unit] ?? 0);
    return '';
  });
  // A timer takes at most 2^31-1 ms.
  if (rest !== '' || total < 1 || total > 2_147_483_647) {
    throw new QuorateError('usage', 'BAO_CLIENT_TIMEOUT or VAULT_CLIENT_TIMEOUT is no duration such as 90s or 2m');
  }
  return Math.round(total);
}
