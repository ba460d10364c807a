import type { DatabaseSession, DatabaseTarget, Databases } from '../../database/database.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { fault, type Finding, ok, warning } from '../../finding.ts';
import { type Caller, refusal } from '../caller.ts';
import { type Connection, readConnection } from '../connection.ts';
import { openWitness, type Witness } from '../exec/proof.ts';
import { type Credential, issue } from '../lease.ts';
import { listLeases } from '../leases.ts';
import { revoke } from '../revoke.ts';
import { findMadeUsers, judgeOrphans, type MadeUser, namePattern, orphansAmong } from './orphans.ts';
import { quoting } from '../quoting.ts';
import { type Expectation, judgeRights, probeName, type Rights, tryRights } from './rights.ts';
import { judgeLeases, judgeTimes, type RoleTimes } from './times.ts';

/** A role of the database engine as the server has it. */
export interface ServerRole extends RoleTimes {
  readonly connection: string;
  readonly revocation: readonly string[];
}

/** @throws QuorateError `denied`, `server-error` (no such role), and as a request does. */
export async function readRole(caller: Caller, mount: string, role: string, signal: AbortSignal): Promise<ServerRole> {
  const path = `${mount}/roles/${role}`;
  const reply = await caller.request('GET', path, undefined, { signal });
  if (reply.status === 404) {
    throw new QuorateError('server-error', `the server has no role ${role} at ${mount}`, {
      hint: 'Is it in the file that quorate db setup applied? --mount names another mount.',
    });
  }
  if (reply.status !== 200) throw refusal(`GET ${path}`, reply);
  const data = (reply.body as { readonly data?: Readonly<Record<string, unknown>> }).data ?? {};
  const revocation = data['revocation_statements'];
  return {
    connection: String(data['db_name']),
    defaultTtl: Number(data['default_ttl'] ?? 0),
    maxTtl: Number(data['max_ttl'] ?? 0),
    revocation: Array.isArray(revocation) ? revocation.map(String) : [],
  };
}

export interface ExamineRequest {
  readonly caller: Caller;
  readonly mount: string;
  readonly role: string;
  readonly databases: Databases;
  readonly target: (connection: Connection) => DatabaseTarget;
  readonly expectation: Expectation | undefined;
  /** Seconds. */
  readonly jobLength: number | undefined;
  /** An administrator's session, to see the users where a role cannot (MySQL). */
  readonly admin: ((target: DatabaseTarget) => Promise<DatabaseSession>) | undefined;
  readonly signal: AbortSignal;
  /** Seconds since 1970. */
  readonly now: () => number;
}

export interface Examined {
  readonly findings: readonly Finding[];
  /** Those that have neither a lease nor a session: they can be dropped. */
  readonly droppable: readonly MadeUser[];
  readonly target: DatabaseTarget;
}

const REVOKE_TIMEOUT = 15_000;

/**
 * Makes a credential of the role, logs in with it, tries what it can do, revokes it and sees that it is gone; then looks
 * for what earlier ones have left.
 * @throws QuorateError as `readRole` and `readConnection`; what is wrong with the role is in the findings.
 */
export async function examineRole(request: ExamineRequest): Promise<Examined> {
  const { caller, mount, role, jobLength, signal } = request;
  const live = await readRole(caller, mount, role, signal);
  const connection = await readConnection(caller, mount, live.connection, { signal });
  const target = request.target(connection);
  const findings: Finding[] = [...judgeTimes(live, jobLength)];
  const credential = await make(request, findings);
  let users = await madeUsers(request, connection, target);
  if (credential !== undefined) {
    try {
      const session = await enter(request, target, credential, findings);
      if (session !== undefined) {
        try {
          const rights = await tryRights(session, target.engine);
          findings.push(...judgeRights(rights, request.expectation));
          users ??= await madeUsers(request, connection, target, session);
          await leaveOwnTable(request, { live, target, credential, session, rights }, findings);
        } finally {
          await session.close();
        }
      }
      await end(request, target, credential, findings);
    } finally {
      credential.password.wipe();
    }
  }
  const droppable = await lookForLeftovers(request, connection, users, findings);
  return { findings, droppable, target };
}

async function make(
  { caller, mount, role, signal }: ExamineRequest,
  findings: Finding[],
): Promise<Credential | undefined> {
  try {
    const credential = await issue(caller, mount, role, { signal });
    findings.push(ok('issue', `the server made ${credential.username}`));
    return credential;
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'denied' || error.code === 'cancelled') throw error;
    findings.push(fault('issue', error.message, error.hint));
    return undefined;
  }
}

async function enter(
  { databases }: ExamineRequest,
  target: DatabaseTarget,
  { username, password }: Credential,
  findings: Finding[],
): Promise<DatabaseSession | undefined> {
  try {
    const session = await databases.open(target, username, password);
    findings.push(ok('login', 'it opens the database'));
    return session;
  } catch (error) {
    if (!isQuorateError(error)) throw error;
    const mend = `${error.hint ?? ''} --target says where this machine reaches the database.`.trim();
    findings.push(fault('login', error.message, mend));
    return undefined;
  }
}

interface OwnTable {
  readonly live: ServerRole;
  readonly target: DatabaseTarget;
  readonly credential: Credential;
  readonly session: DatabaseSession;
  readonly rights: Rights;
}

/**
 * Has the user own a table when its lease is revoked, as a migration does that makes one under its own name: in
 * PostgreSQL a user that owns anything cannot be dropped.
 */
