import type { ClientRequest } from 'node:http';
import { QuorateError } from '../errors.ts';
import type { UploadSource } from './peer.ts';

/**
 * Sends the whole of `source` and ends the request, holding one piece at a time. Resolves early when the request is
 * over before (refused, broken): whoever listens to the request learns why.
 * @throws QuorateError `file-invalid` when the source has other than `size` bytes; whatever the source throws.
 */
export async function sendSource(outgoing: ClientRequest, source: UploadSource, name: string): Promise<void> {
  let sent = 0;
  for await (const chunk of source.chunks()) {
    sent += chunk.length;
    if (sent > source.size) throw changed(name);
    if (outgoing.destroyed || outgoing.writableEnded) return;
    if (!outgoing.write(chunk)) await drained(outgoing);
  }
  if (sent !== source.size) throw changed(name);
  outgoing.end();
}

/** Also when the request ends, after which nothing drains any more. */
function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done).off('close', done).off('error', done);
      resolve();
    };
    outgoing.on('drain', done).on('close', done).on('error', done);
    if (outgoing.destroyed) done();
  });
}

function changed(name: string): QuorateError {
  return new QuorateError('file-invalid', `the file changed its size while it was sent to ${name}`, {
    hint: 'The server was not given a whole one. Find out who writes to the file.',
  });
}
