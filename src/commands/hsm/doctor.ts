import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { type FileFacts, type ServerUser, userOf } from '../../hsm/access.ts';
import { checkConfig, OWN_PLUGIN, type SealFound } from '../../hsm/check-config.ts';
import { examinePluginFile, type PluginTools, tryPlugin } from '../../hsm/examine-plugin.ts';
import { examineToken } from '../../hsm/examine-token.ts';
import { type Finding, hasFault, warning } from '../../finding.ts';
import { examineRunning } from '../../hsm/running-plugin.ts';
import { SERVERS } from '../../hsm/stanza.ts';
import { KmsPlugin } from '../../kms/client.ts';
import { readPin } from '../../kms/pin.ts';
import { stateIn } from '../../kms/title.ts';
import type { SealSettings } from '../../kms/settings.ts';
import { defineCommand } from '../command.ts';
import { findingLines } from '../finding-lines.ts';
import { readServerFiles, settingsReader } from './config-files.ts';

/** What the servers' own pkcs11 seals have in common with quorate-kms. */
const SHARED_KEYS = ['lib', 'slot', 'token_label', 'pin', 'key_label', 'key_id', 'mechanism', 'rsa_oaep_hash'];
/** A plugin inherits the server's environment; of that of whoever runs this, logins stay out. */
const KEPT_BACK = /^(?:VAULT|BAO)_.*(?:TOKEN|SECRET|PASSWORD)|^NODE_/;

/** `quorate hsm doctor`: everything between a server and its HSM, looked at in one go; 5 when something is wrong. */
export const command = defineCommand({
  arguments: [{ name: 'CONFIG', description: "the server's configuration: a file, or a folder" }],
  options: {
    server: {
      value: 'SERVER',
      choices: SERVERS,
      description: 'openbao (2.7 and later, default), openbao-2.6 (and before), or vault (Enterprise)',
    },
    user: { value: 'NAME', description: 'the user that the server runs as, for the rights on files' },
    credentials: { value: 'DIR', description: 'where the systemd credentials of the running server are' },
  },
  examples: [
    {
      command: 'quorate hsm doctor /etc/openbao/openbao.hcl --user openbao',
      text: 'as root; library, token, PIN, key, plugin, and a round trip through the plugin as the server starts it',
    },
    {
      command: 'quorate hsm doctor /etc/openbao/openbao.hcl --credentials /run/credentials/openbao.service',
      text: 'with the PIN that systemd gives to the server',
    },
  ],
  async run(context, values, [path = '']) {
    const server = SERVERS.find((one) => one === values.server) ?? 'openbao';
    const credentials = values.credentials ?? context.env['CREDENTIALS_DIRECTORY'];
    const config = await readServerFiles(context, path);
    const readSettings = await settingsReader(credentials);
    const { findings: checked, found } = checkConfig(config, server, readSettings);
    const findings: Finding[] = [...checked];
    const look = async (what: string, work: () => Promise<readonly Finding[]>): Promise<void> => {
      findings.push(...(await context.output.progress(what, work)));
    };
    if (found !== undefined && !hasFault(checked)) {
      const user = await serverUser(values.user);
      const settings = readSettings(settingsOf(found, server));
      const env = {
        ...Object.fromEntries(Object.entries(context.env).filter(([name]) => !KEPT_BACK.test(name))),
        ...(credentials === undefined ? {} : { CREDENTIALS_DIRECTORY: credentials }),
      };
      const pkcs11 = await context.pkcs11();
      for (const token of settings.tokens) {
        const tools = { pkcs11, user, facts, readPin: (source: Parameters<typeof readPin>[0]) => readPin(source, env) };
        await look(`looking at token "${token.name}"`, () => examineToken(token, tools));
      }
      const folder = config.pluginDirectory;
      const tools: PluginTools = { user, facts, digest, env, launch: (launch) => KmsPlugin.launch(launch) };
      findings.push(...(await examinePluginFile(found, folder, tools)));
      // Before another is started, for the trial.
      if (folder !== undefined && found.plugin?.command !== undefined)
        findings.push(...(await examineRunning(join(folder, found.plugin.command), stateIn)));
      // A wrong PIN is tried once: the plugin would be the second.
      if (folder !== undefined && !hasFault(findings)) {
        await look('trying the plugin, as the server starts it', () => tryPlugin(found, folder, tools));
      }
      findings.push(...loneToken(settings));
    }
    const { paint } = context.output;
    context.output.result({ findings }, () => [
      ...findingLines(findings, paint),
      '',
      hasFault(findings)
        ? paint.bad('The server would not start, or not unseal.')
        : paint.good('The server will unseal with this.'),
    ]);
    return hasFault(findings) ? EXIT.unverified : EXIT.done;
  },
});

/** The settings as quorate-kms reads them; of a server's own seal, those that it shares. */
function settingsOf({ seal }: SealFound, server: string): ReadonlyMap<string, string> {
  if (seal.type === OWN_PLUGIN) return seal.settings;
  const shared = new Map([...seal.settings].filter(([key]) => SHARED_KEYS.includes(key)));
  if (!shared.has('pin')) shared.set('pin_env', server === 'vault' ? 'VAULT_HSM_PIN' : 'BAO_HSM_PIN');
  return shared;
}

function loneToken({ tokens, threshold }: SealSettings): Finding[] {
  if (tokens.length === 1) {
    return [
      warning(
        'seal',
        'it has a single token: with that gone nobody can open it, recovery shares neither',
        'Keep a backup of its key in another HSM, or put several tokens behind the seal: with this one among them (quorate hsm config --threshold) that takes a new stanza and a restart, and no migration.',
      ),
    ];
  }
  if (threshold < tokens.length) return [];
  return [
    warning(
      'seal',
      `it needs all of its ${tokens.length.toString()} tokens: one lost, and nobody can open it`,
      'Choose a smaller threshold: it takes a change of the stanza and a restart, and no migration.',
    ),
  ];
}

async function serverUser(name: string | undefined): Promise<ServerUser | undefined> {
  if (name === undefined) return undefined;
  const user = userOf(name, await readText('/etc/passwd'), await readText('/etc/group'));
  if (user !== undefined) return user;
  throw new QuorateError('usage', 'there is no such user in /etc/passwd', {
    hint: 'Give --user NAME of a local user.',
  });
}

async function facts(path: string): Promise<FileFacts | undefined> {
  return stat(path).catch(() => undefined);
}

async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
