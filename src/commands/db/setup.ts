import { resolve } from 'node:path';
import { checkAccount, targetOf } from '../../broker/setup/account.ts';
import { type LoadedSetup, loadSetup } from '../../broker/setup/load.ts';
import { resourcesOf } from '../../broker/setup/resources.ts';
import { accountSql } from '../../broker/setup/templates.ts';
import type { Context } from '../../context.ts';
import { EXIT, isQuorateError, QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import type { Secret } from '../../secret.ts';
import { applyChanges } from '../../setup/apply.ts';
import { findChanges } from '../../setup/changes.ts';
import { agree, changeLines, changesSummary } from '../changes.ts';
import { clusterOptions, loginOption } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { logIn } from '../log-in.ts';

/** `quorate db setup FILE`: makes the server's database engine what a reviewed file says, or tells how it differs. */
export const command = defineCommand({
  arguments: [{ name: 'FILE', description: 'the reviewed setup: connection, roles, logins' }],
  options: {
    'check': { description: 'only compare: exit 5 when the server differs from the file' },
    'yes': { description: 'make the changes without asking' },
    'account-sql': { description: "print the SQL that makes the connection's own account; nothing else happens" },
    'new-password': { description: "write the admin's password again, although the connection is there" },
    'skip-account-check': { description: 'where this machine cannot log in to the database itself' },
    ...clusterOptions,
    ...loginOption,
  },
  examples: [
    { command: 'quorate db setup app.yaml --account-sql', text: 'what an administrator of the database runs first' },
    { command: 'quorate db setup app.yaml', text: 'shows what would change, asks, and makes it so' },
    { command: 'quorate db setup app.yaml --check', text: 'for a nightly job: exit 5 when somebody changed something' },
  ],
  async run(context, values, [file = '']) {
    const loaded = await loadSetup(resolve(context.cwd, file));
    const { setup } = loaded;
    if (values['account-sql'] === true) {
      const sql = accountSql(setup);
      context.output.result({ sql }, () => sql.trimEnd().split('\n'));
      return undefined;
    }
    const { login } = await logIn(context, values, { unchecked: true });
    try {
      const { session } = login;
      const changes = await findChanges(session, resourcesOf(loaded), context.signal);
      const differing = changes.filter(({ state }) => state !== 'same');
      const report = (applied: boolean): void => {
        const rows = changes.map(({ resource, state, lines }) => ({ path: resource.path, state, lines }));
        context.output.result({ changes: rows, applied }, () => [
          changesSummary(context, { differing: differing.length, all: changes.length, applied }),
        ]);
      };
      if (context.output.format === 'table')
        for (const line of differing.flatMap((one) => changeLines(context, one))) context.output.say(line);
      if (values.check === true) {
        report(false);
        return differing.length === 0 ? EXIT.done : EXIT.unverified;
      }
      const fresh = changes.some(({ resource, state }) => resource.kind === 'connection' && state === 'new');
      const password = fresh || values['new-password'] === true ? await readSecretFile(loaded.passwordFile) : undefined;
      try {
        if (differing.length > 0 || password !== undefined) {
          if (password !== undefined && values['skip-account-check'] !== true) await look(context, loaded, password);
          const count = differing.length;
          const question = count === 0 ? 'Write the password again?' : `Make ${count.toString()} changes?`;
          await agree(context, values.yes === true, question);
          await applyChanges(session, changes, {
            also: ({ kind }) => {
              if (kind !== 'connection') return undefined;
              const again = password !== undefined;
              return { data: { verify_connection: true, ...(again ? { password } : {}) }, again };
            },
            signal: context.signal,
            onDone: ({ resource }) => {
              context.output.say(`written  ${resource.path}`);
            },
          });
        }
      } finally {
        password?.wipe();
      }
      report(true);
      return undefined;
    } finally {
      login.session.close();
    }
  },
});

async function look(context: Context, { setup, ca }: LoadedSetup, password: Secret): Promise<void> {
  const databases = await context.databases();
  const session = await databases
    .open(targetOf(setup, ca?.file), setup.connection.admin, password)
    .catch((error: unknown) => {
      if (!isQuorateError(error, 'database-unreachable')) throw error;
      throw new QuorateError(
        'database-unreachable',
        `${error.message}, to look at the account ${setup.connection.admin}`,
        {
          hint: 'Run this where the database can be reached, or give --skip-account-check once you know that the account is not the only superuser.',
        },
      );
    });
  try {
    for (const warning of await checkAccount(session, setup)) context.output.warn(warning);
  } finally {
    await session.close();
  }
}
