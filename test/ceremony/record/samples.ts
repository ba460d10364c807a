import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordEvent } from '../../../src/ceremony/record/events.ts';
import { createRecord } from '../../../src/ceremony/record/recorder.ts';

export const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

export const temporary = (): string => mkdtempSync(join(tmpdir(), 'quorate-record-'));

/** A clock that goes one second a call, so that records of tests are always the same. */
export function clock(): () => Date {
  let time = Date.UTC(2027, 0, 12, 10, 0, 0);
  return () => new Date((time += 1000));
}

export const opened = {
  event: 'ceremony.opened',
  id: '2027-01-12-unseal-19fe',
  kind: 'unseal',
  title: 'Unsealing <prod> after the power cut',
  cluster: 'prod-eu',
  shares: 5,
  threshold: 3,
  script: digestOf('script'),
  scriptFile: 'script.yaml',
  quorate: { version: '0.1.0', build: digestOf('build') },
} as const satisfies RecordEvent;

export const closed = (outputs: Record<string, string> = {}): RecordEvent => ({
  event: 'ceremony.closed',
  result: 'complete',
  outputs,
});

export const accepted = (number: number): RecordEvent => ({
  event: 'share.accepted',
  step: '2',
  who: 'Alice Example',
  x: '3f',
  fingerprint: digestOf(number.toString()),
  generation: 4,
  peer: 'vault-1',
  request: 'PUT sys/unseal',
  expected: { progress: number },
  actual: { progress: number, sealed: true },
});

/** Writes a record with `events` and gives its head. */
export async function writeRecord(path: string, events: readonly RecordEvent[], mode?: 'REHEARSAL'): Promise<string> {
  const recorder = await createRecord(path, { now: clock(), mode });
  for (const event of events) await recorder.append(event);
  await recorder.close();
  return recorder.last;
}

