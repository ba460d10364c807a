import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SealState } from '../kms/title.ts';
import { type Finding, ok, warning } from '../finding.ts';

const PROCESSES = '/proc';

/**
 * What the processes of the plugin `program` that run on this machine say of their seal; nothing where none runs. It is
 * what each server's plugin has seen since its start, by its title: no proof, but the only word from the server's side.
 */
export async function examineRunning(
  program: string,
  stateIn: (commandLine: string, program: string) => SealState | undefined,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const pid of (await readdir(PROCESSES).catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    const state = stateIn(await readFile(join(PROCESSES, pid, 'cmdline'), 'utf8').catch(() => ''), program);
    if (state !== undefined) findings.push(...findingsOf(pid, state));
  }
  return findings;
}

function findingsOf(pid: string, { missing, away }: SealState): Finding[] {
  const who = `the plugin that runs (process ${pid})`;
  if (missing.length + away.length === 0) return [ok('running', `${who} misses no token`)];
  return [
    ...(missing.length === 0
      ? []
      : [
          warning(
            'running',
            `degraded, says ${who}: what the server has stored was encrypted without ${missing.join(', ')}`,
            'Once all tokens answer, restart the servers, a peer at a time: at its next unseal a leader encrypts it anew.',
          ),
        ]),
    ...(away.length === 0 ? [] : [warning('running', `${who} gets no answer from ${away.join(', ')}`)]),
  ];
}
