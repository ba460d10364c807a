import { describe, expect, it } from 'vitest';
import { COOKIE, handshakeLine, launchOf, readHandshake } from '../../src/kms/handshake.ts';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n';
const SERVER = { [COOKIE.name]: COOKIE.value, PLUGIN_PROTOCOL_VERSIONS: '1', PLUGIN_CLIENT_CERT: CERTIFICATE };

describe('how the server launches the plugin', () => {
  it('is read from its variables', () => {
    expect(launchOf(SERVER)).toEqual({
      ...{ clientCertificate: CERTIFICATE, socketParent: undefined, multiplexField: false },
    });
    expect(launchOf({ ...SERVER, PLUGIN_UNIX_SOCKET_DIR: '/run/bao', PLUGIN_MULTIPLEX_GRPC: 'true' })).toMatchObject({
      ...{ socketParent: '/run/bao', multiplexField: true },
    });
  });

  it('is refused in words when it is no launch, or one of another protocol', () => {
    expect(launchOf({ ...SERVER, [COOKIE.name]: 'other' })).toEqual({
      refusal:
        'quorate-kms is not run by hand: OpenBao 2.7 and later launches it for a seal. quorate hsm plugin install puts it in place and prints the configuration.',
    });
    expect(launchOf({ ...SERVER, PLUGIN_PROTOCOL_VERSIONS: '2,3' })).toEqual({
      refusal: 'this server speaks other versions of the plugin protocol (2, 3), not 1',
    });
    expect(launchOf({ ...SERVER, PLUGIN_CLIENT_CERT: '' })).toEqual({
      refusal: 'the server gave no certificate of its own (PLUGIN_CLIENT_CERT), so nobody could be let in',
    });
  });
});

describe('the line that tells the server where to connect', () => {
  it('has base64 without padding, and a seventh field only where that is wanted', () => {
    const certificate = Uint8Array.of(0xff, 0xfe);
    expect(handshakeLine('/run/x/kms.sock', certificate, false)).toBe('1|1|unix|/run/x/kms.sock|grpc|//4\n');
    const line = handshakeLine('/run/x/kms.sock', certificate, true);
    expect(line).toBe('1|1|unix|/run/x/kms.sock|grpc|//4|false\n');
    expect(readHandshake(line)).toEqual({ socket: '/run/x/kms.sock', certificate });
    expect(readHandshake('1|2|unix|/run/x/kms.sock|grpc|//4')).toBeUndefined();
  });
});
