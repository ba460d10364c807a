import { request as plainRequest } from 'node:http';
import { request as tlsRequest, type RequestOptions } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { defaultAuthorities } from '../../authorities.ts';
import type { Environment } from '../environment.ts';
import { QuorateError } from '../../errors.ts';
import { Secret } from '../../secret.ts';

const TRIES = 4;
const FIRST_PAUSE = 500;
const TIMEOUT = 10_000;
const LARGEST = 64 << 10;

/**
 * The job's own token, from the service that the runner names by ACTIONS_ID_TOKEN_REQUEST_URL and ..._TOKEN (GitHub:
 * "OpenID Connect reference"). Asking twice does no harm; each answer is a new token, good for some minutes.
 * @returns the token, which the caller wipes.
 * @throws QuorateError `token-missing` (not in such a job, or without the permission), `environment-hostile` (an
 * address that would carry the request in clear), `denied`, `server-unreachable`, `server-response`, `cancelled`.
 */
export async function githubToken(env: Environment, audience: string, signal?: AbortSignal): Promise<Secret> {
  const address = env['ACTIONS_ID_TOKEN_REQUEST_URL'] ?? '';
  const bearer = env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] ?? '';
  if (address === '' || bearer === '') {
    throw new QuorateError('token-missing', 'GitHub gives this job no token', {
      hint: 'The job needs "permissions: id-token: write"; jobs for pull requests from forks never get one.',
    });
  }
  const url = serviceAddress(address);
  url.searchParams.set('audience', audience);
  let longest = FIRST_PAUSE;
  for (let tries = 1; ; tries += 1) {
    const { status, body } = await ask(url, bearer, signal);
    try {
      if (status === 200) return tokenIn(body);
      const passing = status === 0 || status === 429 || status >= 500;
      if (!passing || tries === TRIES) throw refusal(status);
    } finally {
      body.fill(0);
    }
    await pause(longest * (0.5 + Math.random() / 2), undefined, signal === undefined ? {} : { signal }).catch(() => {
      throw cancelled();
    });
    longest *= 2;
  }
}

/** https, or the machine itself. */
function serviceAddress(text: string): URL {
  const url = URL.parse(text);
  const near = url?.hostname === '127.0.0.1' || url?.hostname === '[::1]' || url?.hostname === 'localhost';
  if (url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && near))) return url;
  throw new QuorateError('environment-hostile', 'ACTIONS_ID_TOKEN_REQUEST_URL is not an https address', {
    hint: "The runner sets it. The job's token would be asked for in clear.",
  });
}

/** Status 0 where there was no answer. */
function ask(
  url: URL,
  bearer: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly status: number; readonly body: Uint8Array }> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      outgoing.destroy();
      reject(cancelled());
    };
    const settle = (status: number, chunks: readonly Uint8Array[] = []): void => {
      signal?.removeEventListener('abort', stop);
      resolve({ status, body: joined(chunks) });
    };
    const options: RequestOptions = {
      agent: false,
      timeout: TIMEOUT,
      headers: {
        'Authorization': `Bearer ${bearer}`,
        'Accept': 'application/json; api-version=2.0',
        'User-Agent': 'quorate',
      },
    };
    const outgoing =
      url.protocol === 'https:'
        ? tlsRequest(url, { ...options, ca: [...defaultAuthorities()], rejectUnauthorized: true })
        : plainRequest(url, options);
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('error', () => {
      settle(0);
    });
    outgoing.on('response', (incoming) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      incoming.on('data', (chunk: Uint8Array) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > LARGEST) outgoing.destroy();
      });
      incoming.on('error', () => {
        settle(0);
      });
      incoming.on('end', () => {
        settle(incoming.statusCode ?? 0, chunks);
      });
    });
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
    outgoing.end();
  });
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
    chunk.fill(0);
  }
  return all;
}

function tokenIn(body: Uint8Array): Secret {
  let value: unknown;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(body));
    value = (parsed as { readonly value?: unknown } | null)?.value;
  } catch {
    // The parser's error quotes what it read.
  }
  if (typeof value === 'string' && value !== '') return Secret.fromText(value);
  throw new QuorateError('server-response', "GitHub's token service answered without a token", {
    hint: 'Is ACTIONS_ID_TOKEN_REQUEST_URL what the runner set?',
  });
}

function refusal(status: number): QuorateError {
  if (status === 0) {
    return new QuorateError('server-unreachable', "GitHub's token service cannot be reached", {
      hint: 'Does this runner reach the host of ACTIONS_ID_TOKEN_REQUEST_URL without a proxy?',
    });
  }
  return new QuorateError('denied', `GitHub's token service gave no token (status ${status.toString()})`, {
    hint: 'The job needs "permissions: id-token: write", and its request token ends with the job.',
  });
}

function cancelled(): QuorateError {
  return new QuorateError('cancelled', "asking for the job's token was cancelled");
}
