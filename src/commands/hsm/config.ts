import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Context } from '../../context.ts';
import { EXIT, type Exit, QuorateError } from '../../errors.ts';
import { fileError, readBounded, writeExclusive } from '../../files.ts';
import { checkConfig } from '../../hsm/check-config.ts';
import { parseKeyId } from '../../hsm/find-key.ts';
import { hasFault } from '../../finding.ts';
import { type PinPlace, type SealToken, sealStanza, type Server, SERVERS } from '../../hsm/stanza.ts';
import { PLUGIN_FILE, pluginStanza } from '../../kms/install.ts';
import { defineCommand, type OptionValues } from '../command.ts';
import { findingLines } from '../finding-lines.ts';
import { readServerFiles, settingsReader } from './config-files.ts';
import { moduleOptions, openModule, plainWord, readPin } from './opening.ts';

const PLUGIN_LIMIT = 64 << 20;
const HASHES = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;

const options = {
  ...moduleOptions,
  'check': { value: 'FILE', description: "say what is wrong with a server's configuration (a file or a folder)" },
  'server': {
    value: 'SERVER',
    choices: SERVERS,
    description: 'openbao (2.7 and later, default), openbao-2.6 (and before), or vault (Enterprise)',
  },
  'token': { value: 'LABEL', repeat: true, description: 'the token; several with --threshold' },
  'threshold': { value: 'K', description: 'how many of the tokens open the seal: 1 of 2, 2 of 3, ...' },
  'key': { value: 'LABEL', description: 'the key, on every token' },
  'key-id': { value: 'HEX', description: 'its id (CKA_ID), where the label is not enough' },
  'type': { value: 'TYPE', choices: ['aes', 'rsa'], description: 'what kind of key it is (default: aes)' },
  'oaep-hash': { value: 'HASH', choices: HASHES, description: 'the hash of RSA-OAEP (default: sha256)' },
  'pin-file': { value: 'FILE', repeat: true, description: 'where the server will find the PIN; as many as tokens' },
  'pin-credential': { value: 'NAME', repeat: true, description: 'the same, as a systemd credential of the server' },
  'pin-env': { description: "the PIN comes in the server's environment" },
  'with-pin': { description: 'write the PIN into the configuration, in clear; needs --output' },
  'pin-fd': { value: 'N', description: 'that PIN from an open file descriptor; without it, it is asked for' },
  'plugin-dir': { value: 'DIR', description: 'where quorate hsm plugin install put the plugin' },
  'output': { value: 'FILE', description: 'write a new file of mode 0600' },
} as const;

type Values = OptionValues<typeof options>;

/** What has to be done with a stanza depends on what the seal was before. */
const IN_PLACE = [
  'Where the server has a quorate-kms seal already, and as many of its tokens stay as open it now: put this in the place',
  'of its stanza on every peer, and restart one after the other, the leader last. Otherwise: quorate ceremony new migrate-seal',
];

/** `quorate hsm config`: the stanzas that seal a server with an HSM, or what is wrong with those it has. */
export const command = defineCommand({
  options,
  examples: [
    {
      command:
        'quorate hsm config --token prod-seal --key seal-2027 --pin-credential hsm-pin --plugin-dir /etc/openbao/plugins',
      text: 'the stanzas for OpenBao 2.7 and later',
    },
    {
      command:
        'quorate hsm config --token a --token b --token c --threshold 2 --key seal-2027 --pin-credential pin-a --pin-credential pin-b --pin-credential pin-c --plugin-dir /etc/openbao/plugins',
      text: 'three HSMs, any two of which open the seal',
    },
    {
      command: 'quorate hsm config --check /etc/openbao/openbao.hcl',
      text: 'before the server is restarted; exit 5 on a fault',
    },
  ],
  run: async (context, values) =>
    values.check === undefined ? write(context, values) : check(context, values, values.check),
});

function serverOf(values: Values): Server {
  return SERVERS.find((server) => server === values.server) ?? 'openbao';
}

async function check(context: Context, values: Values, path: string): Promise<Exit> {
  const config = await readServerFiles(context, path);
  const { findings } = checkConfig(config, serverOf(values), await settingsReader(undefined));
  context.output.result({ findings }, () => findingLines(findings, context.output.paint));
  return hasFault(findings) ? EXIT.unverified : EXIT.done;
}

