import { createHash, randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Policy } from '../config.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import { syncFolder, writeExclusive } from '../files.ts';
import type { Apart } from './apart/apart.ts';
import type { Cluster, Finding, Run, Step } from './kind.ts';
import { custodiansOf, type LoadedScript, scriptKeys } from './load.ts';
import type { People } from './people.ts';
import type { RecordEvent } from './record/events.ts';
import { RECORD_FILE, SCRIPT_FILE } from './record/folder.ts';
import { finishFolder, hashOutputs, isFinished } from './record/outputs.ts';
import { participants } from './record/participants.ts';
import { createRecord, type Recorder, reopenRecord } from './record/recorder.ts';
import type { Roster } from './roster/schema.ts';
import { offerToCancel } from './rotation/sweep.ts';
import { UNDER_WAY } from './rotation/under-way.ts';
import { missingParticipants, scriptParticipants, unnamedCustodians } from './taking-part.ts';
import type { CeremonyTools } from './tools.ts';

/** Everything a ceremony runs with, beside its script. */
export interface CeremonySetting {
  readonly cluster: Cluster;
  readonly people: People;
  readonly apart?: Apart;
  readonly policy: Policy;
  readonly tools: CeremonyTools;
  readonly signal: AbortSignal;
  readonly login: Run['login'];
  readonly enter?: NonNullable<Run['enter']>;
  readonly roster?: Roster;
  readonly otherRosters?: readonly Roster[];
  /** The folder that the script's file was in; the files that it names are relative to it. */
  readonly scriptFolder: string;
  readonly quorate: { readonly version: string; readonly build: string };
  /** Findings that may fail, with the reason that the record keeps. */
  readonly accepted: ReadonlyMap<string, string>;
  /** Called before each step, for the printed script. */
  readonly onStep?: (number: number, step: Step, steps: number) => void;
}

export interface CeremonyOutcome {
  readonly folder: string;
  readonly result: 'complete';
  /** The SHA-256 of the record's last line, which people compare and sign. */
  readonly head: string;
  /** Those whom the record names, who can sign it. */
  readonly signers: readonly string[];
}

/**
 * Runs a script from its first step, in a new folder below `records`.
 * @throws QuorateError `preflight-failed` before anybody acted; whatever a step throws, after it was recorded.
 *   The ceremony can then be resumed from its folder.
 */
export async function startCeremony(
  loaded: LoadedScript,
  setting: CeremonySetting,
  options: {
    readonly records: string;
    readonly scriptFile: string;
    readonly rehearsal: boolean;
    readonly onFolder?: (folder: string) => void;
  },
): Promise<CeremonyOutcome> {
  const { script, text, kind } = loaded;
  const now = setting.tools.now();
  const id = `${now.toISOString().slice(0, 10)}-${kind.name}-${options.rehearsal ? 'rehearsal-' : ''}${randomBytes(4).toString('hex')}`;
  const folder = join(options.records, id);
  await mkdir(options.records, { recursive: true, mode: 0o700 });
  await mkdir(folder, { mode: 0o700 });
  await writeExclusive(join(folder, SCRIPT_FILE), text);
  const recorder = await createRecord(join(folder, RECORD_FILE), {
    now: () => setting.tools.now(),
    ...(options.rehearsal ? { mode: 'REHEARSAL' as const } : {}),
  });
  await syncFolder(options.records);
  options.onFolder?.(folder);
  try {
    await recorder.append({
      event: 'ceremony.opened',
      id,
      kind: kind.name,
      title: script.title,
      cluster: script.cluster,
      ...(script.namespace === undefined ? {} : { namespace: script.namespace }),
      script: digest(text),
      scriptFile: options.scriptFile,
      quorate: setting.quorate,
      ...(script.place === undefined ? {} : { place: script.place }),
      ...sizes(script),
    });
    for (const event of scriptParticipants(script, custodiansOf(script))) await recorder.append(event);
    return await guarded(recorder, () => execute(loaded, setting, recorder, folder));
  } finally {
    await recorder.close();
  }
}

/**
 * Goes on with an interrupted ceremony: leaves out the steps that were begun before and whose `done`, asked of the
 * servers, is true. What was interrupted before the first step is checked again from the start.
 * @throws QuorateError `record-invalid`, `usage` when it is closed already, and as `startCeremony`.
 */
export async function resumeCeremony(
  loaded: LoadedScript,
  setting: CeremonySetting,
  folder: string,
): Promise<CeremonyOutcome> {
  const recorder = await reopenRecord(join(folder, RECORD_FILE), { now: () => setting.tools.now() });
  try {
    const opened = recorder.lines.find((line) => line.event === 'ceremony.opened');
    if (opened?.script !== digest(loaded.text)) {
      throw new QuorateError('record-invalid', `${SCRIPT_FILE} is not the script that this record was opened with`, {
        hint: 'Put back the script that was approved.',
      });
    }
    const closed = recorder.lines.findLast((line) => line.event === 'ceremony.closed');
    if (closed !== undefined && closed.result !== 'incomplete') {
      if (closed.result === 'complete' && !(await isFinished(folder))) {
        await finishFolder(folder);
        return outcomeOf(folder, recorder);
      }
      throw new QuorateError('usage', `this ceremony was closed as ${closed.result}; there is nothing to resume`);
    }
    await recorder.append({ event: 'ceremony.resumed', from: recorder.last, quorate: setting.quorate });
    const expected = scriptParticipants(loaded.script, custodiansOf(loaded.script));
    for (const event of missingParticipants(expected, recorder.lines)) await recorder.append(event);
    return await guarded(recorder, () => execute(loaded, setting, recorder, folder));
  } finally {
    await recorder.close();
  }
}

