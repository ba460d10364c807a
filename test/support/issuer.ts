import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { atEnd } from './at-end.ts';

/** Signs tokens as CI systems and Kubernetes do (RFC 7519, ES256). */
export interface Issuer {
  /** PEM. */
  readonly publicKey: string;
  /** The same as RFC 7517 has it. */
  readonly jwk: Readonly<Record<string, unknown>>;
  /** Good for ten minutes from now, but for what `claims` say; what is undefined there is left out. */
  token(claims: Readonly<Record<string, unknown>>): string;
}

export function makeIssuer(): Issuer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk: { ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'one' },
    token(claims) {
      const now = Math.floor(Date.now() / 1000);
      const all = { iat: now, nbf: now - 5, exp: now + 600, ...claims };
      const text = `${encode({ alg: 'ES256', typ: 'JWT' })}.${encode(all)}`;
      const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${text}.${signature.toString('base64url')}`;
    },
  };
}

export interface Service {
  readonly address: string;
  /** How often it was asked. */
  readonly asked: number;
}

const servers: Server[] = [];

atEnd(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

export interface Asked {
  readonly url: URL;
  readonly authorization: string | undefined;
  /** Parsed JSON; null where there is none. */
  readonly body: unknown;
}

/** A certificate and its key, PEM. */
export interface ServiceTls {
  readonly cert: string;
  readonly key: string;
}

/**
 * A small HTTP service on this machine, for what stands beside the server that is tried: it answers with JSON. With
 * `tls` it speaks https.
 */
export async function startService(
  answer: (asked: Asked) => { readonly status?: number; readonly body: unknown },
  tls?: ServiceTls,
): Promise<Service> {
  const seen = { asked: 0 };
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      seen.asked += 1;
      const text = Buffer.concat(chunks).toString();
      const { status = 200, body } = answer({
        url: new URL(request.url ?? '/', 'http://localhost'),
        authorization: request.headers.authorization,
        body: text === '' ? null : JSON.parse(text),
      });
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return {
    address: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port.toString()}`,
    get asked() {
      return seen.asked;
    },
  };
}

/** The service that GitHub's runner names to a job: it gives `token(audience)` to whoever has its bearer. */
export async function startGithub(
  token: (audience: string) => string,
  tls?: ServiceTls,
): Promise<{ readonly service: Service; readonly env: Readonly<Record<string, string>>; failures: number }> {
  const bearer = 'the-runner-gave-this';
  const state = { failures: 0 };
  const service = await startService(({ url, authorization }) => {
    if (state.failures > 0) {
      state.failures -= 1;
      return { status: 503, body: {} };
    }
    if (authorization !== `Bearer ${bearer}` || url.searchParams.get('api-version') !== '2.0') {
      return { status: 401, body: {} };
    }
    return { body: { count: 1, value: token(url.searchParams.get('audience') ?? '') } };
  }, tls);
  return {
    service,
    env: {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${service.address}/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer,
    },
    get failures() {
      return state.failures;
    },
    set failures(count) {
      state.failures = count;
    },
  };
}
