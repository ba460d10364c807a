import { renderYaml } from '../document.ts';
import { QuorateError } from '../errors.ts';
import { loadScript } from '../ceremony/load.ts';
import type { InitScript } from '../ceremony/kinds/init/script.ts';
import type { MadeUpCustodian } from './custodians.ts';

/** The name of the throwaway cluster in its own quorate.yaml. */
export const REHEARSAL_CLUSTER = 'rehearsal';

/** Who is in a script, before anybody was made up for them. */
export interface Cast {
  readonly script: InitScript;
  readonly custodians: readonly string[];
  readonly others: readonly string[];
  /** Holds the key that the root token is encrypted to. */
  readonly administrator: string;
}

/**
 * Reads the init script to rehearse.
 * @throws QuorateError `document-invalid`; `usage` for a script of another kind.
 */
export async function castOf(text: string, file: string): Promise<Cast> {
  const { kind, script } = await loadScript(text, file);
  if (kind.name !== 'init') {
    throw new QuorateError('usage', `a rehearsal starts with an init, and ${file} is a script of kind ${kind.name}`, {
      hint: 'Give the init script; the restart and the unseal follow by themselves.',
    });
  }
  const init = script as InitScript;
  const administrator = init.administrator?.name ?? 'Administrator';
  return {
    script: init,
    custodians: init.custodians.map(({ name }) => name),
    others: [administrator, ...init.witnesses.map(({ name }) => name)],
    administrator,
  };
}

/**
 * The same script for the throwaway cluster: made-up keys in place of the real ones, and nothing else changed but the
 * cluster's name and where the login's secret id goes.
 */
export function rehearsalScript(
  { script, administrator }: Cast,
  people: readonly MadeUpCustodian[],
  secretIdFile: string,
): string {
  const keysOf = (name: string): MadeUpCustodian => {
    const found = people.find((one) => one.name === name);
    if (found === undefined) throw new QuorateError('bug', `nobody was made up for ${name}`);
    return found;
  };
  const withSsh = <P extends { readonly name: string }>(person: P): P & { ssh: { fingerprint: string } } => ({
    ...person,
    ssh: { fingerprint: keysOf(person.name).sshFingerprint },
  });
  const pgp = (name: string): { file: string; fingerprint: string } => ({
    file: keysOf(name).pgpFile,
    fingerprint: keysOf(name).fingerprint,
  });
  const login = script['ceremony-login'];
  const rehearsed = {
    ...script,
    'cluster': REHEARSAL_CLUSTER,
    'administrator': withSsh(script.administrator ?? { name: administrator }),
    'custodians': script.custodians.map((one) => ({ ...withSsh(one), pgp: pgp(one.name) })),
    'witnesses': script.witnesses.map(withSsh),
    'root-token': { pgp: pgp(administrator) },
    'ceremony-login': login?.method === 'approle' ? { ...login, 'secret-id-file': secretIdFile } : login,
  };
  return renderYaml(rehearsed, { comment: 'Made for a rehearsal from the script that was given.' });
}

/** The unseal that follows the restart. */
export function unsealScriptText(cast: Cast, title: string): string {
  return renderYaml({
    ceremony: 'unseal',
    title,
    cluster: REHEARSAL_CLUSTER,
    administrator: { name: cast.administrator },
  });
}
