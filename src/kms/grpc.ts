import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';

/*
 * gRPC over HTTP/2, as far as both ends here need it (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
 * one uncompressed message each way, behind a prefix of five bytes, and a status in the trailers.
 */

export const OK = 0;
export const UNKNOWN = 2;
export const INVALID_ARGUMENT = 3;
export const NOT_FOUND = 5;
export const RESOURCE_EXHAUSTED = 8;
export const UNIMPLEMENTED = 12;

/** gRPC's usual limit of a message. */
export const MESSAGE_LIMIT = 4 << 20;
export const CONTENT_TYPE = 'application/grpc';
const PREFIX = 5;
/** Header lists are small on both sides, and a log line should be. */
const MESSAGE_CHARACTERS = 4_000;

/** A call that failed. OpenBao shows the bare message when the status is UNKNOWN, else with the status before it. */
export class GrpcError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.name = 'GrpcError';
    this.status = status;
  }
}

/** Puts the prefix before a message: not compressed, so many bytes. */
export function framed(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PREFIX + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, PREFIX);
  return frame;
}

/** The one message in a body, as a view. @throws GrpcError when the body is anything else. */
export function unframed(body: Uint8Array): Uint8Array {
  if (body.length < PREFIX) throw new GrpcError(INVALID_ARGUMENT, 'a message was expected');
  if (body[0] !== 0) throw new GrpcError(UNIMPLEMENTED, 'compressed messages are not read here');
  const length = new DataView(body.buffer, body.byteOffset).getUint32(1);
  if (length !== body.length - PREFIX) throw new GrpcError(INVALID_ARGUMENT, 'exactly one whole message was expected');
  return body.subarray(PREFIX);
}

/** How a call ended, as trailers. */
export function trailersOf(status: number, text = ''): OutgoingHttpHeaders {
  return {
    'grpc-status': status.toString(),
    ...(text === '' ? {} : { 'grpc-message': percentEncoded(text.slice(0, MESSAGE_CHARACTERS)) }),
  };
}

/** The failure that trailers tell of; undefined when the call succeeded. */
export function failureIn(trailers: IncomingHttpHeaders): GrpcError | undefined {
  const status = Number(trailers['grpc-status'] ?? UNKNOWN);
  if (status === OK) return undefined;
  const text = trailers['grpc-message'];
  return new GrpcError(status, typeof text === 'string' ? decodeURIComponent(text) : '');
}

/** Printable ASCII stays, but for `%`. */
function percentEncoded(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) =>
    byte >= 0x20 && byte <= 0x7e && byte !== 0x25
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}
