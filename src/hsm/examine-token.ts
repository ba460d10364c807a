import { QuorateError } from '../errors.ts';
import type { PinSource, TokenSettings } from '../kms/settings.ts';
import type { Pkcs11, RemoteLibrary } from '../pkcs11/remote.ts';
import type { Token } from '../pkcs11/token.ts';
import type { Secret } from '../secret.ts';
import { type FileFacts, may, type ServerUser } from './access.ts';
import { findKey } from './find-key.ts';
import { fault, type Finding, ok, warning } from '../finding.ts';
import { loginOnce, pinState } from './login.ts';
import { tryKey } from './trial.ts';

export interface ExamineTools {
  readonly pkcs11: Pkcs11;
  /** The user that the server runs as, where it was told. */
  readonly user: ServerUser | undefined;
  /** undefined when the file is not there, or not to be seen. */
  readonly facts: (path: string) => Promise<FileFacts | undefined>;
  /** The PIN as the server will read it; the caller wipes it. @throws QuorateError. */
  readonly readPin: (source: PinSource) => Secret;
}

const ROUNDS = 3;

/**
 * Looks at one token of a seal as the server will need it: library, token, PIN, key, and a few round trips. The PIN is
 * tried once, and not at all on the last try; after a PIN that was refused the server must not be started.
 * @returns what was found, in the order of the look.
 */
export async function examineToken(settings: TokenSettings, tools: ExamineTools): Promise<readonly Finding[]> {
  const about = `token "${settings.name}"`;
  const findings: Finding[] = [];
  try {
    findings.push(...(await examineFile('library', settings.lib, tools)));
    const library = await tools.pkcs11.open(settings.lib);
    try {
      const { manufacturer, version } = await library.info();
      findings.push(ok('library', `${settings.lib} (${manufacturer} ${version})`));
      const { label, slot, serial } = settings;
      const token = await library.findToken({
        ...(label === undefined ? {} : { label }),
        ...(slot === undefined ? {} : { slot }),
        ...(serial === undefined ? {} : { serial }),
      });
      findings.push(ok(about, `serial ${token.serial}, ${token.model}, firmware ${token.firmware}`));
      if (serial === undefined && label === undefined) {
        findings.push(
          warning(about, 'it is named by its slot, which can change', 'Name it by token_label, best with serial.'),
        );
      }
      findings.push(...(await examinePin(settings.pin, tools)));
      const { warning: near } = pinState(token, { lastTry: false });
      if (near !== undefined) findings.push(warning(about, near));
      findings.push(...(await examineKey(library, token, settings, tools)));
    } finally {
      library.close();
    }
  } catch (error) {
    if (!(error instanceof QuorateError) || error.code === 'bug' || error.code === 'cancelled') throw error;
    findings.push(fault(about, `${error.message} [${error.code}]`, error.hint));
  }
  return findings;
}

async function examineFile(about: string, path: string, { facts, user }: ExamineTools): Promise<Finding[]> {
  const file = await facts(path);
  if (file === undefined || user === undefined || may('read', file, user)) return [];
  return [
    fault(about, `${user.name} may not read ${path}`, `Give the user the right to, or put it into the file's group.`),
  ];
}

async function examinePin(source: PinSource, { facts, user }: ExamineTools): Promise<Finding[]> {
  if (source.kind !== 'file') {
    const where = source.kind === 'environment' ? `the server's environment (${source.name})` : 'the configuration';
    return [warning('PIN', `it is in ${where}`, 'A file, best a systemd credential, is seen by fewer: pin_file.')];
  }
  const file = await facts(source.path);
  if (file === undefined) {
    return [
      fault(
        'PIN',
        `${source.path} is not there, or not to be seen from here`,
        "Run this as root, or as the server's user.",
      ),
    ];
  }
  if ((file.mode & 0o007) !== 0) return [fault('PIN', `everybody may read ${source.path}`, `chmod 600 ${source.path}`)];
  if (user !== undefined && !may('read', file, user)) {
    return [fault('PIN', `${user.name} may not read ${source.path}`, `chown ${user.name} ${source.path}`)];
  }
  return [ok('PIN', `${source.path} (mode ${(file.mode & 0o777).toString(8)})`)];
}

async function examineKey(
  library: RemoteLibrary,
  token: Token,
  settings: TokenSettings,
  tools: ExamineTools,
): Promise<Finding[]> {
  const { keyLabel, keyId, oaepHash, mechanism, allowExtractable } = settings;
  const pin = tools.readPin(settings.pin);
  try {
    return await library.withSession(token, {}, async (session) => {
      await loginOnce(library, session, token, pin, { lastTry: false });
      const key = await findKey(session, {
        ...(keyLabel === undefined ? {} : { label: keyLabel }),
        ...(keyId === undefined ? {} : { id: keyId }),
      });
      const about = `key "${key.label}"`;
      const findings = key.faults
        .filter(({ severity }) => severity === 'warning' || allowExtractable)
        .map(({ text }) => warning(about, text));
      if (key.mechanisms.length === 0 && allowExtractable) return findings;
      if (mechanism !== undefined && key.mechanisms.length > 0 && !key.mechanisms.includes(mechanism)) {
        return [...findings, fault(about, `it is an ${key.type} key, and the seal wants ${mechanism}`)];
      }
      const { encrypt, decrypt } = await tryKey(library, session, token, key, { rounds: ROUNDS, oaepHash });
      const times = `encrypt ${encrypt.median.toFixed(2)} ms, decrypt ${decrypt.median.toFixed(2)} ms`;
      return [...findings, ok(about, `${key.type}, id ${key.id}: round trips, tampered texts refused; ${times}`)];
    });
  } finally {
    pin.wipe();
  }
}
