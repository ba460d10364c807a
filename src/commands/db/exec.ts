import { constants } from 'node:os';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { callerOf, type Caller } from '../../broker/caller.ts';
import { parseDuration } from '../../duration.ts';
import { jobEnvironment } from '../../broker/exec/environment.ts';
import { execute } from '../../broker/exec/run.ts';
import type { Receipt } from '../../broker/exec/receipt.ts';
import type { Credential } from '../../broker/lease.ts';
import { fieldsOf, type Mapping, needsTarget, variablesOf } from '../../broker/output/fields.ts';
import type { Sink } from '../../broker/output/sink.ts';
import type { Context } from '../../context.ts';
import type { DatabaseTarget } from '../../database/database.ts';
import { QuorateError } from '../../errors.ts';
import type { Job } from '../../programs/job.ts';
import { Secret } from '../../secret.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand, type OptionValues } from '../command.ts';
import { logIn } from '../log-in.ts';
import { checkMount, checkRole, defaultMapping, namedMapping, roleOptions, variableOptions } from './role-options.ts';

const options = {
  ...roleOptions,
  ...variableOptions,
  'file': {
    value: 'KIND',
    choices: ['pgpass', 'pg-service', 'my.cnf'],
    description: 'the password in a file of mode 0600 in place of variables; it is gone with the program',
  },
  'fd': { value: 'N', description: 'the credential as JSON on this descriptor of the program, in place of variables' },
  'on-expiry': {
    value: 'WHAT',
    choices: ['term', 'ignore'],
    description: 'when the credential cannot be renewed any more: end the program (default), or let it go on',
  },
  'drain': { value: 'TIME', description: 'how long before that the program is told (default: a quarter, at most 30s)' },
  'token-ttl': { value: 'TIME', description: 'how long the credential outlives a lost machine (default: 3m)' },
  'revoke-timeout': { value: 'TIME', description: 'how long to go on trying to revoke it (default: 1m)' },
  'prove': { description: 'ask the database too: the login is refused, and an open session was ended' },
  'receipt': { value: 'FILE', description: 'write what happened to this new file, as JSON' },
  'mask': { description: "tell GitHub's runner first to strike the password out of the job's log" },
  'keep-token': { description: 'leave the token that quorate logged in with in the environment of the program' },
  ...clusterOptions,
  ...loginOption,
} as const;
type Values = OptionValues<typeof options>;

const FAILED = 125;

/** `quorate db exec ROLE -- CMD...`: a credential that lives as long as one program. */
export const command = defineCommand({
  arguments: [
    { name: 'ROLE', description: 'a role of the database engine' },
    { name: 'CMD', variadic: true, description: 'the program and its arguments, after --' },
  ],
  options,
  examples: [
    {
      command: 'quorate db exec app-migrate -- ./migrate.sh',
      text: 'PGUSER, PGPASSWORD... (or MYSQL_...) while it runs',
    },
    {
      command: 'quorate db exec app-read --preset url --prove --receipt receipt.json -- npm test',
      text: 'DATABASE_URL; afterwards proof that the login is gone',
    },
    { command: 'quorate db exec app-read --file pgpass -- psql', text: 'no password in the environment' },
    {
      command: 'quorate db exec app-read --login jwt,role=ci,variable=VAULT_ID_TOKEN -- npm test',
      text: 'in a CI job, by the token that the CI system signed for it',
    },
  ],
  async run(context, values, [role = '', ...words]) {
    const mount = checkMount(values.mount);
    checkRole(role);
    if (words.length === 0) throw new QuorateError('usage', 'there is no program to run after --', { exit: FAILED });
    const descriptor = descriptorOf(values);
    const named = await namedMapping(values);
    const drain = duration(values, 'drain');
    const tokenTtl = (duration(values, 'token-ttl') ?? 180_000) / 1000;
    const receipts = await openReceipt(context, values.receipt);
    let failed = true;
    try {
      const { login, peers, auth } = await logIn(context, values, { unchecked: true });
      const { session } = login;
      const caller = callerOf(session, peers);
      let folder: JobFolder | undefined;
      try {
        // Asked for while the credential is made; whoever waits for it first hears of its failure.
        const finding = findPlace(context, values, { caller, mount, role, named });
        finding.catch(() => undefined);
        const proving =
          values.prove === true ? { databases: await context.databases(), target: await needed(finding) } : undefined;
        const start = async (credential: Credential): Promise<Job> => {
          const target = await finding;
          folder = values.file === undefined ? undefined : await makeFolder(context);
          const variable = auth.method === 'jwt' ? auth.variable : undefined;
          return startJob(context, { values, words, credential, target, named, descriptor, folder, variable });
        };
        const receipt = await execute({
          login: caller,
          withToken: (token) => callerOf(session.peer.session(token), peers),
          mount,
          role,
          tokenTtl,
          onExpiry: values['on-expiry'] === 'ignore' ? 'ignore' : 'term',
          revokeTimeout: duration(values, 'revoke-timeout') ?? 60_000,
          start,
          takeSignals: context.takeSignals,
          foreground: isForeground,
          warn: (text) => {
            context.output.warn(text);
          },
          ...(drain === undefined ? {} : { drain }),
          ...(proving === undefined ? {} : { prove: proving }),
        });
        await report(context, receipt, receipts);
        failed = false;
        return receipt.proved ? statusOf(receipt) : FAILED;
      } finally {
        await folder?.remove();
        caller.close();
      }
    } finally {
      await receipts?.end(failed);
    }
  },
});