/** A ceremony with one event of every kind, hostile text among it. */
export const everything = (outputs: Record<string, string> = {}): readonly RecordEvent[] => {
  const ssh = (letter: string): string => `SHA256:${letter.repeat(43)}`;
  const pgp = '1F2E 77AB 0C6D 9E41 53B8  2A60 9D1C 44F7 8E05 B39A';
  const peer = {
    address: 'https://vault-1.example:8200',
    flavour: 'openbao',
    version: '2.7.2',
    seal: 'shamir',
  } as const;
  return [
    {
      ...opened,
      kind: 'init',
      title: 'Init of prod-eu <script>alert(1)</script>',
      config: digestOf('config'),
      place: 'Room 4 & call',
      previousId: '2026-01-10-init-77ab',
      previous: digestOf('before'),
    },
    {
      event: 'participant',
      role: 'administrator',
      name: 'Ada Example',
      affiliation: 'Operations',
      ssh: ssh('A'),
      checkedBy: 'Dana Example, passport',
      arrived: '2027-01-12T09:30:00.000Z',
      left: '2027-01-12T11:00:00.000Z',
    },
    { event: 'participant', role: 'custodian', name: 'Alice Example', affiliation: 'Example Ltd', pgp, ssh: ssh('B') },
    { event: 'participant', role: 'custodian', name: 'Bo "B" O\'Example', pgp: pgp.replace('1F2E', '2F2E') },
    { event: 'participant', role: 'witness', name: 'Dana Example', affiliation: 'Audit & Sons', ssh: ssh('C') },
    {
      event: 'environment',
      clock: 'radio clock on the wall',
      network: 'room network only',
      recorder: 'camera on',
      devices: 'one laptop',
    },
    {
      event: 'inventory',
      item: 'smart card',
      serial: '00417',
      bagBefore: 'B-0417',
      bagAfter: 'B-0418',
      condition: 'sealed',
      openedBy: 'Alice Example',
    },
    {
      event: 'hsm',
      module: '/usr/lib/softhsm/libsofthsm2.so',
      token: 'prod-seal',
      label: 'seal-2026',
      id: '01',
      mechanism: 'AES-GCM',
      sensitive: true,
      extractable: false,
    },
    { event: 'check', code: 'peers-reachable', ok: true, finding: '3 peers, none initialised', facts: { peers: 3 } },
    {
      event: 'check',
      code: 'clock-skew',
      ok: false,
      finding: 'vault-3 is 7 s ahead',
      mend: 'set its clock',
      accepted: 'Ada Example: it is a lab',
    },
    {
      event: 'peer',
      peer: 'vault-1',
      ...peer,
      state: 'uninitialised',
      skew: -40,
      certificate: digestOf('certificate'),
    },
    { event: 'step.started', step: '1', id: 'init', title: 'initialise vault-1', who: 'administrator' },
    {
      event: 'people',
      step: '1',
      say: 'Read the number of each bag aloud.',
      fields: { 'bag number': '0417', 'condition': 'intact' },
      by: 'Alice Example',
    },
    {
      event: 'request',
      step: '1',
      peer: 'vault-1',
      request: 'PUT sys/init',
      expected: { status: 200 },
      actual: { status: 200, keys: 2 },
    },
    {
      event: 'share.issued',
      step: '1',
      who: 'Alice Example',
      pgp,
      file: 'shares/alice-example.asc',
      ciphertext: digestOf('a'),
    },
    {
      event: 'share.issued',
      step: '1',
      who: 'Bo "B" O\'Example',
      pgp,
      file: 'shares/bo.asc',
      ciphertext: digestOf('b'),
    },
    { event: 'step.done', step: '1', id: 'init' },
    { event: 'ceremony.resumed', from: `sha256:${'7'.repeat(64)}`, quorate: opened.quorate },
    { event: 'step.skipped', step: '2', id: 'join', title: 'join the others', reason: 'done already, the servers say' },
    { event: 'step.started', step: '3', id: 'prove', title: 'everybody reads their share', who: 'custodians' },
    {
      event: 'share.proved',
      step: '3',
      who: 'Alice Example',
      pgp,
      x: '3f',
      salt: '9b'.repeat(16),
      fingerprint: digestOf('share'),
      generation: 1,
      how: 'decrypted by their gpg',
      bag: 'B-0418',
    },
    { event: 'share.refused', step: '3', who: 'Alice Example', reason: 'share-duplicate', peer: 'vault-1' },
    { ...accepted(1), step: '3', nonce: '3b8d4c' } as RecordEvent,
    {
      event: 'exception',
      step: '3',
      expected: 'Bo Example decrypts',
      happened: 'Bo Example\u2019s card was blocked',
      decision: 'go on with a note',
      by: 'Ada Example',
    },
    { event: 'roster', step: '3', generation: 1, file: 'roster.yaml', digest: digestOf('roster') },
    {
      event: 'write',
      step: '3',
      peer: 'vault-1',
      request: 'PUT sys/policies/acl/ceremony',
      fields: ['policy'],
      status: 204,
    },
    { event: 'login', step: '3', method: 'userpass', mount: 'ceremony', policies: ['ceremony'], root: false },
    {
      event: 'capability.proved',
      step: '3',
      what: 'can start a rotation',
      request: 'PUT sys/rotate/root/init',
      started: true,
      cancelled: true,
    },
    { event: 'token.revoked', step: '3', accessor: 'accessor-1', proof: 'look-up answers 403' },
    { event: 'destroyed', step: '3', what: 'one-time password', how: 'wiped', witness: 'Dana Example' },
    { event: 'snapshot', step: '3', file: 'after.snap', digest: digestOf('snap'), size: 4711 },
    { event: 'error', step: '3', code: 'server-timeout', message: 'vault-2 did not answer' },
    { event: 'note', step: '3', text: 'coffee \u202e break', by: 'Dana Example' },
    { event: 'step.done', step: '3', id: 'prove' },
    { event: 'ceremony.closed', result: 'complete', outputs, next: 'January 2028' },
  ];
};
