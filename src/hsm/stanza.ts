import { QuorateError } from '../errors.ts';

/** The servers whose seal stanzas differ. `openbao` is 2.7 and later, which takes PKCS#11 by a plugin only. */
export const SERVERS = ['openbao', 'openbao-2.6', 'vault'] as const;
export type Server = (typeof SERVERS)[number];

/** Where the server finds a PIN; `environment` is what remains for servers that know no files. */
export type PinPlace =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'credential'; readonly name: string }
  | { readonly kind: 'environment' }
  /** In the configuration itself, in clear. */
  | { readonly kind: 'stanza'; readonly pin: string };

export interface SealToken {
  readonly lib: string;
  readonly label: string;
  readonly serial?: string;
  readonly keyLabel: string;
  /** Hexadecimal. */
  readonly keyId?: string;
  readonly mechanism: 'aes-gcm' | 'rsa-oaep';
  readonly oaepHash?: string;
  readonly pin: PinPlace;
}

export interface SealStanza {
  readonly server: Server;
  /** One, or with quorate-kms several, of which `threshold` decrypt. */
  readonly tokens: readonly SealToken[];
  readonly threshold: number;
}

const MECHANISMS = { 'aes-gcm': '0x1087', 'rsa-oaep': '0x0009' } as const;

/**
 * The lines of a `seal` stanza. With OpenBao from 2.7 on it is that of quorate-kms (its keys: src/kms/configuration.ts),
 * before that, and in Vault Enterprise, the server's own `pkcs11`.
 * @throws QuorateError `usage` for what the server cannot have: several tokens, or a PIN file, but with quorate-kms.
 */
export function sealStanza({ server, tokens, threshold }: SealStanza): string[] {
  const [first] = tokens;
  if (first === undefined) throw new QuorateError('bug', 'a seal without a token');
  if (server !== 'openbao') {
    if (tokens.length > 1) {
      throw new QuorateError('usage', 'several tokens behind one seal take OpenBao 2.7 or later, with quorate-kms');
    }
    return stanza('pkcs11', ownSettings(first, server));
  }
  if (tokens.length === 1) return stanza('quorate-kms', pluginSettings(first, ''));
  const numbered = tokens.flatMap((token, index) => pluginSettings(token, `token${(index + 1).toString()}_`));
  return stanza('quorate-kms', [['threshold', threshold.toString()], ...numbered]);
}

type Setting = readonly [key: string, value: string];

function pluginSettings(token: SealToken, prefix: string): Setting[] {
  const settings: Setting[] = [...tokenSettings(token), ...keySettings(token, token.mechanism)];
  const pin: Setting[] =
    token.pin.kind === 'file'
      ? [['pin_file', token.pin.path]]
      : token.pin.kind === 'credential'
        ? [['pin_file', `$CREDENTIALS_DIRECTORY/${token.pin.name}`]]
        : token.pin.kind === 'stanza'
          ? [['pin', token.pin.pin]]
          : [['pin_env', prefix === '' ? 'QUORATE_HSM_PIN' : `QUORATE_HSM_PIN_${/\d+/.exec(prefix)?.[0] ?? ''}`]];
  return [...settings, ...pin].map(([key, value]) => [`${prefix}${key}`, value]);
}

function ownSettings(token: SealToken, server: Exclude<Server, 'openbao'>): Setting[] {
  if (token.pin.kind === 'file' || token.pin.kind === 'credential') {
    throw new QuorateError('usage', 'this server reads no PIN from a file', {
      hint: `Leave the PIN out: it takes ${server === 'vault' ? 'VAULT_HSM_PIN' : 'BAO_HSM_PIN'} from its environment, which systemd can read from a file of mode 0600 (EnvironmentFile=).`,
    });
  }
  const pin: Setting[] = token.pin.kind === 'stanza' ? [['pin', token.pin.pin]] : [];
  const { serial: _serial, ...rest } = token;
  return [...tokenSettings(rest), ...keySettings(token, MECHANISMS[token.mechanism]), ...pin];
}

function tokenSettings({ lib, label, serial }: Pick<SealToken, 'lib' | 'label' | 'serial'>): Setting[] {
  return [['lib', lib], ['token_label', label], ...(serial === undefined ? [] : [['serial', serial] as const])];
}

function keySettings({ keyLabel, keyId, oaepHash }: SealToken, mechanism: string): Setting[] {
  return [
    ['key_label', keyLabel],
    ...(keyId === undefined ? [] : [['key_id', `0x${keyId}`] as const]),
    ['mechanism', mechanism],
    ...(oaepHash === undefined ? [] : [['rsa_oaep_hash', oaepHash] as const]),
  ];
}

function stanza(name: string, settings: readonly Setting[]): string[] {
  const width = Math.max(...settings.map(([key]) => key.length));
  return [`seal "${name}" {`, ...settings.map(([key, value]) => `  ${key.padEnd(width)} = ${quoted(key, value)}`), '}'];
}

/** A string of HCL. `$` and `{` together would be read as an interpolation. */
function quoted(key: string, value: string): string {
  if (/[\p{C}]|\$\{/u.test(value)) {
    throw new QuorateError('usage', `the value of ${key} has characters that a server's configuration cannot hold`);
  }
  return `"${value.replace(/["\\]/g, (one) => `\\${one}`)}"`;
}