function statusOf({ program: { status, signal } }: Receipt): number {
  return status ?? 128 + constants.signals[signal as NodeJS.Signals];
}

function descriptorOf({ fd, file }: Values): number | undefined {
  if (fd === undefined) return undefined;
  const number = Number(fd);
  if (!Number.isInteger(number) || number < 3 || number > 9)
    throw new QuorateError('usage', '--fd is a number from 3 to 9');
  if (file !== undefined) throw new QuorateError('usage', '--fd and --file exclude each other');
  return number;
}

function duration(values: Values, name: 'drain' | 'token-ttl' | 'revoke-timeout'): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds > 0) return seconds * 1000;
  throw new QuorateError('usage', `--${name} takes a time such as 30s or 2m`);
}

async function openReceipt(context: Context, file: string | undefined): Promise<Sink | undefined> {
  if (file === undefined) return undefined;
  return (await import('../../broker/output/sink.ts')).fileSink(resolve(context.cwd, file));
}

interface Place {
  readonly caller: Caller;
  readonly mount: string;
  readonly role: string;
  readonly named: Mapping | undefined;
}

/** Undefined where nobody needs to know. */
async function findPlace(context: Context, values: Values, place: Place): Promise<DatabaseTarget | undefined> {
  const { caller, mount, role, named } = place;
  const { findTarget, parseTarget } = await import('../../broker/target.ts');
  if (values.target !== undefined) return parseTarget(values.target);
  const onlyLogin = named !== undefined && !needsTarget(named) && values.file === undefined;
  if ((onlyLogin || (values.fd !== undefined && named === undefined)) && values.prove !== true) return undefined;
  return findTarget(caller, mount, role, context.signal);
}

async function needed(finding: Promise<DatabaseTarget | undefined>): Promise<DatabaseTarget> {
  const target = await finding;
  if (target === undefined) throw new QuorateError('bug', 'a proof needs to know where the database is');
  return target;
}

interface JobParts {
  readonly values: Values;
  readonly words: readonly string[];
  readonly credential: Credential;
  readonly target: DatabaseTarget | undefined;
  readonly named: Mapping | undefined;
  readonly descriptor: number | undefined;
  readonly folder: JobFolder | undefined;
  /** The variable that held the token of the login. */
  readonly variable: string | undefined;
}

async function startJob(context: Context, parts: JobParts): Promise<Job> {
  const { values, words, credential, target, named, descriptor, folder, variable } = parts;
  if (values.mask === true) await (await import('./mask.ts')).maskInLog(context, credential, target);
  const fields = fieldsOf(credential, target);
  let variables: ReadonlyMap<string, string>;
  if (values.file !== undefined && folder !== undefined) {
    variables = await folder.write(values.file as FileKind, fields);
  } else if (descriptor !== undefined && named === undefined) {
    variables = new Map();
  } else {
    variables = variablesOf(fields, named ?? (target === undefined ? {} : await defaultMapping(target)));
  }
  const env = jobEnvironment(context.env, variables, {
    keepToken: values['keep-token'] === true,
    login: variable,
  });
  const job = { command: words, env, cwd: context.cwd };
  if (descriptor === undefined) return context.startJob(job);
  const { username, password, target: where } = fields;
  const text = Secret.fromText(
    `${JSON.stringify({ username, password, ...(where === undefined ? {} : { target: where }) })}\n`,
  );
  try {
    return await context.startJob({ ...job, input: { descriptor, text } });
  } finally {
    text.wipe();
  }
}

type JobFolder = Awaited<ReturnType<typeof makeFolder>>;
type FileKind = 'pgpass' | 'pg-service' | 'my.cnf';

async function makeFolder(context: Context): ReturnType<typeof import('../../broker/exec/folder.ts').makeJobFolder> {
  return (await import('../../broker/exec/folder.ts')).makeJobFolder(context.env);
}

async function report(context: Context, receipt: Receipt, sink: Sink | undefined): Promise<void> {
  if (!receipt.proved) {
    context.output.warn(
      `it is not proved that the credential of ${receipt.role} is gone: it is left to its time, ${receipt.expires}`,
    );
  }
  if (sink === undefined) return;
  const text = Secret.fromText(`${JSON.stringify(receipt, null, 2)}\n`);
  try {
    await sink.write(text);
  } catch (error) {
    // The job is done and its credential gone: what fails here changes neither.
    if (!(error instanceof QuorateError)) throw error;
    context.output.warn(`the receipt could not be written: ${error.message}`);
  } finally {
    text.wipe();
  }
}

/** Whether this process is in the foreground of its terminal, whose Ctrl-C then reaches the program as well. */
function isForeground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // After the name in brackets: state, parent, group, session, terminal, the terminal's foreground group.
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    return false;
  }
}
