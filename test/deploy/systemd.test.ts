import { describe, expect, it } from 'vitest';
import type { NodeDeployment } from '../../src/deploy/node.ts';
import { nodeUnit } from '../../src/deploy/systemd.ts';

const deployment: NodeDeployment = {
  wallet: 'treasury',
  node: 'north',
  threshold: 2,
  signingKeys: new Map([
    ['north', 'ed25519:AAAA'],
    ['south', 'ed25519:BBBB'],
  ]),
  address: 'https://vault.example:8200',
  mount: 'mpc',
  program: ['/usr/bin/mpc-node', '--rate', '100%', '--name', 'a "b" $c'],
  wait: 300,
};
const login = 'approle,mount=approle,role-id=north,secret-id-file=%d/secret-id';
const unit = (programNotifies = false): string =>
  nodeUnit(deployment, { quorate: '/usr/bin/quorate', login, programNotifies });
const lines = (text: string): string[] => text.split('\n');

describe('the unit of a node', () => {
  it('keeps the shares out of core dumps, swap and debuggers', () => {
    for (const line of [
      'LimitCORE=0',
      'MemorySwapMax=0',
      'NoNewPrivileges=yes',
      'CapabilityBoundingSet=',
      'UMask=0077',
    ]) {
      expect(lines(unit())).toContain(line);
    }
    expect(unit()).toMatch(/^SystemCallFilter=~@debug .*process_vm_readv/m);
  });

  it('is ready when the program is, and does not start again where that is of no use', () => {
    expect(lines(unit())).toEqual(expect.arrayContaining(['Type=notify', 'NotifyAccess=all', 'TimeoutStartSec=360']));
    expect(unit()).toContain(' --ready --exec -- ');
    expect(lines(unit(true))).toContain('NotifyAccess=main');
    expect(unit(true)).not.toContain('--ready');
    expect(lines(unit())).toContain('RestartPreventExitStatus=1 4 5');
  });

  it('quotes what systemd would read otherwise, and holds no secret', () => {
    expect(unit()).toContain('-- /usr/bin/mpc-node --rate 100%% --name "a \\"b\\" $$c"');
    expect(lines(unit())).toContain('Environment="QUORATE_SIGNING_KEYS=north=ed25519:AAAA south=ed25519:BBBB"');
    expect(lines(unit())).toContain(`Environment=QUORATE_LOGIN=${login}`);
  });

  it('says each setting once, but for lists', () => {
    const names = lines(unit()).flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? []);
    const repeated = names.filter((name, index) => names.indexOf(name) !== index);
    expect([...new Set(repeated)].sort()).toEqual(['Environment', 'LoadCredential', 'SystemCallFilter']);
  });
});
