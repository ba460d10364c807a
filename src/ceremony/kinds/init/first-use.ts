import { QuorateError } from '../../../errors.ts';
import { applyWrites } from '../../first-writes.ts';
import type { Run, Step } from '../../kind.ts';
import { countRootTokens, proveWayBack, revokeAndProve, wayBackProved } from '../../way-back.ts';
import type { CeremonyLogin } from './login.ts';
import { type KnownPassword, loginAs, makeLogin } from './login-session.ts';
import type { RootAccess } from './root-access.ts';
import type { InitScript } from './script.ts';

const ROOT_TOKENS = 'root-tokens';

/** The writes that reviewers approved, and the login that remains. */
export function writesStep(script: InitScript, root: RootAccess, known: KnownPassword): Step {
  const count = script['first-writes'].length;
  const login = script['ceremony-login'];
  return {
    id: 'writes',
    title: `${count.toString()} reviewed writes${login === undefined ? '' : `, and the ceremony login (${login.method})`}`,
    who: 'administrator',
    // Each write is compared with the server before it is made, so that doing this step again is safe.
    done: (run) => root.finished(run),
    async run(run) {
      const session = await root.session(run);
      await applyWrites(run, session, script['first-writes']);
      if (login !== undefined) await makeLogin(run, session, login, known);
    },
  };
}

/** An audit device takes entries: one that the server lists and can hash with. */
export function auditStep(script: InitScript, root: RootAccess): Step {
  return {
    id: 'audit',
    title: script.audit === 'required' ? 'an audit device works' : 'audit is not required by this script',
    who: 'administrator',
    done: (run) => root.finished(run),
    async run(run) {
      const session = await root.session(run);
      const listed = await session.read('sys/audit', { signal: run.signal });
      const names = typeof listed === 'object' && listed !== null ? Object.keys(listed) : [];
      const working: string[] = [];
      for (const name of names) {
        const device = name.replace(/\/$/, '');
        const hashed = await session.request('POST', `sys/audit-hash/${device}`, { input: 'quorate' });
        const text = (hashed.body as { data?: { hash?: unknown } } | null)?.data?.hash;
        if (hashed.status === 200 && typeof text === 'string') working.push(device);
      }
      const ok = names.length > 0 && working.length === names.length;
      await run.record({
        event: 'check',
        code: 'audit',
        ok: ok || script.audit === 'none',
        finding:
          names.length === 0
            ? 'the server has no audit device'
            : `audit devices that answer: ${working.join(', ') || 'none'}`,
      });
      if (ok || script.audit === 'none') return;
      throw new QuorateError(
        'preflight-failed',
        names.length === 0 ? 'the server has no audit device' : 'an audit device does not work',
        {
          hint:
            'OpenBao: add an audit stanza, the same on every peer, and restart. HashiCorp Vault: add sys/audit/NAME to ' +
            'first-writes. Then resume. A lab without audit says `audit: none` in its script.',
        },
      );
    },
  };
}

/** A login that is not root can start a rotation and a root generation: the way back in. */
export function wayBackStep(script: InitScript, root: RootAccess, known: KnownPassword): Step {
  return {
    id: 'way-back',
    title: 'the ceremony login starts, and cancels, a root key rotation and a root token generation',
    who: 'administrator',
    done: (run) => root.finished(run),
    async run(run) {
      const login = script['ceremony-login'];
      if (login === undefined) {
        throw new QuorateError('no-way-back', 'the script names no ceremony-login, so the root token stays', {
          hint:
            'Without a login that can start a rotation there is no way back in once the root token is gone. ' +
            'Start from `quorate ceremony new init`, whose script has one. The root token lies encrypted in issued/.',
        });
      }
      const session = await loginAs(run, login, known);
      try {
        const { recoverySeal } = await session.peer.sealStatus({ signal: run.signal });
        await proveWayBack(run, session, recoverySeal);
      } finally {
        await session.request('POST', 'auth/token/revoke-self', {}).catch(() => undefined);
        session.close();
      }
    },
  };
}

/** The root token goes, and that it is gone is proved. */
export function revokeStep(script: InitScript, root: RootAccess, known: KnownPassword): Step {
  return {
    id: 'revoke',
    title: 'the root token is revoked, and its absence proved',
    who: 'administrator',
    done: (run) => Promise.resolve(revoked(run) && counted(run)),
    async run(run) {
      if (!revoked(run)) await revoke(run, root);
      const login = script['ceremony-login'];
      if (login !== undefined) await countRoots(run, login, known);
    },
  };
}

async function revoke(run: Run, root: RootAccess): Promise<void> {
  if (!wayBackProved(run.events)) {
    throw new QuorateError('no-way-back', 'nothing in this ceremony has proved a way back in; the root token stays');
  }
  if (await root.gone(run)) {
    await run.record({
      event: 'token.revoked',
      accessor: 'unknown',
      proof: 'GET auth/token/lookup-self answered 403 when the ceremony was resumed',
    });
    return;
  }
  await revokeAndProve(run, await root.session(run), root.accessor);
  root.close();
}

/** A root token that somebody else made lives on when this ceremony's own is gone. */
async function countRoots(run: Run, login: CeremonyLogin, known: KnownPassword): Promise<void> {
  const session = await loginAs(run, login, known);
  try {
    const roots = await countRootTokens(session);
    await run.record({
      event: 'check',
      code: ROOT_TOKENS,
      ok: roots === 0,
      finding:
        roots === undefined
          ? 'the ceremony login may not list accessors, so root tokens were not counted'
          : `${roots.toString()} root tokens are left`,
      facts: { left: roots ?? null },
    });
    if (roots !== undefined && roots > 0) {
      throw new QuorateError('server-error', `${roots.toString()} other root tokens are alive`, {
        hint: 'Find them by LIST auth/token/accessors, revoke them by accessor, and resume the ceremony.',
      });
    }
  } finally {
    await session.request('POST', 'auth/token/revoke-self', {}).catch(() => undefined);
    session.close();
    known.forget();
  }
}

function revoked(run: Run): boolean {
  return run.events.some(({ event }) => event === 'token.revoked');
}

/** Counted, with none left, or not to be counted by this login. */
function counted(run: Run): boolean {
  const last = run.events.findLast((one) => one.event === 'check' && one.code === ROOT_TOKENS);
  return last?.event === 'check' && (last.facts?.['left'] ?? 0) === 0;
}
