import { type NodeDeployment, nodeEnvironment } from './node.ts';

export interface UnitOptions {
  /** The absolute path of quorate. */
  readonly quorate: string;
  /** As `--login` takes it; `%d` is the folder of the unit's credentials. */
  readonly login: string;
  /** Whether the program tells systemd itself that it is ready (sd_notify); else quorate does when it hands over. */
  readonly programNotifies: boolean;
}

/** Beyond these a new start changes nothing: used wrongly, denied, a verification failed. */
const FINAL = '1 4 5';

/**
 * No core dump, no swap, no debugger: the shares are in this process's memory. MemoryDenyWriteExecute is not there, as
 * Node compiles into memory; PrivateDevices is not, as a token may be a device.
 */
const HARDENING = [
  'LimitCORE=0',
  'MemorySwapMax=0',
  'SystemCallFilter=@system-service',
  'SystemCallFilter=~@debug process_vm_readv process_vm_writev kcmp pidfd_getfd userfaultfd',
  'SystemCallErrorNumber=EPERM',
  'SystemCallArchitectures=native',
  'CapabilityBoundingSet=',
  'AmbientCapabilities=',
  'NoNewPrivileges=yes',
  'UMask=0077',
  'ProtectSystem=strict',
  'ProtectHome=yes',
  'PrivateTmp=yes',
  'PrivateMounts=yes',
  'ProtectProc=invisible',
  'ProtectClock=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelTunables=yes',
  'ProtectControlGroups=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'LockPersonality=yes',
  'KeyringMode=private',
  'RemoveIPC=yes',
];

/**
 * The unit of a node. `node boot` becomes the program (the process stays the same), so systemd watches the program
 * itself; the unit is started once the program, or quorate for it, says READY=1, and what depends on it waits for that.
 */
export function nodeUnit(deployment: NodeDeployment, { quorate, login, programNotifies }: UnitOptions): string {
  const { wallet, node, wait, program } = deployment;
  const environment = { ...nodeEnvironment(deployment), QUORATE_NODE_HOME: '%S/quorate', QUORATE_LOGIN: login };
  const ready = programNotifies ? [] : ['--ready'];
  const command = [quorate, 'node', 'boot', wallet, '--wait', wait.toString(), ...ready, '--exec', '--', ...program];
  return [
    '[Unit]',
    `Description=Node ${node} of the wallet ${wallet}`,
    'Wants=network-online.target',
    'After=network-online.target',
    '',
    '[Service]',
    '# READY=1 comes from the program, or from systemd-notify, which quorate runs right before it becomes the program.',
    'Type=notify',
    `NotifyAccess=${programNotifies ? 'main' : 'all'}`,
    `TimeoutStartSec=${(wait + 60).toString()}`,
    'Restart=on-failure',
    'RestartSec=5',
    `RestartPreventExitStatus=${FINAL}`,
    'User=quorate-node',
    '# Its keys and its state; quorate shares enroll is run as the same user with this folder.',
    'StateDirectory=quorate',
    'StateDirectoryMode=0700',
    'WorkingDirectory=%S/quorate',
    '# Owned by root and readable by root alone; this unit gets copies in memory.',
    'LoadCredential=secret-id:/etc/quorate/secret-id',
    'LoadCredential=ca.pem:/etc/quorate/ca.pem',
    ...Object.entries({ ...environment, BAO_CACERT: '%d/ca.pem' }).map(
      ([name, value]) => `Environment=${quoted(`${name}=${value}`, true)}`,
    ),
    `ExecStart=${command.map((word, index) => (index === 0 ? word : quoted(word))).join(' ')}`,
    '',
    ...HARDENING,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
}

/** A word as a unit file takes it (systemd.service(5), "Command lines"); `specifiers` leaves `%S` and the like. */
function quoted(word: string, specifiers = false): string {
  const plain = specifiers ? word : word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./-]+$/.test(plain) ? plain : `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
