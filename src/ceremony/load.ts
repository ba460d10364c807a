import * as v from 'valibot';
import { parseDocument } from '../document.ts';
import { QuorateError } from '../errors.ts';
import type { Finding, Kind } from './kind.ts';
import { loadScriptKeys, type NamedKey, type ScriptKeys } from './keys.ts';
import { loadKind } from './kinds.ts';
import type { CommonScript, Custodian } from './script.ts';
import type { CeremonyTools } from './tools.ts';

/** A script that was read and checked, with the kind that runs it. */
export interface LoadedScript {
  readonly kind: Kind;
  readonly script: CommonScript;
  /** The file's text, byte for byte what reviewers approved. */
  readonly text: string;
}

const head = v.object({ ceremony: v.string() });

/**
 * Reads a script's text against the schema of its kind, and the kind's own rules.
 * @throws QuorateError `document-invalid` with every fault; `usage` for an unknown kind.
 */
export async function loadScript(text: string, file: string): Promise<LoadedScript> {
  const { ceremony } = parseDocument(text, head, { file });
  const { kind, schema } = await loadKind(ceremony);
  const script = parseDocument(text, schema, { file });
  const steps = new Set(kind.steps(script, new Map()).map((step) => step.id));
  const faults = [
    ...kind.faults(script),
    ...script.people
      .filter(({ before }) => !steps.has(before))
      .map(({ before }) => `people: there is no step ${before}; steps are ${[...steps].join(', ')}`),
  ];
  if (faults.length > 0) {
    throw new QuorateError('document-invalid', `${file} is not a script that can be run`, {
      faults: faults.map((message) => ({ message })),
      hint: 'Mend the script; nothing was changed.',
    });
  }
  return { kind, script, text };
}

/** The OpenPGP keys that the script names, checked; `folder` is the script's. */
export async function scriptKeys(
  script: CommonScript,
  folder: string,
  tools: CeremonyTools,
  minimumValidityDays: number,
): Promise<{ readonly keys: ScriptKeys; readonly findings: readonly Finding[] }> {
  const named: NamedKey[] = custodiansOf(script).flatMap(({ name, pgp }) =>
    pgp === undefined ? [] : [{ holder: name, pgp }],
  );
  const root = (script as { 'root-token'?: { pgp: NamedKey['pgp'] } })['root-token'];
  if (root !== undefined) named.push({ holder: 'root token', pgp: root.pgp });
  const { keys, findings } = await loadScriptKeys(named, folder, tools, minimumValidityDays);
  return { keys, findings: [...findings, ...exampleKeys(script)] };
}

/** What `ceremony new` writes where people have to put in their own SSH key's fingerprint. */
const EXAMPLE_SSH = /^SHA256:A{40}/;

/** The fingerprints that a template brought along: left as they are, they would be found when people sign, after the ceremony. */
export function exampleKeys(script: CommonScript): Finding[] {
  const people = [script.administrator, ...custodiansOf(script), ...script.witnesses];
  const names = people.flatMap((one) =>
    one?.ssh !== undefined && EXAMPLE_SSH.test(one.ssh.fingerprint) ? [one.name] : [],
  );
  return names.length === 0
    ? []
    : [
        {
          code: 'ssh-key',
          ok: false,
          finding: `the SSH key of ${names.join(', ')} is still the example's`,
          mend: 'Put in what `ssh-keygen -lf` prints for their public key, or leave `ssh` out.',
        },
      ];
}

/** The custodians of a script whose kind has them. */
export function custodiansOf(script: CommonScript): readonly Custodian[] {
  return (script as { custodians?: readonly Custodian[] }).custodians ?? [];
}
