import { resolve } from 'node:path';
import { callerOf, type Caller } from '../../broker/caller.ts';
import { type Credential, issue } from '../../broker/lease.ts';
import type { DatabaseTarget } from '../../database/database.ts';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import type { Peer, Session } from '../../vault/peer.ts';
import type { Mapping } from '../../broker/output/fields.ts';
import type { Sink } from '../../broker/output/sink.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand, type OptionValues } from '../command.ts';
import { logIn } from '../log-in.ts';
import { maskInLog } from './mask.ts';
import { checkMount, checkRole, defaultMapping, namedMapping, roleOptions, variableOptions } from './role-options.ts';

const FORMATS = ['json', 'yaml', 'env', 'url', 'pgpass', 'my.cnf', 'github', 'gitlab', 'dotenv'] as const;
type Format = (typeof FORMATS)[number];

const options = {
  'format': { value: 'FORMAT', choices: FORMATS, description: 'how the credential is written (default: json)' },
  ...roleOptions,
  ...variableOptions,
  'output': { value: 'FILE', short: 'o', description: 'write it to this new file, readable by you alone' },
  'fd': { value: 'N', description: 'write it to this open descriptor' },
  'show': { description: 'write it although standard output is a terminal' },
  'github-output': { description: 'with --format github: the outputs of the step, not the environment of later ones' },
  'idempotency-key': {
    value: 'KEY',
    description: 'a job that is tried again gets its earlier credential back while that lives',
  },
  ...clusterOptions,
  ...loginOption,
} as const;
type Values = OptionValues<typeof options>;

/** `quorate db creds ROLE`: one credential, in the words of whatever reads it. */
export const command = defineCommand({
  arguments: [{ name: 'ROLE', description: 'a role of the database engine' }],
  options,
  examples: [
    { command: 'quorate db creds app-read --format pgpass --output ~/.pgpass', text: 'for psql, in a new file' },
    { command: 'eval "$(quorate db creds app-read --format env)"', text: 'PGUSER, PGPASSWORD... for this shell' },
    {
      command: 'quorate db creds app-read --format github --idempotency-key "$GITHUB_RUN_ID-$GITHUB_JOB-2"',
      text: 'masked in the log, for the later steps; the same one when the job is run again',
    },
  ],
  async run(context, values, [role = '']) {
    const mount = checkMount(values.mount);
    checkRole(role);
    const format = formatOf(context, values);
    const mapping = await namedMapping(values);
    const { sink, masked } = await openSink(context, values, format);
    let failed = true;
    try {
      const { login, peers } = await logIn(context, values, { unchecked: true, lasting: true });
      const caller = callerOf(login.session, peers);
      try {
        const target = await targetFor(context, values, {
          caller,
          mount,
          role,
          format,
          hasNames: mapping !== undefined,
        });
        const key = values['idempotency-key'];
        const credential = await (key === undefined
          ? issue(caller, mount, role, { signal: context.signal })
          : issueOnce(context, login.session, peers, caller, { mount, role, key }));
        try {
          const text = await rendered(credential, target, format, mapping);
          try {
            if (masked) await maskInLog(context, credential, target);
            await sink.write(text);
          } finally {
            text.wipe();
          }
        } catch (error) {
          await takeBack(context, caller, credential, key);
          throw error;
        } finally {
          credential.password.wipe();
        }
      } catch (error) {
        // Nothing hangs on a login that was made for this alone.
        if (login.own && values['idempotency-key'] === undefined) {
          await (await import('../../broker/child-token.ts')).endToken(caller);
        }
        throw error;
      } finally {
        caller.close();
      }
      failed = false;
    } finally {
      await sink.end(failed);
    }
    return undefined;
  },
});

function formatOf(context: Context, values: Values): Format {
  // json and yaml are formats of every command, and come by the way of those.
  const asked = FORMATS.find((one) => one === values.format);
  return asked ?? (context.output.format === 'yaml' ? 'yaml' : 'json');
}

