import { parentPort, workerData } from 'node:worker_threads';
import { isQuorateError, QuorateError, type ErrorCode } from '../errors.ts';
import type { WrappedShare } from './envelope.ts';
import { tidyAtRest } from './rest.ts';
import type { TokenSettings } from './settings.ts';
import { SealToken } from './token.ts';

/** What a token's thread is asked, and what each answer is. */
export interface Operations {
  readonly load: { readonly ask: object; readonly answer: undefined };
  readonly prove: { readonly ask: object; readonly answer: undefined };
  readonly release: { readonly ask: object; readonly answer: undefined };
  readonly reinitialise: { readonly ask: object; readonly answer: undefined };
  readonly wrap: {
    readonly ask: { readonly part: Uint8Array; readonly context: Uint8Array };
    readonly answer: WrappedShare;
  };
  readonly unwrap: {
    readonly ask: { readonly share: WrappedShare; readonly context: Uint8Array };
    readonly answer: Uint8Array;
  };
}

export type Operation = keyof Operations;
export type Request = {
  [O in Operation]: { readonly id: number; readonly operation: O } & Operations[O]['ask'];
}[Operation];
export type Reply =
  | { readonly id: number; readonly answer: Operations[Operation]['answer'] }
  | { readonly id: number; readonly failure: { readonly code: ErrorCode; readonly message: string } };

/** What a thread is started with. */
export interface ThreadData {
  readonly settings: TokenSettings;
  /** Where the compiled addon waits; bin/build-kms.ts has it loaded from there. */
  readonly addon: string;
}

/** The body of a token's thread: answers one request after the other. */
export function serveToken(): void {
  const port = parentPort;
  if (port === null) throw new QuorateError('bug', 'a token is served in a thread of its own');
  const { settings } = workerData as ThreadData;
  const token = new SealToken(settings, process.env);
  const worked = tidyAtRest();
  port.on('message', (request: Request) => {
    port.postMessage(reply(token, request));
    worked();
  });
}

function reply(token: SealToken, request: Request): Reply {
  const { id } = request;
  try {
    return { id, answer: perform(token, request) };
  } catch (error) {
    // Nothing but words of our own leaves the thread.
    const failure = isQuorateError(error)
      ? { code: error.code, message: error.message }
      : {
          code: 'bug' as const,
          message: `something unexpected (${error instanceof Error ? error.name : typeof error})`,
        };
    return { id, failure };
  }
}

function perform(token: SealToken, request: Request): Operations[Operation]['answer'] {
  switch (request.operation) {
    case 'load':
      token.load();
      return undefined;
    case 'prove':
      token.prove();
      return undefined;
    case 'release':
      token.release();
      return undefined;
    case 'reinitialise':
      token.reinitialise();
      return undefined;
    case 'wrap':
      try {
        return token.wrap(request.part, request.context);
      } finally {
        request.part.fill(0);
      }
    case 'unwrap':
      return token.unwrap(request.share, request.context);
  }
}
