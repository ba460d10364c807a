import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderYaml } from '../../../src/document.ts';
import { temporaryFolder } from '../../support/cluster.ts';
import { type Ended, errorCode, startQuorate } from '../../support/quorate.ts';

const KEY = 'ed25519:oJql9HpnWYAv+VX43C0qFKXJnSO+l/hkEn/5ODRVpPA=';
const ANALYZE = '/usr/bin/systemd-analyze';
let folder: string;

const run = (...args: readonly string[]): Promise<Ended> =>
  startQuorate(['deploy', ...args], { cwd: folder, launcher: true }).ended;

async function describeWallet(role: (node: string) => object): Promise<void> {
  const each = (make: (name: string) => object): object =>
    Object.fromEntries(['north', 'south'].map((name) => [name, make(name)]));
  const address = { north: 'https://10.1.0.5:8200', south: 'https://vault.us.example:8200' };
  const config = {
    clusters: each((name) => ({
      peers: [{ name, address: address[name as keyof typeof address] }],
      ca: 'ca.pem',
    })),
    wallets: {
      treasury: { threshold: 2, nodes: each((name) => ({ 'cluster': name, 'signing-key': KEY, ...role(name) })) },
    },
  };
  await writeFile(join(folder, 'quorate.yaml'), renderYaml(config));
}

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(join(folder, 'ca.pem'), 'PEM\n');
  await describeWallet(() => ({}));
});

describe('deploy systemd', () => {
  it('prints a unit that systemd takes', async () => {
    const { stdout, status, stderr } = await run(
      'systemd',
      'treasury',
      '--node',
      'north',
      '--quorate',
      '/bin/true',
      '--',
      '/bin/true',
    );
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('ExecStart=/bin/true node boot treasury --wait 300 --ready --exec -- /bin/true');
    // Where it is not installed, the lines are checked in test/deploy alone.
    if (!existsSync(ANALYZE)) return;
    await mkdir(join(folder, 'units'));
    const unit = join(folder, 'units', 'quorate-node.service');
    await writeFile(unit, stdout);
    const checked = await promisify(execFile)(ANALYZE, ['verify', '--man=no', unit]).catch((error: unknown) => error);
    const said = (checked as { stderr: string }).stderr;
    // What it says of other units on the machine, or of a bus that is not there, is not ours.
    expect(said.split('\n').filter((line) => line.includes('quorate-node.service:'))).toEqual([]);
  });

  it('wants a node, a program, and no secret', async () => {
    expect(errorCode(await run('systemd', 'treasury', '--', '/bin/true'))).toBe('usage');
    expect(errorCode(await run('systemd', 'treasury', '--node', 'north'))).toBe('usage');
    expect(errorCode(await run('systemd', 'payroll', '--node', 'north', '--', '/bin/true'))).toBe('usage');
  });
});

describe('deploy kubernetes', () => {
  const common = ['kubernetes', 'treasury', '--image', 'mpc@sha256:00', '--port', '7000'];

  it('prints a namespace for each node, and asks for what quorate.yaml does not know', async () => {
    expect(errorCode(await run(...common, '--', 'mpc-node'))).toBe('usage');
    const role = (node: string): object => ({
      'method': 'kubernetes',
      'service-account': 'quorate-node',
      'service-account-namespace': `treasury-${node}`,
      'audience': 'vault',
    });
    await describeWallet((node) => ({ role: role(node) }));
    const named = await run(...common, '--', 'mpc-node');
    expect(errorCode(named)).toBe('usage');
    expect(named.stderr).toContain('--server-network south=CIDR');
    const network = ['--server-network', 'south=10.2.0.0/24'];
    const { stdout, status, stderr } = await run(...common, ...network, '--', 'mpc-node');
    expect(status, stderr).toBe(0);
    expect(stdout.match(/^kind: Namespace$/gm)).toHaveLength(2);
    expect(stdout.match(/^kind: NetworkPolicy$/gm)).toHaveLength(4);
    expect(stdout).toContain('cidr: 10.1.0.5/32');
    await describeWallet((node) => ({ role: { ...role(node), 'service-account': 'other' } }));
    expect(errorCode(await run(...common, ...network, '--', 'mpc-node'))).toBe('policy');
  });
});