async function openSink(
  context: Context,
  values: Values,
  format: Format,
): Promise<{ readonly sink: Sink; readonly masked: boolean }> {
  const { output, fd } = values;
  if (output !== undefined && fd !== undefined) throw new QuorateError('usage', '--output and --fd exclude each other');
  if (output !== undefined) {
    const { fileSink } = await import('../../broker/output/sink.ts');
    return { sink: await fileSink(resolve(context.cwd, output)), masked: format === 'github' };
  }
  if (format === 'github' && fd === undefined) {
    const name = values['github-output'] === true ? 'GITHUB_OUTPUT' : 'GITHUB_ENV';
    const file = context.env[name];
    if (file === undefined || file === '') {
      throw new QuorateError('usage', `--format github writes to the file that ${name} names, which is not set`, {
        hint: 'Run it in a step of a GitHub workflow, or name a file with --output.',
      });
    }
    return { sink: await (await import('../../broker/output/sink.ts')).appendSink(file), masked: true };
  }
  if (fd !== undefined && !/^[0-9]{1,4}$/.test(fd))
    throw new QuorateError('usage', '--fd takes the number of a descriptor');
  const stdout = await context.secretOutput(fd === undefined ? 1 : Number(fd), { terminal: values.show === true });
  stdout.refuseTerminal();
  return {
    sink: { write: async (text) => stdout.write(text), end: () => Promise.resolve() },
    masked: format === 'github',
  };
}

async function targetFor(
  context: Context,
  values: Values,
  wanted: {
    readonly caller: Caller;
    readonly mount: string;
    readonly role: string;
    readonly format: Format;
    readonly hasNames: boolean;
  },
): Promise<DatabaseTarget | undefined> {
  const { caller, mount, role, format, hasNames } = wanted;
  if (values.target !== undefined) return (await import('../../broker/target.ts')).parseTarget(values.target);
  if (format === 'json' || format === 'yaml') return undefined;
  const { findTarget } = await import('../../broker/target.ts');
  try {
    return await findTarget(caller, mount, role, context.signal);
  } catch (error) {
    // Names of one's own may do without.
    const optional = hasNames || format === 'my.cnf';
    if (optional && isQuorateError(error, 'database-target-unknown')) return undefined;
    throw error;
  }
}

/** The text to write; the caller wipes it. */
async function rendered(
  credential: Credential,
  target: DatabaseTarget | undefined,
  format: Format,
  mapping: Mapping | undefined,
): Promise<Secret> {
  if (format === 'json' || format === 'yaml') {
    const { username, password, lease } = credential;
    const value = {
      username,
      password: password.exposeText(),
      lease: {
        id: lease.id,
        seconds: lease.ttl,
        expires: new Date(lease.expires).toISOString(),
        renewable: lease.renewable,
      },
      ...(target === undefined ? {} : { target }),
    };
    if (format === 'json') return Secret.fromText(`${JSON.stringify(value, null, 2)}\n`);
    return Secret.fromText((await import('../../document.ts')).renderYaml(value));
  }
  const [{ render }, { fieldsOf }] = await Promise.all([
    import('../../broker/output/formats.ts'),
    import('../../broker/output/fields.ts'),
  ]);
  const login = mapping ?? (target === undefined ? {} : await defaultMapping(target));
  // A later step revokes it by its id.
  const names: Mapping = format === 'github' || format === 'gitlab' ? { ...login, QUORATE_LEASE: 'lease' } : login;
  return Secret.fromText(render(format, fieldsOf(credential, target), names));
}

async function issueOnce(
  context: Context,
  session: Session,
  peers: readonly Peer[],
  caller: Caller,
  wanted: { readonly mount: string; readonly role: string; readonly key: string },
): Promise<Credential> {
  const { issueOnce: once } = await import('../../broker/idempotency/issue-once.ts');
  return once(caller, {
    ...wanted,
    signal: context.signal,
    say: (text) => {
      context.output.say(text);
    },
    withToken: (token) => callerOf(session.peer.session(token), peers),
  });
}

/** Nobody has the credential that could not be written: it must not live on. One by key waits for the next try. */
async function takeBack(
  context: Context,
  caller: Caller,
  { lease }: Credential,
  key: string | undefined,
): Promise<void> {
  if (key !== undefined) return;
  const { revoke } = await import('../../broker/revoke.ts');
  await revoke([caller], lease.id, { timeout: 15_000 }).catch((error: unknown) => {
    context.output.warn(error instanceof QuorateError ? error.message : 'the credential may not be revoked');
  });
}