async function write(context: Context, values: Values): Promise<undefined> {
  const server = serverOf(values);
  const labels = (values.token ?? []).map((label) => plainWord('--token', label));
  if (labels.length === 0) throw new QuorateError('usage', 'which token? Give --token LABEL');
  if (values.key === undefined) throw new QuorateError('usage', 'which key? Give --key LABEL');
  const threshold = thresholdOf(values.threshold, labels.length);
  if (values['with-pin'] === true && values.output === undefined) {
    throw new QuorateError('usage', 'a configuration with a PIN in it goes into a file: give --output FILE');
  }
  const keyLabel = plainWord('--key', values.key);
  const keyId = values['key-id'] === undefined ? undefined : parseKeyId(values['key-id']);
  const rsa = values.type === 'rsa';
  const plugin = server === 'openbao' ? await installedPlugin(context, values['plugin-dir']) : [];
  const library = await openModule(context, values);
  const tokens: SealToken[] = [];
  for (const [index, label] of labels.entries()) {
    // By serial too: another token under the same label is then no seal.
    const { serial } = await library.findToken({ label });
    tokens.push({
      lib: library.path,
      label,
      ...(server !== 'openbao' || serial === '' ? {} : { serial }),
      keyLabel,
      ...(keyId === undefined ? {} : { keyId }),
      mechanism: rsa ? 'rsa-oaep' : 'aes-gcm',
      ...(rsa ? { oaepHash: values['oaep-hash'] ?? 'sha256' } : {}),
      pin: await pinPlace(context, values, index, labels.length),
    });
  }
  library.close();
  const lines = [...plugin, ...(plugin.length === 0 ? [] : ['']), ...sealStanza({ server, tokens, threshold })];
  if (server === 'openbao') for (const line of IN_PLACE) context.output.say(line);
  if (values.output !== undefined) {
    const path = resolve(context.cwd, values.output);
    await writeExclusive(path, `${lines.join('\n')}\n`);
    context.output.result({ file: path }, () => [`${context.output.paint.good('ok')}    ${path}`]);
    return undefined;
  }
  context.output.result({ stanza: lines.join('\n') }, () => lines);
  if (tokens.length === 1) {
    context.output.warn(
      'with this token gone, nobody can open the seal: keep a backup of the key, or use several tokens',
    );
  }
  return undefined;
}

function thresholdOf(text: string | undefined, count: number): number {
  if (count === 1 && text === undefined) return 1;
  if (text === undefined) throw new QuorateError('usage', 'how many of the tokens open the seal? Give --threshold K');
  const threshold = Number(text);
  if (/^\d{1,2}$/.test(text) && threshold >= 1 && threshold <= count) return threshold;
  throw new QuorateError('usage', `--threshold is a number from 1 to ${count.toString()}`);
}

async function pinPlace(context: Context, values: Values, index: number, count: number): Promise<PinPlace> {
  const { 'pin-file': files = [], 'pin-credential': credentials = [], 'pin-env': env, 'with-pin': inside } = values;
  const kinds = [files.length > 0, credentials.length > 0, env === true, inside === true].filter(Boolean).length;
  if (kinds !== 1) {
    throw new QuorateError('usage', 'where does the server find the PIN?', {
      hint: 'Give one of --pin-credential NAME, --pin-file FILE and --pin-env.',
    });
  }
  if (inside === true) {
    const pin = await readPin(context, { 'pin-fd': values['pin-fd'] }, 'PIN of the token, for the configuration');
    try {
      return { kind: 'stanza', pin: pin.exposeText() };
    } finally {
      pin.wipe();
    }
  }
  if (env === true) return { kind: 'environment' };
  const given = files.length > 0 ? files : credentials;
  const one = given[index];
  if (given.length !== count || one === undefined) {
    throw new QuorateError('usage', `as many PINs as tokens are wanted: ${count.toString()}`);
  }
  if (files.length === 0) return { kind: 'credential', name: one };
  const path = resolve(context.cwd, one);
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) context.output.warn(`${path} is not there, or not for you to see`);
  else if ((info.mode & 0o077) !== 0) context.output.warn(`${path} can be read by others: chmod 600`);
  return { kind: 'file', path };
}

async function installedPlugin(context: Context, folder: string | undefined): Promise<readonly string[]> {
  if (folder === undefined) {
    throw new QuorateError('usage', 'where is the plugin? Give --plugin-dir DIR', {
      hint: 'OpenBao from 2.7 on takes PKCS#11 by a plugin only: quorate hsm plugin install --dir DIR puts it there.',
    });
  }
  const path = join(resolve(context.cwd, folder), PLUGIN_FILE);
  const bytes = await readBounded(path, PLUGIN_LIMIT).catch((error: unknown) => {
    const failure = fileError(path, error);
    throw failure.code === 'file-missing'
      ? new QuorateError('file-missing', `${path} is not there`, { hint: `quorate hsm plugin install --dir ${folder}` })
      : failure;
  });
  return pluginStanza({ path, sha256: createHash('sha256').update(bytes).digest('hex') });
}
