import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RecordEvent } from '../../../src/ceremony/record/events.ts';
import { finishFolder, hashOutputs } from '../../../src/ceremony/record/outputs.ts';
import { RECORD_FILE } from '../../../src/ceremony/record/folder.ts';
import { createRecord } from '../../../src/ceremony/record/recorder.ts';
import { clock, opened } from './samples.ts';

export interface MadeKey {
  readonly file: string;
  /** `ssh-ed25519 AAAA...`, as in an allowed_signers file. */
  readonly line: string;
  readonly fingerprint: string;
}

export function makeKey(folder: string, name: string): MadeKey {
  const file = join(folder, name);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]);
  const fingerprint = execFileSync('ssh-keygen', ['-l', '-f', file]).toString().split(' ')[1] ?? '';
  return { file, line: readFileSync(`${file}.pub`, 'utf8').trim(), fingerprint };
}

/** A finished ceremony in an existing folder, with whatever outputs are in it already. */
export async function finishedCeremony(
  folder: string,
  people: readonly Extract<RecordEvent, { event: 'participant' }>[],
  outputs: readonly string[],
): Promise<string> {
  const recorder = await createRecord(join(folder, RECORD_FILE), { now: clock() });
  for (const event of [opened, ...people, { event: 'note', text: 'Zoë said: "ça va", C:\\temp %s' } as const]) {
    await recorder.append(event);
  }
  await recorder.append({
    event: 'ceremony.closed',
    result: 'complete',
    outputs: await hashOutputs(folder, outputs),
  });
  await recorder.close();
  await finishFolder(folder);
  return recorder.last;
}
