import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';
import type { KmsPlugin, PluginLaunch } from '../kms/client.ts';
import { type FileFacts, may, type ServerUser } from './access.ts';
import type { SealFound } from './check-config.ts';
import { fault, type Finding, hasFault, ok, warning } from '../finding.ts';

export interface PluginTools {
  readonly user: ServerUser | undefined;
  readonly facts: (path: string) => Promise<FileFacts | undefined>;
  /** SHA-256 of a file, hexadecimal. */
  readonly digest: (path: string) => Promise<string>;
  readonly launch: (launch: PluginLaunch) => Promise<KmsPlugin>;
  /** What the plugin inherits: the server's environment, as far as it is known. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

const OTHERS_WRITE = 0o022;
const TIMEOUT = 60_000;

/** Looks at the plugin's folder and file as the server does before it starts it; nothing is started. */
export async function examinePluginFile(
  { plugin }: SealFound,
  folder: string | undefined,
  { user, facts, digest }: PluginTools,
): Promise<readonly Finding[]> {
  if (plugin?.command === undefined || folder === undefined) return [];
  const path = join(folder, plugin.command);
  const [around, file] = [await facts(folder), await facts(path)];
  if (around === undefined)
    return [fault('plugin', `there is no folder ${folder}`, 'Make it, owned by root, with mode 755.')];
  if (file === undefined)
    return [fault('plugin', `${path} is not there`, `quorate hsm plugin install --dir ${folder}`)];
  const findings: Finding[] = [];
  for (const [name, one] of [
    [folder, around],
    [path, file],
  ] as const) {
    if ((one.mode & OTHERS_WRITE) !== 0) {
      findings.push(fault('plugin', `others than its owner can write ${name}`, `chmod go-w ${name}`));
    }
    if (user !== undefined && one.uid === user.uid && user.uid !== 0) {
      findings.push(warning('plugin', `${user.name} owns ${name}, and could change it`, `chown root ${name}`));
    }
    if (user !== undefined && !(may('execute', one, user) && may('read', one, user))) {
      findings.push(fault('plugin', `${user.name} may not read and run ${name}`, `chmod 755 ${name}`));
    }
  }
  if ((file.mode & 0o111) === 0) findings.push(fault('plugin', `${path} is not executable`, `chmod 755 ${path}`));
  const is = await digest(path);
  if (is !== plugin.sha256?.toLowerCase()) {
    findings.push(
      fault(
        'plugin',
        `${path} has another SHA-256 than sha256sum says`,
        `If the file is the right one: sha256sum = "${is}"`,
      ),
    );
  }
  return hasFault(findings) ? findings : [...findings, ok('plugin', `${path} has the SHA-256 of the configuration`)];
}

/**
 * Starts the plugin as the server does, and has it encrypt and decrypt. It logs in to the tokens: only for PINs that are
 * known to be right.
 */
export async function tryPlugin(
  { seal, plugin }: SealFound,
  folder: string,
  { launch, env }: PluginTools,
): Promise<readonly Finding[]> {
  if (plugin?.command === undefined) return [];
  const stanzaEnv = Object.fromEntries(plugin.env.map((pair) => splitPair(pair)));
  let process: KmsPlugin | undefined;
  try {
    process = await launch({
      command: join(folder, plugin.command),
      args: plugin.args,
      env: { ...stanzaEnv, ...env },
      ...(plugin.sha256 === undefined ? {} : { sha256: plugin.sha256 }),
      timeout: TIMEOUT,
    });
    await process.setConfig(Object.fromEntries(seal.settings));
    const type = await process.type();
    const plaintext = new Uint8Array(randomBytes(32));
    const start = performance.now();
    const blob = await process.encrypt(plaintext);
    const back = await process.decrypt(blob);
    const took = (performance.now() - start).toFixed(0);
    if (Buffer.compare(back, plaintext) !== 0) return [fault('round trip', 'the plugin decrypted to something else')];
    const said = logged(process);
    const ended = await process.stop();
    process = undefined;
    return [
      ok('round trip', `the plugin (type ${type}) encrypted and decrypted in ${took} ms`),
      ...said,
      ...(ended ? [] : [warning('round trip', 'the plugin did not end when it was told to, and was killed')]),
    ];
  } catch (error) {
    if (!(error instanceof QuorateError) || error.code === 'bug') throw error;
    return [fault('round trip', error.message, error.hint), ...(process === undefined ? [] : logged(process))];
  } finally {
    await process?.kill();
  }
}

function logged({ log }: KmsPlugin): Finding[] {
  return log
    .filter(({ level }) => level === 'warn' || level === 'error')
    .map(({ message }) => warning('plugin log', message));
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}