async function leaveOwnTable(request: ExamineRequest, own: OwnTable, findings: Finding[]): Promise<void> {
  const { live, target, credential, session, rights } = own;
  const [schema] = rights.makes;
  if (target.engine !== 'postgresql' || schema === undefined) return;
  const handsOver = live.revocation.some((one) => /\b(?:REASSIGN|DROP)\s+OWNED\b/i.test(one));
  if (request.expectation !== 'migration') {
    // What it would leave behind belongs to nobody who could remove it from here.
    if (!handsOver) findings.push(fault('revocation', OWNS, MEND_OWNS));
    return;
  }
  const quote = quoting('postgresql');
  const table = `${quote(schema)}.${quote(probeName())}`;
  await session.query('RESET role');
  await session.query(`CREATE TABLE ${table} ()`);
  const drop = async (user: Credential): Promise<void> => {
    const again = await request.databases.open(target, user.username, user.password);
    try {
      await again.query(`DROP TABLE ${table}`);
    } finally {
      await again.close();
    }
  };
  try {
    await revoke([request.caller], credential.lease.id, { timeout: REVOKE_TIMEOUT / 3 });
  } catch (error) {
    if (!isQuorateError(error, 'lease-unrevoked')) throw error;
    findings.push(fault('revocation', OWNS, MEND_OWNS));
    // The failed revocation may have ended the session, not the login: it is undone as a whole.
    await drop(credential).catch(() => findings.push(leftBehind(table)));
    return;
  }
  findings.push(ok('revocation', 'it works while the user owns a table, which is handed over'));
  // Whoever it was handed over to, another credential of the role has a part in.
  const another = await issue(request.caller, request.mount, request.role, { signal: request.signal });
  try {
    await drop(another).catch(() => findings.push(leftBehind(table)));
  } finally {
    another.password.wipe();
    await revoke([request.caller], another.lease.id, { timeout: REVOKE_TIMEOUT });
  }
}

const OWNS = 'a user that owns a table cannot be revoked: it stays in the database, and its lease is stuck';
const MEND_OWNS =
  'The revocation statements of the role need REASSIGN OWNED BY and DROP OWNED BY before DROP ROLE, as those of quorate db setup have.';

const leftBehind = (table: string): Finding =>
  warning('probe', `the empty table ${table} was made to try this, and could not be dropped`, `DROP TABLE ${table}`);

async function end(
  { caller, databases }: ExamineRequest,
  target: DatabaseTarget,
  credential: Credential,
  findings: Finding[],
): Promise<void> {
  const witness: Witness = await openWitness(databases, target, credential);
  try {
    const { tries } = await revoke([caller], credential.lease.id, { timeout: REVOKE_TIMEOUT });
    findings.push(
      ok('revoke', tries === 1 ? 'the lease is gone' : `the lease is gone, after ${tries.toString()} tries`),
    );
  } catch (error) {
    if (!isQuorateError(error, 'lease-unrevoked')) throw error;
    findings.push(
      fault('revoke', error.message, `${error.hint ?? ''} Do the revocation statements fit what the role makes?`),
    );
  }
  const { login, session } = await witness.ask();
  if (login === 'accepted') {
    findings.push(
      fault('gone', 'the login still opens the database', 'The revocation statements have to drop the user.'),
    );
  } else if (login === 'unknown') {
    findings.push(warning('gone', 'the database does not say whether the login is refused', 'Try again.'));
  } else {
    findings.push(ok('gone', 'the database refuses the login'));
  }
  if (session === 'open') {
    const mend =
      'The revocation statements have to end them, as those of quorate db setup do; MySQL has no statement that does.';
    findings.push(fault('session', 'a session that was open goes on after the revocation', mend));
  }
}

/** Undefined where nobody may look, or the names tell nothing. Every user of PostgreSQL sees the names of all. */
async function madeUsers(
  { admin }: ExamineRequest,
  { usernameTemplate }: Connection,
  target: DatabaseTarget,
  session?: DatabaseSession,
): Promise<readonly MadeUser[] | undefined> {
  const pattern = namePattern(usernameTemplate, target.engine);
  if (pattern === undefined) return undefined;
  if (session !== undefined && target.engine === 'postgresql') return findMadeUsers(session, target.engine, pattern);
  if (admin === undefined) return undefined;
  const own = await admin(target);
  try {
    return await findMadeUsers(own, target.engine, pattern);
  } finally {
    await own.close();
  }
}

/** The users were listed before the leases are: one whose lease was just issued has it by now. */
async function lookForLeftovers(
  { caller, mount, admin, signal, now }: ExamineRequest,
  connection: Connection,
  users: readonly MadeUser[] | undefined,
  findings: Finding[],
): Promise<readonly MadeUser[]> {
  const leases = await listLeases(caller, mount, [], { signal }).catch((error: unknown) => {
    if (!isQuorateError(error, 'denied')) throw error;
    findings.push(
      warning('lease', 'this login may not list leases: neither stuck ones nor orphans were looked for', error.hint),
    );
    return undefined;
  });
  if (leases === undefined) return [];
  findings.push(...judgeLeases(leases));
  if (users === undefined) {
    const isMysql = connection.target?.engine === 'mysql';
    findings.push(
      warning(
        'user',
        'users without a lease were not looked for',
        admin === undefined && (isMysql || namePattern(connection.usernameTemplate, 'postgresql') !== undefined)
          ? 'Name an administrator of the database with --admin, who sees its users.'
          : 'The user names of the connection do not tell when they were made: quorate db setup sets a template that does.',
      ),
    );
    return [];
  }
  const orphans = orphansAmong(users, leases, now());
  findings.push(...judgeOrphans(orphans, connection));
  return orphans.filter(({ hasSession }) => !hasSession);
}
