import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/hsm/check-config.ts';
import { readServerConfig } from '../../src/hsm/server-config.ts';
import { type SealStanza, sealStanza, type SealToken, type Server } from '../../src/hsm/stanza.ts';
import { readConfiguration } from '../../src/kms/configuration.ts';
import { codeOf } from '../support/errors.ts';

const TOKEN: SealToken = {
  ...{ lib: '/usr/lib/x.so', label: 'to"ken', serial: '01', keyLabel: 'seal', keyId: '0a', mechanism: 'aes-gcm' },
  pin: { kind: 'file', path: '/etc/pin' },
};
const PLUGIN = `plugin_directory = "/p"
plugin "kms" "quorate-kms" {
  command = "quorate-kms"
  sha256sum = "${'a'.repeat(64)}"
}
`;

const settings = (values: ReadonlyMap<string, string>): ReturnType<typeof readConfiguration> =>
  readConfiguration(values, { CREDENTIALS_DIRECTORY: '/run/c' }, true);

const config = (text: string): ReturnType<typeof readServerConfig> => readServerConfig([{ name: 'bao.hcl', text }]);

/** What is not well, in order. */
function faults(text: string, server: Server = 'openbao'): string[] {
  return checkConfig(config(text), server, settings)
    .findings.filter(({ level }) => level !== 'ok')
    .map(({ level, text: said }) => `${level}: ${said}`);
}

describe('a stanza that is written', () => {
  it('is one that the plugin takes, with what was ordered in it', () => {
    const lines = sealStanza({ server: 'openbao', tokens: [TOKEN], threshold: 1 });
    expect(faults(PLUGIN + lines.join('\n'))).toEqual([]);
    const [seal] = config(lines.join('\n')).seals;
    expect(settings(seal?.settings ?? new Map())).toMatchObject({
      threshold: 1,
      tokens: [
        {
          label: 'to"ken',
          serial: '01',
          keyLabel: 'seal',
          keyId: '0a',
          mechanism: 'aes-gcm',
          pin: { path: '/etc/pin' },
        },
      ],
    });
  });

  it('may have several tokens, each with a credential of its own', () => {
    const tokens = ['a', 'b', 'c'].map((label) => ({
      ...TOKEN,
      label,
      pin: { kind: 'credential', name: `pin-${label}` } as const,
    }));
    const lines = sealStanza({ server: 'openbao', tokens, threshold: 2 });
    expect(faults(PLUGIN + lines.join('\n'))).toEqual([]);
    const read = settings(config(lines.join('\n')).seals[0]?.settings ?? new Map());
    expect(read).toMatchObject({ threshold: 2, encryptMin: 3 });
    expect(read.tokens.map(({ pin }) => pin)).toEqual(
      ['a', 'b', 'c'].map((one) => ({ kind: 'file', path: `/run/c/pin-${one}` })),
    );
  });

  it("is the servers' own before OpenBao 2.7 and in Vault, and never has what they do not know", async () => {
    const lines = sealStanza({ server: 'vault', tokens: [{ ...TOKEN, pin: { kind: 'environment' } }], threshold: 1 });
    expect(faults(lines.join('\n'), 'vault')).toEqual([]);
    expect(lines.join('\n')).toContain('mechanism   = "0x1087"');
    const wrong: SealStanza[] = [
      { server: 'vault', tokens: [TOKEN], threshold: 1 },
      { server: 'openbao-2.6', tokens: [TOKEN, TOKEN], threshold: 1 },
      { server: 'openbao', tokens: [{ ...TOKEN, label: '${x}' }], threshold: 1 },
    ];
    for (const one of wrong) expect(await codeOf(() => sealStanza(one))).toBe('usage');
  });
});

const SEAL = `seal "quorate-kms" {
  lib = "/x.so"
  token_label = "t"
  key_label = "k"
  pin_file = "/pin"
}
`;

describe('the check of a configuration', () => {
  it('finds nothing in a good one', () => {
    expect(faults(PLUGIN + SEAL)).toEqual([]);
  });

  it.each<[string, string, Server, string[]]>([
    ['no seal', '', 'openbao', ['fault: there is no seal stanza: the server would use Shamir shares']],
    ['another seal', 'seal "transit" {}', 'openbao', []],
    ['no plugin', SEAL, 'openbao', ['fault: there is no plugin "kms" "quorate-kms" stanza for the seal (bao.hcl:1)']],
    ['Vault', PLUGIN + SEAL, 'vault', ['fault: this server knows no plugin "kms" stanza (bao.hcl:2)']],
    [
      'a plugin that cannot start',
      PLUGIN.replace('"/p"', '"p"').replace('"quorate-kms"\n', '"bin/quorate-kms"\n').replace('a'.repeat(64), 'abc') +
        SEAL,
      'openbao',
      [
        'fault: plugin_directory is not an absolute path',
        'fault: command has a / in it (bao.hcl:2)',
        'fault: sha256sum is not a SHA-256 (bao.hcl:2)',
      ],
    ],
    [
      'settings that stop it',
      PLUGIN + SEAL.replace('lib = "/x.so"', 'lib = "x.so"\n  tokens = [1]\n  what = "x"'),
      'openbao',
      [
        'fault: tokens is a block or a list (bao.hcl:6), and a seal takes only text',
        'fault: unknown key "what" (bao.hcl:6)',
        'fault: lib is not an absolute path (bao.hcl:6)',
      ],
    ],
    [
      'a PIN in it',
      PLUGIN + SEAL.replace('pin_file = "/pin"', 'pin = "hunter2"'),
      'openbao',
      ['warning: pin is in the configuration itself (bao.hcl:6)'],
    ],
    [
      'a migration',
      `${PLUGIN + SEAL}seal "awskms" {\n disabled = "true"\n}`,
      'openbao',
      ['warning: seal "awskms" is disabled (bao.hcl:12): a migration is under way'],
    ],
    ['two seals', `${PLUGIN + SEAL}seal "static" {}`, 'openbao', ['fault: 2 seals are active (bao.hcl:6, bao.hcl:12)']],
    [
      'an old stanza',
      'seal "pkcs11" {\n lib = "/x.so"\n key = "k"\n}',
      'openbao-2.6',
      [
        'fault: "key" is not known to a pkcs11 seal (bao.hcl:1)',
        'fault: key_label is missing (bao.hcl:1)',
        'fault: token_label is missing, or slot (bao.hcl:1)',
      ],
    ],
  ])('finds %s', (_what, text, server, expected) => {
    expect(faults(text, server)).toEqual(expected);
  });
});
