import { isAbsolute } from 'node:path';
import { isQuorateError } from '../errors.ts';
import { fault, type Finding, ok, warning } from '../finding.ts';
import type { PluginStanza, SealEntry, ServerConfig } from './server-config.ts';
import type { Server } from './stanza.ts';

/** The type that names quorate's own plugin, whose settings are known in full. */
export const OWN_PLUGIN = 'quorate-kms';

/** What the seal of a configuration is, when it is one of an HSM. */
export interface SealFound {
  readonly seal: SealEntry;
  /** The stanza of the plugin that serves it; undefined where the server brings it. */
  readonly plugin: PluginStanza | undefined;
}

/** Reads the settings of quorate-kms; throws `document-invalid` with all that is wrong. */
export type ReadSettings = (settings: ReadonlyMap<string, string>) => unknown;

const BUILT_IN = new Set([
  ...['shamir', 'static', 'transit', 'awskms', 'azurekeyvault', 'gcpckms', 'ocikms', 'alicloudkms', 'kmip'],
]);
/** Keys of the servers' own pkcs11 seals (OpenBao to 2.6 and Vault Enterprise, by their documentation). */
const PKCS11_KEYS: ReadonlySet<string> = new Set([
  ...['lib', 'slot', 'token_label', 'pin', 'key_label', 'default_key_label', 'key_id', 'mechanism', 'rsa_oaep_hash'],
  ...['hmac_key_label', 'default_hmac_key_label', 'hmac_key_id', 'hmac_mechanism', 'generate_key', 'force_rw_session'],
  ...['max_parallel', 'rsa_encrypt_local'],
]);

/**
 * What can be said of a server's configuration without an HSM, a plugin or the server: everything that would stop its
 * next start, and what is unwise. Never names the value of a PIN.
 */
export function checkConfig(
  config: ServerConfig,
  server: Server,
  readSettings: ReadSettings,
): { readonly findings: readonly Finding[]; readonly found: SealFound | undefined } {
  const active = config.seals.filter(({ disabled }) => !disabled);
  const [seal, ...others] = active;
  if (seal === undefined) {
    return {
      findings: [
        fault('seal', 'there is no seal stanza: the server would use Shamir shares', 'quorate hsm config writes one.'),
      ],
      found: undefined,
    };
  }
  const findings: Finding[] = [];
  if (others.length > 0) {
    findings.push(
      fault(
        'seal',
        `${active.length.toString()} seals are active (${active.map(({ place }) => place).join(', ')})`,
        'Keep one; the one that is migrated away from has disabled = true.',
      ),
    );
  }
  for (const away of config.seals.filter(({ disabled }) => disabled)) {
    findings.push(
      warning(
        'seal',
        `seal "${away.type}" is disabled (${away.place}): a migration is under way`,
        'Take it out once every peer has been migrated.',
      ),
    );
  }
  const plugin = config.plugins.findLast(({ name }) => name === seal.type);
  if (plugin === undefined && BUILT_IN.has(seal.type)) {
    findings.push(ok('seal', `seal "${seal.type}" uses no HSM by PKCS#11`));
    return { findings, found: undefined };
  }
  findings.push(
    ...shapeOf(seal),
    ...pluginFindings(config, seal, plugin, server),
    ...settingFindings(seal, readSettings),
  );
  if (!findings.some(({ level }) => level === 'fault'))
    findings.push(ok('seal', `seal "${seal.type}" (${seal.place})`));
  return { findings, found: { seal, plugin } };
}

function shapeOf({ nested, twice, settings, place }: SealEntry): Finding[] {
  return [
    ...nested.map((key) => fault('seal', `${key} is a block or a list (${place}), and a seal takes only text`)),
    ...twice.map((key) => fault('seal', `${key} is given twice (${place})`)),
    ...[...settings]
      .filter(([key, value]) => /(?:^|_)pin$/.test(key) && !/^(?:file|env):\/\//.test(value))
      .map(([key]) =>
        warning(
          'PIN',
          `${key} is in the configuration itself (${place})`,
          'Whoever reads the file has it. Use pin_file, best with a systemd credential.',
        ),
      ),
  ];
}

function pluginFindings(
  { pluginDirectory }: ServerConfig,
  { type, place }: SealEntry,
  plugin: PluginStanza | undefined,
  server: Server,
): Finding[] {
  if (plugin === undefined) {
    if (type === 'pkcs11' && server !== 'openbao') return [];
    const mend =
      type === 'pkcs11'
        ? 'OpenBao from 2.7 on takes PKCS#11 by a plugin only: quorate hsm plugin install, and quorate hsm config.'
        : `quorate hsm plugin install prints the stanza; its name is that of the seal.`;
    return [fault('plugin', `there is no plugin "kms" "${type}" stanza for the seal (${place})`, mend)];
  }
  if (server !== 'openbao') {
    return [
      fault('plugin', `this server knows no plugin "kms" stanza (${plugin.place})`, 'It takes OpenBao 2.7 or later.'),
    ];
  }
  const findings: Finding[] = [];
  if (pluginDirectory === undefined) {
    findings.push(fault('plugin', 'plugin_directory is not set', 'Set it to the folder that the plugin is in.'));
  } else if (!isAbsolute(pluginDirectory)) {
    findings.push(fault('plugin', 'plugin_directory is not an absolute path'));
  }
  if (plugin.command === undefined) findings.push(fault('plugin', `command is missing (${plugin.place})`));
  else if (plugin.command.includes('/')) {
    findings.push(
      fault(
        'plugin',
        `command has a / in it (${plugin.place})`,
        'It is a file directly in plugin_directory, by its name alone.',
      ),
    );
  }
  if (!/^[0-9a-f]{64}$/i.test(plugin.sha256 ?? '')) {
    findings.push(
      fault('plugin', `sha256sum is not a SHA-256 (${plugin.place})`, 'quorate hsm plugin install prints it.'),
    );
  }
  return findings;
}

function settingFindings({ type, settings, place }: SealEntry, readSettings: ReadSettings): Finding[] {
  if (type === OWN_PLUGIN) {
    try {
      readSettings(settings);
      return [];
    } catch (error) {
      if (!isQuorateError(error, 'document-invalid')) throw error;
      return error.message
        .replace(/^seal configuration: /, '')
        .split('; ')
        .map((text) => fault('seal', `${text} (${place})`));
    }
  }
  if (type !== 'pkcs11') return [];
  const unknown = [...settings.keys()].filter((key) => !PKCS11_KEYS.has(key));
  const missing = ['lib', 'key_label'].filter((key) => !settings.has(key));
  const named = settings.has('slot') || settings.has('token_label');
  return [
    ...unknown.map((key) =>
      fault('seal', `${JSON.stringify(key.slice(0, 40))} is not known to a pkcs11 seal (${place})`),
    ),
    ...missing.map((key) => fault('seal', `${key} is missing (${place})`)),
    ...(named ? [] : [fault('seal', `token_label is missing, or slot (${place})`)]),
  ];
}
