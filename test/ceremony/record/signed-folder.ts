import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { locateRecord } from '../../../src/ceremony/record/folder.ts';
import { type Signed, signRecord } from '../../../src/ceremony/record/signatures.ts';
import { type Verification, type VerifyOptions, verifyFolder } from '../../../src/ceremony/record/verify.ts';
import { programRunner } from '../../../src/programs/run.ts';
import { sshKeygen } from '../../../src/programs/ssh-keygen.ts';
import { temporary } from './samples.ts';
import { type MadeKey, finishedCeremony, makeKey } from './ssh-keys.ts';

export const ssh = sshKeygen(programRunner(process.env));

export const people = (adaKey: string | undefined, danaKey: string) =>
  [
    { event: 'participant', role: 'administrator', name: 'Ada Example', ssh: adaKey },
    { event: 'participant', role: 'witness', name: 'Dana Example', ssh: danaKey },
    { event: 'participant', role: 'custodian', name: 'Zoë Example' },
  ] as const;

export async function signWith(folder: string, name: string, key: MadeKey, disagree?: string): Promise<Signed> {
  return await signRecord({ place: await locateRecord(folder), name, key: key.file, disagree, sshKeygen: ssh });
}

/** A finished ceremony, signed by Ada and Dana, the checker's file of keys, and ways to copy, forge and verify. */
export interface SignedFolder {
  readonly base: string;
  readonly made: string;
  readonly signers: string;
  readonly head: string;
  readonly ada: MadeKey;
  readonly dana: MadeKey;
  readonly mallory: MadeKey;
  /** A copy of the signed ceremony to harm. */
  readonly copy: (name: string) => string;
  /** Another ceremony with the same people, unsigned. */
  readonly forge: (name: string, adaKey: string | undefined, danaKey: string) => Promise<string>;
  readonly verify: (folder: string, more?: Partial<VerifyOptions>) => Promise<Verification>;
  /** What the findings that failed are about. */
  readonly failures: (folder: string, more?: Partial<VerifyOptions>) => Promise<readonly string[]>;
}

export async function makeSignedFolder(): Promise<SignedFolder> {
  const base = temporary();
  const made = join(base, 'made');
  const signers = join(base, 'allowed_signers');
  const [ada, dana, mallory] = [makeKey(base, 'ada'), makeKey(base, 'dana'), makeKey(base, 'mallory')];
  writeFileSync(
    signers,
    [
      `"Ada Example" ${ada.line}`,
      `dana-example namespaces="quorate-record,quorate-dissent" ${dana.line}`,
      `mallory-example ${mallory.line}`,
      '',
    ].join('\n'),
  );
  mkdirSync(join(made, 'shares'), { recursive: true });
  writeFileSync(join(made, 'roster.yaml'), 'generation: 4\n');
  writeFileSync(join(made, 'shares', 'zoë.asc'), 'ciphertext\n');
  const outputs = ['roster.yaml', 'shares/zoë.asc'];
  const head = await finishedCeremony(made, people(ada.fingerprint, dana.fingerprint), outputs);
  await signWith(made, 'Ada Example', ada);
  await signWith(made, 'dana-example', dana);

  const verify: SignedFolder['verify'] = async (folder, more = {}) =>
    await verifyFolder({ place: await locateRecord(folder), allowedSigners: signers, sshKeygen: ssh, ...more });
  return {
    base,
    made,
    signers,
    head,
    ada,
    dana,
    mallory,
    copy: (name) => {
      const folder = join(base, name);
      cpSync(made, folder, { recursive: true });
      return folder;
    },
    forge: async (name, adaKey, danaKey) => {
      const folder = join(base, name);
      mkdirSync(folder);
      writeFileSync(join(folder, 'roster.yaml'), 'generation: 1\n');
      await finishedCeremony(folder, people(adaKey, danaKey), ['roster.yaml']);
      return folder;
    },
    verify,
    failures: async (folder, more) =>
      (await verify(folder, more)).findings.filter(({ outcome }) => outcome === 'fail').map(({ about }) => about),
  };
}
