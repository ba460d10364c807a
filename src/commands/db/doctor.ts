import { resolve } from 'node:path';
import { callerOf } from '../../broker/caller.ts';
import { examineRole } from '../../broker/doctor/examine.ts';
import { dropUser, type MadeUser } from '../../broker/doctor/orphans.ts';
import type { Expectation } from '../../broker/doctor/rights.ts';
import { parseDuration } from '../../duration.ts';
import type { Context } from '../../context.ts';
import type { DatabaseSession, DatabaseTarget } from '../../database/database.ts';
import { EXIT, isQuorateError, QuorateError } from '../../errors.ts';
import { hasFault } from '../../finding.ts';
import type { Secret } from '../../secret.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand, type OptionValues } from '../command.ts';
import { findingLines } from '../finding-lines.ts';
import { logIn } from '../log-in.ts';
import { readPassword, targetOfConnection, targetOption } from './database-account.ts';
import { checkMount, checkRole, roleOptions } from './role-options.ts';

const TEMPLATES = ['read-only', 'read-write', 'migration'] as const satisfies readonly Expectation[];

const options = {
  ...roleOptions,
  'setup': {
    value: 'FILE',
    description: 'the reviewed setup: the template of the role says what it should be able to do',
  },
  'expect': { value: 'TEMPLATE', choices: TEMPLATES, description: 'the same, without the file' },
  'job-length': { value: 'TIME', description: 'how long a job takes, to judge the times of the role by' },
  ...targetOption,
  'admin': {
    value: 'NAME',
    description: 'an administrator of the database, to find (MySQL) and drop users without a lease',
  },
  'admin-password-file': { value: 'FILE', description: 'their password, in a 0600 file (default: asked for)' },
  ...clusterOptions,
  ...loginOption,
} as const;
type Values = OptionValues<typeof options>;

/** `quorate db doctor ROLE`: a credential from its making to its end, and what earlier ones have left; 5 for a fault. */
export const command = defineCommand({
  arguments: [{ name: 'ROLE', description: 'a role of the database engine' }],
  options,
  examples: [
    {
      command: 'quorate db doctor app-read --setup app.yaml --job-length 20m',
      text: 'makes one, logs in, tries what it can do, revokes it, sees that it is gone; exit 5 when something is wrong',
    },
    {
      command: 'quorate db doctor app-read --expect read-only --admin dba',
      text: 'offers to drop users of the database that no lease belongs to, each by its typed name',
    },
  ],
  async run(context, values, [given = '']) {
    const mount = checkMount(values.mount);
    const role = checkRole(given);
    const jobLength = values['job-length'] === undefined ? undefined : parseDuration(values['job-length']);
    if (values['job-length'] !== undefined && jobLength === undefined)
      throw new QuorateError('usage', '--job-length takes a time such as 20m');
    const expectation = await expectationOf(context, values, role);
    const { login, peers } = await logIn(context, values, { unchecked: true });
    const caller = callerOf(login.session, peers);
    const admin = await adminOf(context, values);
    try {
      const databases = await context.databases();
      const { findings, droppable, target } = await context.output.progress('examining the role', () =>
        examineRole({
          ...{ caller, mount, role, databases, expectation, jobLength, signal: context.signal },
          admin: admin?.open,
          target: (connection) => targetOfConnection(connection, values.target),
          now: () => Date.now() / 1000,
        }),
      );
      const isBad = hasFault(findings);
      const { paint } = context.output;
      context.output.result({ role, findings }, () => [
        ...findingLines(findings, paint),
        '',
        isBad ? paint.bad(`${role} is not as it should be.`) : paint.good(`${role} does what it should.`),
      ]);
      if (admin !== undefined && context.prompts.interactive) await offerToDrop(context, droppable, target, admin.open);
      return isBad ? EXIT.unverified : EXIT.done;
    } finally {
      admin?.password.wipe();
      caller.close();
    }
  },
});

async function expectationOf(context: Context, values: Values, role: string): Promise<Expectation | undefined> {
  if (values.setup === undefined) return TEMPLATES.find((one) => one === values.expect);
  if (values.expect !== undefined) throw new QuorateError('usage', '--setup and --expect exclude each other');
  const { loadSetup } = await import('../../broker/setup/load.ts');
  const { setup } = await loadSetup(resolve(context.cwd, values.setup));
  const found = setup.roles.find(({ name }) => name === role);
  if (found !== undefined) return found.template;
  throw new QuorateError('usage', `${values.setup} describes no role ${role}`, {
    hint: `It has ${setup.roles.map(({ name }) => name).join(', ')}.`,
  });
}

interface Admin {
  readonly password: Secret;
  readonly open: (target: DatabaseTarget) => Promise<DatabaseSession>;
}

async function adminOf(context: Context, values: Values): Promise<Admin | undefined> {
  const user = values.admin;
  if (user === undefined) return undefined;
  const question = { question: `Password of ${user}`, instead: '--admin-password-file' };
  const password = await readPassword(context, values['admin-password-file'], question);
  const databases = await context.databases();
  return { password, open: (target) => databases.open(target, user, password) };
}

/** One after the other; an empty answer leaves one, and all after it. */
async function offerToDrop(
  context: Context,
  users: readonly MadeUser[],
  target: DatabaseTarget,
  open: Admin['open'],
): Promise<void> {
  if (users.length === 0) return;
  const { output, prompts } = context;
  const session = await open(target);
  try {
    for (const { name } of users) {
      output.say(`Nothing of this server belongs to ${name}. If no other Vault has made it, it can be dropped.`);
      await prompts.typed('Type its name to drop it, nothing to leave it', name);
      if ((await dropUser(session, target.engine, name)) === 'dropped') output.say(`dropped  ${name}`);
      else output.warn(`${name} owns something, and stays: REASSIGN OWNED BY "${name}" TO its owner first`);
    }
  } catch (error) {
    if (!isQuorateError(error, 'cancelled') || context.signal.aborted) throw error;
    output.say('The others stay.');
  } finally {
    await session.close();
  }
}
