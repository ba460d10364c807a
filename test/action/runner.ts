import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { parseDocument } from '../../src/document.ts';
import { readTracked, ROOT } from '../structure/source-tree.ts';

const text = v.pipe(v.string(), v.minLength(1));
const name = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]*$/));

/**
 * What GitHub takes as a composite action ("Metadata syntax for GitHub Actions"), as far as this one uses it; a member
 * that is not here is a mistake.
 */
const actionSchema = v.strictObject({
  name: text,
  description: text,
  author: text,
  branding: v.strictObject({
    icon: text,
    color: v.picklist(['white', 'black', 'yellow', 'blue', 'green', 'orange', 'red', 'purple', 'gray-dark']),
  }),
  inputs: v.record(
    name,
    v.strictObject({ description: text, required: v.optional(v.boolean()), default: v.optional(v.string()) }),
  ),
  outputs: v.record(name, v.strictObject({ description: text, value: text })),
  runs: v.strictObject({
    using: v.literal('composite'),
    steps: v.array(
      v.strictObject({
        name: text,
        id: v.optional(name),
        if: v.optional(text),
        shell: v.literal('bash'),
        env: v.optional(v.record(v.pipe(v.string(), v.regex(/^[A-Z][A-Z0-9_]*$/)), v.string()), {}),
        run: text,
      }),
    ),
  }),
});

export type Action = v.InferOutput<typeof actionSchema>;

export function readAction(): Action {
  return parseDocument(readTracked('action.yml'), actionSchema, { file: 'action.yml' });
}

export interface ActionRun {
  readonly status: number | null;
  /** What the job's log shows: masks are applied, the commands that set them left out. */
  readonly log: string;
  /** Both streams as they came. */
  readonly raw: string;
  /** What the later steps get. */
  readonly env: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
}

export interface Job {
  readonly cwd: string;
  /** All variables but PATH and HOME: those of the job, and those that the runner sets. */
  readonly env: Readonly<Record<string, string>>;
  /** A folder that comes first on the PATH. */
  readonly path?: string;
  /** Of the action. Default: this one. */
  readonly checkout?: string;
  /** Called with the process of each step. */
  readonly onStart?: (pid: number) => void;
}

/**
 * Runs the steps of the action as GitHub's runner does: expressions in `env` are filled in, `run` becomes a file for
 * `bash --noprofile --norc -eo pipefail`, and the files that GITHUB_ENV, GITHUB_OUTPUT and GITHUB_PATH name are read
 * after each step. It stops at the first step that fails.
 */
export async function runAction(inputs: Readonly<Record<string, string>>, job: Job): Promise<ActionRun> {
  const action = readAction();
  const unknown = Object.keys(inputs).filter((key) => !Object.hasOwn(action.inputs, key));
  if (unknown.length > 0) throw new Error(`the action has no input ${unknown.join(', ')}`);
  const temp = await mkdtemp(join(job.cwd, 'runner-'));
  let raw = '';
  let path = [job.path, process.env['PATH']].filter((one) => one !== undefined).join(':');
  const env: Record<string, string> = {};
  const steps: Record<string, Record<string, string>> = {};
  const evaluate = (source: string): string => {
    const [, input, step, output] =
      /^\$\{\{ (?:inputs\.([a-z-]+)|steps\.([a-z]+)\.outputs\.([a-z-]+)) \}\}$/.exec(source) ?? [];
    if (input !== undefined && Object.hasOwn(action.inputs, input)) {
      return inputs[input] ?? action.inputs[input]?.default ?? '';
    }
    if (step !== undefined && output !== undefined) return steps[step]?.[output] ?? '';
    throw new Error(`the test knows no such expression: ${source}`);
  };
  let status: number | null = 0;
  for (const [index, step] of action.runs.steps.entries()) {
    const folder = join(temp, index.toString());
    await mkdir(folder);
    const file = async (called: string, content = ''): Promise<string> => {
      await writeFile(join(folder, called), content);
      return join(folder, called);
    };
    const script = await file('script.sh', step.run);
    const files = {
      GITHUB_ENV: await file('env'),
      GITHUB_OUTPUT: await file('output'),
      GITHUB_PATH: await file('path'),
    };
    const variables = {
      PATH: path,
      HOME: temp,
      ...job.env,
      ...env,
      ...files,
      RUNNER_TEMP: folder,
      GITHUB_ACTIONS: 'true',
      GITHUB_ACTION_PATH: job.checkout ?? ROOT,
      ...Object.fromEntries(Object.entries(step.env).map(([key, value]) => [key, evaluate(value)])),
    };
    const words = ['--noprofile', '--norc', '-eo', 'pipefail', script];
    const child = spawn('bash', words, { cwd: job.cwd, env: variables, stdio: ['ignore', 'pipe', 'pipe'] });
    job.onStart?.(child.pid ?? 0);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (raw += chunk.toString()));
    status = await new Promise((resolve) => child.on('close', resolve));
    Object.assign(env, readFileCommands(await readFile(files.GITHUB_ENV, 'utf8')));
    if (step.id !== undefined) steps[step.id] = readFileCommands(await readFile(files.GITHUB_OUTPUT, 'utf8'));
    path = [...(await readFile(files.GITHUB_PATH, 'utf8')).split('\n').filter((one) => one !== ''), path].join(':');
    if (status !== 0) break;
  }
  const outputs = Object.entries(action.outputs).map(([key, { value }]) => [key, evaluate(value)] as const);
  return { status, raw, log: masked(raw), env, outputs: Object.fromEntries(outputs) };
}

/** `NAME=value` and `NAME<<MARK`, lines, `MARK`. */
export function readFileCommands(content: string): Record<string, string> {
  const found: Record<string, string> = {};
  const lines = content.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (line === '') continue;
    const [, key = '', mark] = /^([^=<]+)<<(.+)$/.exec(line) ?? [];
    if (mark === undefined) {
      const at = line.indexOf('=');
      if (at < 1) throw new Error(`the runner takes no such line: ${line}`);
      found[line.slice(0, at)] = line.slice(at + 1);
      continue;
    }
    const end = lines.indexOf(mark, index + 1);
    if (end === -1) throw new Error(`no end for ${key}`);
    found[key] = lines.slice(index + 1, end).join('\n');
    index = end;
  }
  return found;
}

/** Everything after a mask is struck out, as the runner does it; a secret before its mask shows. */
function masked(raw: string): string {
  const masks: string[] = [];
  return raw
    .split('\n')
    .flatMap((line) => {
      const [, mask] = /^::add-mask::(.*)$/.exec(line) ?? [];
      if (mask === undefined) return [masks.reduce((shown, one) => shown.replaceAll(one, '***'), line)];
      masks.push(mask.replaceAll('%0A', '\n').replaceAll('%0D', '\r').replaceAll('%25', '%'));
      return [];
    })
    .join('\n');
}
