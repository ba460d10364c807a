import { callerOf } from '../../broker/caller.ts';
import { type Connection, readConnection } from '../../broker/connection.ts';
import { parseDuration } from '../../duration.ts';
import { rotateRoot, type Rotated } from '../../broker/root/rotate.ts';
import { openSecondAdmin } from '../../broker/root/second-admin.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { agree } from '../changes.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand, type OptionValues } from '../command.ts';
import { logIn } from '../log-in.ts';
import { readPassword, targetOfConnection, targetOption } from './database-account.ts';
import { checkMount, checkRole, roleOptions } from './role-options.ts';

const options = {
  ...roleOptions,
  'second-admin': { value: 'NAME', description: 'another administrator of the database, who can mend what is lost' },
  'second-admin-password-file': { value: 'FILE', description: 'their password, in a 0600 file (default: asked for)' },
  'old-password-file': {
    value: 'FILE',
    description: 'the password that is live now, where somebody knows it: it must be refused afterwards',
  },
  'role': { value: 'ROLE', description: 'whose credential is made for the proof (default: the first that is allowed)' },
  ...targetOption,
  'accept-sessions': { description: 'go on although others are logged in with the account' },
  'repair': { description: 'when the password turns out to be lost: set another one, without asking' },
  'yes': { description: 'rotate without asking' },
  'timeout': { value: 'TIME', description: 'how long to wait for a database that was lost meanwhile (default: 1m)' },
  ...clusterOptions,
  ...loginOption,
} as const;
type Values = OptionValues<typeof options>;

/** `quorate db rotate-root CONNECTION`: a new password for the server's own account on the database, known to it alone. */
export const command = defineCommand({
  arguments: [{ name: 'CONNECTION', description: 'a connection of the database engine, as the setup names it' }],
  options,
  examples: [
    {
      command: 'quorate db rotate-root app --second-admin dba --old-password-file admin.password',
      text: "asks for dba's password; the old one must open nothing afterwards",
    },
    {
      command: 'quorate db rotate-root app --second-admin dba --second-admin-password-file dba --yes --repair',
      text: 'in a job; the same again after it was interrupted, at whatever moment',
    },
  ],
  async run(context, values, [given = '']) {
    const mount = checkMount(values.mount);
    const name = checkRole(given);
    const patience = parseDuration(values.timeout ?? '1m');
    if (patience === undefined) throw new QuorateError('usage', '--timeout takes a time such as 30s or 2m');
    const user = values['second-admin'];
    if (user === undefined) {
      throw new QuorateError('usage', 'a rotation needs a second administrator of the database', {
        hint: 'Name one with --second-admin: should the new password get lost on its way to the server, nobody else could set another.',
      });
    }
    const { login, peers } = await logIn(context, values, { unchecked: true });
    const caller = callerOf(login.session, peers);
    const secrets: Secret[] = [];
    const keep = (secret: Secret): Secret => {
      secrets.push(secret);
      return secret;
    };
    try {
      const connection = await readConnection(caller, mount, name, { signal: context.signal });
      const role = roleFor(values, connection);
      const target = targetOfConnection(connection, values.target);
      const databases = await context.databases();
      const oldFile = values['old-password-file'];
      const old =
        oldFile === undefined
          ? undefined
          : { databases, target, password: keep(await readPassword(context, oldFile, OLD)) };
      const file = values['second-admin-password-file'];
      const question = { question: `Password of ${user}`, instead: '--second-admin-password-file' };
      const password = keep(await readPassword(context, file, question));
      const second = await openSecondAdmin(databases, { target, user, password, account: connection.username });
      try {
        const rotated = await rotateRoot({
          ...{ caller, connection, role, second, old, patience: patience * 1000, signal: context.signal },
          acceptSessions: values['accept-sessions'] === true,
          agree: () => agree(context, values.yes === true, passwordQuestion(connection)),
          agreeRepair: () => agreeRepair(context, values, connection),
          say: (text) => {
            context.output.say(text);
          },
        });
        context.output.result(rotated, () => lines(context, rotated));
        return undefined;
      } finally {
        await second.close();
      }
    } finally {
      for (const secret of secrets) secret.wipe();
      caller.close();
    }
  },
});

const OLD = { question: 'The password that is live now', instead: '--old-password-file' };

function roleFor({ role }: Values, { allowedRoles, name }: Connection): string {
  if (role !== undefined) return checkRole(role);
  const first = allowedRoles.find((one) => one !== '*' && !one.includes('*'));
  if (first !== undefined) return first;
  throw new QuorateError('usage', `the connection ${name} names no role, whose credential could prove the login`, {
    hint: 'Name one with --role.',
  });
}

const passwordQuestion = ({ username, name }: Connection): string =>
  `Give ${username} a password that only the server knows (connection ${name})?`;

async function agreeRepair(context: Context, values: Values, { username, name }: Connection): Promise<void> {
  if (values.repair === true) return;
  if (!context.prompts.interactive) {
    throw new QuorateError('database-password-lost', `nobody has the password of ${username} any more`, {
      hint: `The server cannot make, renew or revoke credentials of the connection ${name}. Run the same again with --repair: the second administrator sets another password, which goes to the server and nowhere else.`,
    });
  }
  context.output.say(`Nobody has the password of ${username} any more. The second administrator can set another one,`);
  context.output.say('which goes to the server and is shown to nobody.');
  await context.prompts.typed(`Type the connection's name to do so (${name})`, name, { instead: '--repair' });
}

function lines({ output: { paint } }: Context, { account, outcome, proof }: Rotated): readonly string[] {
  const old = {
    'refused': `the old password is refused`,
    'refused-before': 'the old password that was given is refused, as it was before',
    'not-given': 'the old password was not given, and not tried',
  }[proof.oldPassword];
  return [
    paint.good(
      outcome === 'rotated'
        ? `${account} has a password that only the server knows.`
        : `${account} has a new password, which the server holds and nobody has seen.`,
    ),
    `Proof: the server logs in with it, and has made and revoked a credential; ${old}.`,
  ];
}
