import type { Command } from './commands/command.ts';
import { EXIT } from './errors.ts';
import type { Streams } from './context.ts';

/** One name on the command line: a verb with a body that is loaded when chosen, or a group of verbs. */
export interface Entry {
  readonly summary: string;
  readonly load?: () => Promise<{ readonly command: Command }>;
  readonly commands?: Readonly<Record<string, Entry>>;
  /** The status of every failure of quorate itself, for a verb that else exits with the status of a program it ran. */
  readonly failure?: number;
}

/** The whole command line on one screen. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  'status': { summary: 'every peer: seal, progress, version, leader', load: () => import('./commands/status.ts') },
  'init': { summary: 'initialise a cluster from a script', load: () => import('./commands/init.ts') },
  'unseal': { summary: 'give shares to every sealed peer', load: () => import('./commands/unseal.ts') },
  'root-token': {
    summary: 'a root token by quorum for one reviewed plan, revoked at its end',
    load: () => import('./commands/root-token.ts'),
  },
  'rotate-keyring': {
    summary: 'a new encryption key for what is written from now on',
    load: () => import('./commands/rotate-keyring.ts'),
  },
  'seal': {
    summary: 'seal every peer, once an unseal quorum is at hand',
    load: () => import('./commands/seal.ts'),
  },
  'drill': {
    summary: 'prove that custodians can open the cluster; changes nothing',
    load: () => import('./commands/drill.ts'),
  },
  'rotate-root-key': {
    summary: 'new unseal shares, verified before they take effect',
    load: () => import('./commands/rotate-root-key.ts'),
  },
  'rotate-recovery-key': {
    summary: 'new recovery shares of a cluster that unseals itself',
    load: () => import('./commands/rotate-recovery-key.ts'),
  },
  'migrate-seal': {
    summary: 'another seal, peer by peer, while the cluster serves',
    load: () => import('./commands/migrate-seal.ts'),
  },
  'recover': {
    summary: 'from a snapshot, when a rotation tore and all is sealed',
    load: () => import('./commands/recover.ts'),
  },
  'rehearse': {
    summary: 'the whole life of a cluster, on a throwaway real one',
    load: () => import('./commands/rehearse.ts'),
  },
  'ceremony': {
    summary: 'reviewed scripts, and the records of what happened',
    commands: {
      list: { summary: 'the kinds of ceremony', load: () => import('./commands/ceremony/list.ts') },
      new: { summary: 'write a script to edit', load: () => import('./commands/ceremony/new.ts') },
      check: {
        summary: 'check a script, and print what it will do',
        load: () => import('./commands/ceremony/check.ts'),
      },
      run: { summary: 'run a script', load: () => import('./commands/ceremony/run.ts') },
      resume: { summary: 'go on with an interrupted ceremony', load: () => import('./commands/ceremony/resume.ts') },
      join: {
        summary: 'take part as a custodian, from your own machine',
        load: () => import('./commands/ceremony/join.ts'),
      },
      sign: { summary: 'sign a record with an SSH key', load: () => import('./commands/ceremony/sign.ts') },
      verify: { summary: 'check a record and its signatures', load: () => import('./commands/ceremony/verify.ts') },
      report: { summary: 'a record as one page for people', load: () => import('./commands/ceremony/report.ts') },
    },
  },
  'custodian': {
    summary: 'what a custodian does on their own machine',
    commands: {
      check: { summary: 'is this public key usable?', load: () => import('./commands/custodian/check.ts') },
      decrypt: {
        summary: 'read an issued share, or prove that you can',
        load: () => import('./commands/custodian/decrypt.ts'),
      },
      enroll: {
        summary: 'put a share of a living cluster on its roster',
        load: () => import('./commands/custodian/enroll.ts'),
      },
      sign: { summary: 'stand by a roster with an SSH key', load: () => import('./commands/custodian/sign.ts') },
      ticket: {
        summary: 'issue a token that can give a share to one operation',
        load: () => import('./commands/custodian/ticket.ts'),
      },
      verify: { summary: 'who stands by a roster', load: () => import('./commands/custodian/verify.ts') },
    },
  },
  'db': {
    summary: 'database credentials that live as long as the job',
    commands: {
      'creds': { summary: 'one credential, in many formats', load: () => import('./commands/db/creds.ts') },
      'exec': {
        summary: 'run a program with a credential that ends with it',
        failure: 125,
        load: () => import('./commands/db/exec.ts'),
      },
      'renew': { summary: 'lengthen leases', load: () => import('./commands/db/renew.ts') },
      'revoke': {
        summary: 'end credentials, and see that they are gone',
        load: () => import('./commands/db/revoke.ts'),
      },
      'leases': {
        summary: 'which credentials live, the stuck ones first',
        load: () => import('./commands/db/leases.ts'),
      },
      'setup': { summary: 'roles, policies and logins from one file', load: () => import('./commands/db/setup.ts') },
      'doctor': {
        summary: 'what a role can do, whether it ends, and what was left behind',
        load: () => import('./commands/db/doctor.ts'),
      },
      'rotate-root': {
        summary: "the connection's own password, with proof and with a way back",
        load: () => import('./commands/db/rotate-root.ts'),
      },
    },
  },
  'hsm': {
    summary: 'the HSM behind a seal: its tokens, keys and configuration',
    commands: {
      tokens: { summary: 'what a PKCS#11 library sees', load: () => import('./commands/hsm/tokens.ts') },
      init: { summary: 'give a token its label and its PINs', load: () => import('./commands/hsm/init.ts') },
      keygen: { summary: 'make a key that never leaves the token', load: () => import('./commands/hsm/keygen.ts') },
      inspect: {
        summary: 'the keys on a token, and what each is fit for',
        load: () => import('./commands/hsm/inspect.ts'),
      },
      test: { summary: 'does a key do what a seal will ask of it?', load: () => import('./commands/hsm/test.ts') },
      config: {
        summary: "the seal's stanzas, or what is wrong with a server's",
        load: () => import('./commands/hsm/config.ts'),
      },
      doctor: {
        summary: 'everything between a server and its HSM, and its mend',
        load: () => import('./commands/hsm/doctor.ts'),
      },
      rotate: {
        summary: "a seal's next key, and the proof that it is in use",
        load: () => import('./commands/hsm/rotate.ts'),
      },
      plugin: { summary: "quorate-kms, OpenBao's plugin for a seal", load: () => import('./commands/hsm/plugin.ts') },
    },
  },
  'shares': {
    summary: 'the key shares of MPC nodes, kept apart and moved together',
    commands: {
      setup: { summary: 'mounts, policies and logins of the nodes', load: () => import('./commands/shares/setup.ts') },
      enroll: { summary: "a node's signing key, to be pinned", load: () => import('./commands/shares/enroll.ts') },
      put: { summary: "seal and store this node's share", load: () => import('./commands/shares/put.ts') },
      list: { summary: 'the wallets, and the epoch of each', load: () => import('./commands/shares/list.ts') },
      status: { summary: 'what every node has stated', load: () => import('./commands/shares/status.ts') },
      verify: {
        summary: 'signatures, commit records and commitments',
        load: () => import('./commands/shares/verify.ts'),
      },
      refresh: { summary: 'bring the nodes to the next epoch', load: () => import('./commands/shares/refresh.ts') },
    },
  },
  'node': {
    summary: 'an MPC node at boot',
    commands: {
      boot: { summary: 'wait, log in, fetch, check, hand over', load: () => import('./commands/node/boot.ts') },
    },
  },
  'separation': {
    summary: 'a proof that nobody reaches too many shares of a wallet',
    commands: {
      export: {
        summary: 'what decides who reaches what on a cluster, signed',
        load: () => import('./commands/separation/export.ts'),
      },
      prove: {
        summary: 'join the exports, and find who reaches too much',
        load: () => import('./commands/separation/prove.ts'),
      },
    },
  },
  'deploy': {
    summary: 'units and manifests, filled in',
    commands: {
      systemd: { summary: "the hardened unit of a wallet's node", load: () => import('./commands/deploy/systemd.ts') },
      kubernetes: {
        summary: 'manifests of nodes in namespaces of their own',
        load: () => import('./commands/deploy/kubernetes.ts'),
      },
    },
  },
  'completion': {
    summary: 'completion for bash, zsh, fish and powershell',
    load: async () => ({ command: (await import('./commands/completion.ts')).completionOf(COMMANDS) }),
  },
};

/**
 * Runs one command line and returns its exit status. The only place where errors become words and numbers.
 * @param argv the words after `quorate`.
 */
export async function main(argv: readonly string[], streams: Streams): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    const { version } = await import('./build.ts');
    streams.stdout.write(`quorate ${version}\n`);
    return EXIT.done;
  }
  try {
    const { runCommandLine } = await import('./command-line.ts');
    return await runCommandLine(COMMANDS, argv, streams);
  } catch (error) {
    const { reportError } = await import('./ui/errors.ts');
    return reportError(error, argv, streams);
  }
}

/** Says on `stderr` why what belongs on standard output could not be written there. */
export async function reportUnsaid(error: Error, stderr: Streams['stderr']): Promise<void> {
  const { unsaidLines } = await import('./ui/errors.ts');
  stderr.write(unsaidLines(error));
}
