import { resolve } from 'node:path';
import { isQuorateError } from '../errors.ts';
import { readBounded } from '../files.ts';
import type { Finding } from './kind.ts';
import type { CeremonyTools, PublicKeyFacts } from './tools.ts';

/** A key as a script names it. */
export interface NamedKey {
  readonly holder: string;
  readonly pgp: { readonly file: string; readonly fingerprint: string };
}

/** The public keys that a script names and that are usable, by holder. */
export type ScriptKeys = ReadonlyMap<string, PublicKeyFacts>;

/**
 * Reads every key file of a script (relative to `folder`), trial-encrypts to each key, and compares it with the
 * fingerprint that the script, and so the script's hash, carries. Nothing is thrown for a bad key: it is a finding,
 * because all of them should be known at once.
 */
export async function loadScriptKeys(
  named: readonly NamedKey[],
  folder: string,
  tools: CeremonyTools,
  minimumValidityDays: number,
): Promise<{ readonly keys: ScriptKeys; readonly findings: readonly Finding[] }> {
  const keys = new Map<string, PublicKeyFacts>();
  const findings: Finding[] = [];
  const fail = (holder: string, finding: string, mend: string): void => {
    findings.push({ code: 'pgp-key', ok: false, finding: `${holder}: ${finding}`, mend });
  };
  for (const { holder, pgp } of named) {
    try {
      const bytes = await readBounded(resolve(folder, pgp.file));
      const key = await tools.checkPublicKey(bytes, { now: tools.now(), minimumValidityDays });
      if (key.fingerprint === pgp.fingerprint) keys.set(holder, key);
      else
        fail(holder, `${pgp.file} holds another key than the script names`, 'Compare the fingerprint with its owner.');
    } catch (error) {
      if (!isQuorateError(error) || error.code === 'bug') throw error;
      fail(holder, error.message, error.hint ?? `Ask ${holder} for a new export of the public key.`);
    }
  }
  if (named.length > 0 && keys.size === named.length) {
    findings.push({
      code: 'pgp-key',
      ok: true,
      finding: `${named.length.toString()} OpenPGP keys can encrypt and are those that the script names`,
    });
  }
  return { keys, findings };
}
