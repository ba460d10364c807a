import { blocksOf, type HclObject, type HclValue, parseHcl } from '../hcl.ts';

/** A `plugin "kms" "NAME"` stanza. */
export interface PluginStanza {
  readonly name: string;
  readonly command: string | undefined;
  readonly sha256: string | undefined;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly place: string;
}

/** A `seal "TYPE"` stanza, its own settings as the server hands them to a plugin: text. */
export interface SealEntry {
  readonly type: string;
  readonly settings: ReadonlyMap<string, string>;
  /** Keys whose value is a block or a list, which a seal cannot have. */
  readonly nested: readonly string[];
  /** Keys that stand twice. */
  readonly twice: readonly string[];
  readonly disabled: boolean;
  readonly place: string;
}

export interface ServerConfig {
  readonly pluginDirectory: string | undefined;
  readonly plugins: readonly PluginStanza[];
  readonly seals: readonly SealEntry[];
}

/** What the server takes out of a seal's stanza itself (KMS plugins of OpenBao 2.7.2 never see these). */
const SERVERS_OWN = /^(?:purpose|disabled|health_check_.*)$/;

/**
 * The seal and plugin stanzas of a server's configuration, which may lie in several files, as with `-config=FOLDER`.
 * @throws QuorateError `document-invalid`.
 */
export function readServerConfig(files: readonly { readonly name: string; readonly text: string }[]): ServerConfig {
  const roots = files.map(({ name, text }) => ({ name, root: parseHcl(text, name) }));
  const placed = (name: string, line: number | undefined): string =>
    line === undefined ? name : `${name}:${line.toString()}`;
  return {
    pluginDirectory: roots.map(({ root }) => textOf(root, 'plugin_directory')).findLast((one) => one !== undefined),
    plugins: roots.flatMap(({ name, root }) =>
      blocksOf(root, 'plugin', 2)
        .filter(({ labels }) => labels[0] === 'kms')
        .map(({ labels, body, line }) => ({
          name: labels[1] ?? '',
          command: textOf(body, 'command'),
          sha256: textOf(body, 'sha256sum'),
          args: listOf(body, 'args'),
          env: listOf(body, 'env'),
          place: placed(name, line),
        })),
    ),
    seals: roots.flatMap(({ name, root }) =>
      blocksOf(root, 'seal', 1).map(({ labels, body, line }) => ({
        type: labels[0] ?? '',
        ...settingsOf(body),
        place: placed(name, line),
      })),
    ),
  };
}

function settingsOf(body: HclObject): Pick<SealEntry, 'settings' | 'nested' | 'twice' | 'disabled'> {
  const settings = new Map<string, string>();
  const nested: string[] = [];
  const twice: string[] = [];
  let disabled = false;
  for (const { keys, value } of body.entries) {
    const key = keys.join(' ');
    if (key === 'disabled') disabled = value === true || value === 'true';
    if (SERVERS_OWN.test(key)) continue;
    if (settings.has(key)) twice.push(key);
    if (typeof value === 'object') nested.push(key);
    else settings.set(key, value.toString());
  }
  return { settings, nested, twice, disabled };
}

function valueOf(body: HclObject, key: string): HclValue | undefined {
  return body.entries.findLast(({ keys }) => keys.length === 1 && keys[0] === key)?.value;
}

function textOf(body: HclObject, key: string): string | undefined {
  const value = valueOf(body, key);
  return typeof value === 'string' ? value : undefined;
}

function listOf(body: HclObject, key: string): readonly string[] {
  const value = valueOf(body, key);
  return Array.isArray(value) ? (value as readonly HclValue[]).map(String) : [];
}
