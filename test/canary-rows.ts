import type { Canaries } from './support/canaries.ts';
import { SOFTHSM_MODULE } from './support/softhsm.ts';

/**
 * A row is a command line that must fail. Its files are: `share` and `share64` (a share that is in no roster), `loose`
 * (the same, mode 0644), `listed` (one that is in the roster, with one character changed), `pgp` (a broken message
 * with the share in it), `token`, `password`, `secret-id`, `script.yaml`, `init.yaml`, `record/` (a record with a
 * token in it).
 */
export interface Row {
  readonly command: string;
  readonly args: readonly string[];
  /** Standard input: a secret, for `--share-fd 0` and the like. */
  readonly input?: keyof Canaries;
}

const row = (command: string, ...args: readonly string[]): Row => ({ command, args });
const fed = (input: keyof Canaries, command: string, ...args: readonly string[]): Row => ({ command, args, input });

/** Every command has one at least. */
export const ROWS: readonly Row[] = [
  row('status', '--cluster', 'dead'),
  row('status', '--address', 'TOKEN'),
  row('status', '--cluster', 'TOKEN'),
  row('status', '--token=TOKEN'),
  row('status', 'SHARE'),
  row('status', '-token=TOKEN'),
  row('init', 'loose'),
  row('init', 'init.yaml'),
  row('init', 'share'),
  row('unseal', '--cluster', 'prod', '--share-file', 'share'),
  row('unseal', '--cluster', 'prod', '--share-file', 'share64'),
  row('unseal', '--cluster', 'prod', '--share-file', 'loose'),
  row('unseal', '--cluster', 'prod', '--share-file', 'pgp'),
  row('unseal', '--cluster', 'prod', '--share-file', 'token'),
  row('unseal', '--cluster', 'prod', '--share-file', 'password'),
  row('unseal', '--cluster', 'prod', '--share-file', 'share', '--unlisted-share'),
  row('unseal', '--cluster', 'bare', '--share-file', 'share', '--share-file', 'share64'),
  row('unseal', '--cluster', 'bare', '--share-file', 'share', '--share-file', 'listed'),
  row('unseal', '--cluster', 'dead', '--share-file', 'share'),
  fed('share', 'unseal', '--cluster', 'prod', '--share-fd', '0'),
  fed('token', 'unseal', '--cluster', 'prod', '--share-fd', '0'),
  fed('pin', 'unseal', '--cluster', 'prod', '--share-fd', '0'),
  row('root-token', 'script.yaml'),
  row('rotate-keyring', 'script.yaml'),
  row('rotate-keyring', '--cluster', 'prod'),
  row('seal', '--cluster', 'prod'),
  row('drill', '--cluster', 'prod', '--share-file', 'share'),
  row('rotate-root-key', 'script.yaml', '--share-file', 'share'),
  row('rotate-recovery-key', 'script.yaml', '--share-file', 'share'),
  row('migrate-seal', 'script.yaml', '--share-file', 'share'),
  row('migrate-seal', '--cluster', 'prod', '--from', 'shamir', '--to', 'static', '--share-file', 'share'),
  row('migrate-seal', '--cluster', 'prod', '--from', 'shamir', '--to', 'static', '--stanza', 'token'),
  row('recover', 'script.yaml'),
  row('recover', '--cluster', 'prod', '--record', 'record', '--share-file', 'share'),
  row('recover', '--cluster', 'prod', '--record', 'share', '--snapshot', 'token', '--roster', 'password'),
  row('rehearse', 'share'),
  row('rehearse', '--stop', 'record'),
  row('ceremony list', '--format', 'SHARE'),
  row('ceremony new', 'share'),
  row('ceremony check', 'script.yaml'),
  row('ceremony check', 'token'),
  row('ceremony run', 'script.yaml'),
  row('ceremony run', 'unseal.yaml', '--share-file', 'share'),
  row('ceremony run', 'password'),
  row('ceremony resume', 'record'),
  row('ceremony resume', 'share'),
  row('ceremony join', 'share', '--as', 'Alice Example', '--key', 'password'),
  row('ceremony join', 'token', '--as', 'Bo', '--key', 'password', '--share-file', 'share'),
  row('ceremony run', 'unseal.yaml', '--apart', 'share'),
  row('ceremony sign', 'record', '--key', 'password', '--as', 'Alice Example'),
  row('ceremony verify', 'record'),
  row('ceremony verify', 'record', '--allowed-signers', 'password', '--revoked-keys', 'token'),
  row('ceremony report', 'record'),
  row('custodian check', 'share'),
  row('custodian check', 'pgp'),
  row('custodian decrypt', 'pgp'),
  row('custodian decrypt', 'share'),
  row('custodian decrypt', 'token', '--key', 'password'),
  row('custodian enroll', '--cluster', 'prod', '--holder', 'Alice Example', '--share-file', 'loose'),
  row('custodian enroll', '--cluster', 'prod', '--holder', 'Alice Example', '--share-file', 'token'),
  fed('password', 'custodian enroll', '--cluster', 'prod', '--holder', 'Alice Example', '--share-fd', '0'),
  row('custodian enroll', '--merge', 'share', 'token'),
  row('custodian sign', 'share', '--key', 'password', '--as', 'Alice Example'),
  row('custodian ticket', 'record', '--holder', 'TOKEN', '--cidr', 'SHARE', '--output', 'ticket'),
  row('custodian verify', 'token', '--allowed-signers', 'password'),
  row('db creds', 'app', '--address', 'https://127.0.0.1:1'),
  row('db creds', 'TOKEN'),
  row('db creds', 'app', '--target', 'mysql://x:TOKEN@y/z', '--idempotency-key', 'SHARE'),
  row('db exec', 'app', '--cluster', 'dead', '--', 'printenv'),
  row('db exec', 'app', '--env', 'A=TOKEN', '--', 'printenv'),
  row('db renew', 'TOKEN', '--cluster', 'dead'),
  row('db revoke', 'TOKEN', '--cluster', 'dead', '--timeout', '1s'),
  row('db leases', '--cluster', 'dead'),
  row('db setup', 'script.yaml'),
  row('db setup', 'share', '--account-sql'),
  row('shares enroll', 'TOKEN', '--home', 'home'),
  row('shares enroll', 'treasury', '--home', 'share'),
  ...['--share-file share', '--share-fd 0', '--share-file SHARE', '--index TOKEN --share-file share'].map((from) => {
    const args = ['treasury', '--node', 'south', '--home', 'home', '--epoch', '1', '--scheme', 'x', '--index', '1'];
    return {
      ...row('shares put', ...args, ...from.split(' ')),
      ...(from.endsWith(' 0') ? { input: 'share' as const } : {}),
    };
  }),
  row('shares status', 'treasury'),
  row('shares status', 'SHARE'),
  row('shares refresh', 'treasury', '--node', 'south', '--home', 'home'),
  row('shares refresh', 'treasury'),
  row('node boot', 'treasury', '--node', 'south', '--home', 'home', '--wait', '0', '--exec', '--', '/bin/true'),
  row('node boot', 'treasury', '--node', 'TOKEN', '--acknowledgements', 'share', '--exec', '--', '/bin/true'),
  row('hsm tokens', '--module', 'share'),
  row('hsm tokens', '--module', 'SHARE'),
  row('hsm config', '--check', 'script.yaml'),
  row('hsm config', '--check', 'seal.hcl'),
  row('hsm config', '--module', SOFTHSM_MODULE, '--token', 'SHARE', '--key', 'k', '--pin-env', '--server', 'vault'),
  fed('pin', 'hsm config', '--token', 'seal', '--key', 'TOKEN', '--with-pin', '--pin-fd', '0', '--output', 'new'),
  row('hsm doctor', 'seal.hcl'),
  row('hsm doctor', 'vault.hcl', '--server', 'vault'),
  row('hsm doctor', 'token'),
  row('hsm init', '--module', SOFTHSM_MODULE, '--label', 'new', '--so-pin-file', 'pin', '--pin-file', 'loose'),
  row('hsm init', '--module', SOFTHSM_MODULE, '--token', 'seal', '--label', 'new', '--so-pin-file', 'pin', '--erase'),
  row('hsm keygen', '--module', SOFTHSM_MODULE, '--token', 'seal', '--label', 'x'.repeat(65), '--pin-file', 'pin'),
  row('hsm inspect', '--module', SOFTHSM_MODULE, '--token', 'seal', '--pin-file', 'password'),
  row('hsm inspect', '--module', SOFTHSM_MODULE, '--token', 'seal', '--pin-file', 'loose'),
  row('hsm inspect', '--module', SOFTHSM_MODULE, '--token', 'SHARE', '--pin-file', 'pin'),
  row('hsm inspect', '--module', SOFTHSM_MODULE, '--token', 'seal', '--pin-credential', 'SHARE'),
  fed('token', 'hsm inspect', '--module', SOFTHSM_MODULE, '--token', 'seal', '--pin-fd', '0'),
  row('hsm plugin', 'install', '--dir', 'SHARE'),
  row('hsm plugin', 'SHARE'),
  row('hsm test', '--module', SOFTHSM_MODULE, '--token', 'seal', '--key', 'x', '--pin-file', 'pin'),
  row('completion', 'share'),
];