async function execute(
  loaded: LoadedScript,
  setting: CeremonySetting,
  recorder: Recorder,
  folder: string,
): Promise<CeremonyOutcome> {
  const { kind, script } = loaded;
  // Of the sittings before this one.
  const begun = new Set(recorder.lines.flatMap((line) => (line.event === 'step.started' ? [line.id] : [])));
  const { keys, findings } = await scriptKeys(
    script,
    setting.scriptFolder,
    setting.tools,
    setting.policy['shortest-key-validity-days'],
  );
  const steps = kind.steps(script, keys);
  let current: string | undefined;
  const run: Run & CeremonySetting = {
    ...setting,
    folder,
    get events() {
      return recorder.lines;
    },
    record: async (event) => {
      await recorder.append(
        current === undefined || 'step' in event ? event : ({ step: current, ...event } as RecordEvent),
      );
    },
  };
  const look = async (): Promise<readonly Finding[]> => [...findings, ...(await kind.preflight(script, setting, keys))];
  // Later the cluster is no longer what a preflight wants to see.
  await recordFindings(recorder, begun.size === 0 ? await preflight(run, look) : findings, setting.accepted);
  for (const [index, step] of steps.entries()) {
    setting.signal.throwIfAborted();
    const number = (index + 1).toString();
    if (begun.has(step.id) && (await step.done(run))) {
      await recorder.append({
        event: 'step.skipped',
        step: number,
        id: step.id,
        title: step.title,
        reason: 'the servers say it is done',
      });
      continue;
    }
    setting.onStep?.(index + 1, step, steps.length);
    await recorder.append({ event: 'step.started', step: number, id: step.id, title: step.title, who: step.who });
    current = number;
    await actPeople(
      run,
      script.people.filter(({ before }) => before === step.id),
    );
    await step.run(run);
    current = undefined;
    await recorder.append({ event: 'step.done', step: number, id: step.id });
  }
  const rosters = [...(setting.roster === undefined ? [] : [setting.roster]), ...(setting.otherRosters ?? [])];
  for (const event of unnamedCustodians(recorder.lines, rosters)) await recorder.append(event);
  await recorder.append({
    event: 'ceremony.closed',
    result: 'complete',
    outputs: await hashOutputs(folder, outputNames(recorder)),
    ...(script.next === undefined ? {} : { next: script.next }),
  });
  await finishFolder(folder);
  return outcomeOf(folder, recorder);
}

/** Where nothing but operations under way stops the ceremony, people are asked whether these may be cancelled. */
async function preflight(
  run: Run & Pick<CeremonySetting, 'accepted'>,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  const findings = await look();
  const failed = findings.filter(({ ok, code }) => !ok && !run.accepted.has(code));
  if (failed.length === 0 || failed.some(({ code }) => code !== UNDER_WAY)) return findings;
  return (await offerToCancel(run)) ? look() : findings;
}

/** Records what stopped a ceremony, so that the record never just ends. */
async function guarded<T>(recorder: Recorder, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const known = isQuorateError(error) ? error : undefined;
    const code = known?.code ?? (isAbort(error) ? 'cancelled' : 'bug');
    await recorder
      .append({ event: 'error', code, message: known?.message.slice(0, 400) ?? code })
      // The text may look like a secret to the record's schema: the code alone is always safe.
      .catch(() => recorder.append({ event: 'error', code, message: code }))
      .catch(() => undefined);
    if (known === undefined && code === 'cancelled') throw new QuorateError('cancelled', 'interrupted');
    throw error;
  }
}

async function recordFindings(
  recorder: Recorder,
  findings: readonly Finding[],
  accepted: ReadonlyMap<string, string>,
): Promise<void> {
  for (const { code, ok, finding, mend } of findings) {
    const reason = ok ? undefined : accepted.get(code);
    await recorder.append({
      event: 'check',
      code,
      ok,
      finding,
      ...(mend === undefined ? {} : { mend }),
      ...(reason === undefined ? {} : { accepted: reason }),
    });
  }
  const failed = findings.filter(({ ok, code }) => !ok && !accepted.has(code));
  if (failed.length > 0) throw preflightFailed(failed);
}

/** The error for findings that stop a ceremony, each with its mend. */
export function preflightFailed(failed: readonly Finding[]): QuorateError {
  return new QuorateError(
    failed.find(({ error }) => error !== undefined)?.error ?? 'preflight-failed',
    `${failed.length.toString()} check${failed.length === 1 ? '' : 's'} failed; nothing was changed`,
    {
      faults: failed.map(({ code, finding, mend }) => ({
        message: `${code}: ${finding}${mend === undefined ? '' : `. ${mend}`}`,
      })),
      hint: 'Mend these and run it again. In an emergency: --accept CODE --reason TEXT, which the record keeps.',
    },
  );
}

async function actPeople(run: Run, acts: LoadedScript['script']['people']): Promise<void> {
  for (const { say, record } of acts) {
    const fields = await run.people.act({ say, fields: record });
    await run.record({ event: 'people', say, fields: { ...fields } });
  }
}

function outcomeOf(folder: string, { last, lines }: Recorder): CeremonyOutcome {
  return { folder, result: 'complete', head: last, signers: participants(lines).map(({ name }) => name) };
}

/** The files that the record speaks of. */
function outputNames(recorder: Recorder): readonly string[] {
  const files = recorder.lines.flatMap((line) =>
    line.event === 'share.issued' || line.event === 'roster' || line.event === 'receipt' ? [line.file] : [],
  );
  return [SCRIPT_FILE, ...new Set(files)];
}

function sizes(script: LoadedScript['script']): { shares?: number; threshold?: number } {
  const { shares, threshold } = script as { shares?: unknown; threshold?: unknown };
  return typeof shares === 'number' && typeof threshold === 'number' ? { shares, threshold } : {};
}

function digest(data: string): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
