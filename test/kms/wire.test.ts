import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeCertificate } from '../../src/kms/certificate.ts';
import { failureIn, framed, trailersOf, unframed } from '../../src/kms/grpc.ts';
import { COOKIE, handshakeLine, launchOf, readHandshake } from '../../src/kms/handshake.ts';
import { logLine } from '../../src/kms/log.ts';
import { readWrapperRequest, writeConfiguration } from '../../src/kms/messages.ts';
import { bytesOf, fieldsOf, MalformedMessage, message, numberOf, textOf } from '../../src/kms/protobuf.ts';

describe('protobuf messages', () => {
  it('are read as they were written', () => {
    const written = message([1, 'id'], [2, 300], [3, true], [4, ''], [10, Uint8Array.of(1, 2)]);
    expect(Buffer.from(written).toString('hex')).toBe('0a02696410ac02180152020102');
    const fields = fieldsOf(written);
    expect([textOf(fields, 1), numberOf(fields, 2), numberOf(fields, 4), bytesOf(fields, 10)]).toEqual([
      'id',
      300,
      0,
      Uint8Array.of(1, 2),
    ]);
  });

  it('carry a configuration', () => {
    const config = { lib: '/lib/p11.so', key_label: 'Schlüssel', empty: '' };
    const { options } = readWrapperRequest(writeConfiguration(config));
    expect(Object.fromEntries(options.config)).toEqual(config);
  });

  it('are refused when they are none, and never read past their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          for (const { value } of fieldsOf(bytes))
            if (value instanceof Uint8Array) expect(value.length).toBeLessThan(40);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage);
        }
      }),
    );
  });
});

describe('gRPC', () => {
  it('frames one message, and takes no other', () => {
    expect(unframed(framed(Uint8Array.of(7)))).toEqual(Uint8Array.of(7));
    for (const wrong of [[], [0, 0, 0, 0, 2, 7], [1, 0, 0, 0, 1, 7]]) {
      expect(() => unframed(Uint8Array.from(wrong))).toThrow(/message/);
    }
  });

  it('brings any text of an error across', () => {
    for (const text of ['no token with label "hsm-a"; 100 % of them', 'Schlüssel fehlt: 鍵 🔑', 'a\nb']) {
      const trailers = trailersOf(2, text);
      expect(String(trailers['grpc-message'])).toMatch(/^[ -~]*$/);
      expect(failureIn(trailers as never)?.message).toBe(text);
    }
    expect(failureIn(trailersOf(0) as never)).toBeUndefined();
  });
});

describe('the handshake', () => {
  it('is what the server reads', () => {
    const { der } = makeCertificate();
    const line = handshakeLine('/tmp/x/kms.sock', der, false);
    expect(line).toMatch(/^1\|1\|unix\|\/tmp\/x\/kms\.sock\|grpc\|[A-Za-z0-9+/]+\n$/);
    expect(readHandshake(line)).toEqual({ socket: '/tmp/x/kms.sock', certificate: der });
    expect(handshakeLine('/s', der, true)).toMatch(/\|false\n$/);
  });

  it('refuses to go on without a server', () => {
    const env = { [COOKIE.name]: COOKIE.value, PLUGIN_CLIENT_CERT: '-----BEGIN CERTIFICATE-----' };
    expect(launchOf(env)).toMatchObject({ multiplexField: false });
    const wrong = [
      {},
      { ...env, [COOKIE.name]: 'x' },
      { ...env, PLUGIN_PROTOCOL_VERSIONS: '2' },
      { ...env, PLUGIN_CLIENT_CERT: '' },
    ];
    for (const one of wrong) expect(launchOf(one)).toHaveProperty('refusal');
  });

  it('has a certificate that is good for localhost, and for years', () => {
    const { certificate, key } = makeCertificate();
    const parsed = new X509Certificate(certificate);
    expect(parsed.checkHost('localhost')).toBe('localhost');
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(Date.parse(parsed.validTo)).toBeGreaterThan(Date.now() + 9 * 365 * 86_400_000);
    expect(key).toContain('PRIVATE KEY');
    // Serial numbers begin with any byte: each has to be positive and minimal.
    for (let round = 0; round < 20; round += 1)
      expect(() => new X509Certificate(makeCertificate().certificate)).not.toThrow();
  });
});

describe('the log', () => {
  it('is a line that the server takes: JSON, with six digits of a second', () => {
    const line = logLine('warn', 'a "label"\n\u009b2J', {}, new Date('2027-01-02T03:04:05.678Z'));
    expect(JSON.parse(line)).toEqual({
      '@level': 'warn',
      '@message': 'a "label"\n 2J',
      '@timestamp': '2027-01-02T03:04:05.678000Z',
    });
    expect(line.split('\n')).toHaveLength(2);
  });
});
