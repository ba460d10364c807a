import { bytesOf, fieldsOf, mapFields, mapOf, message, numberOf, textOf } from './protobuf.ts';

/*
 * The messages between OpenBao and a KMS plugin (2.7.2). Unknown fields are ignored and empty ones left out. OpenBao
 * stores a BlobInfo whole, and hands it back: of it ciphertext, iv, key_info.key_id and key_info.wrapped_key survive.
 */

/** What the server stores in place of a plaintext. */
export interface BlobInfo {
  readonly ciphertext: Uint8Array;
  readonly iv: Uint8Array;
  readonly keyId: string;
  readonly wrappedKey: Uint8Array;
}

/** A request to a wrapper: any of these fields, as the method has it. */
export interface WrapperRequest {
  readonly wrapperId: string;
  /** Of Encrypt. A view of the request. */
  readonly plaintext: Uint8Array;
  /** Of Decrypt. */
  readonly blob: BlobInfo;
  readonly options: Options;
}

export interface Options {
  /** Additional data to authenticate; OpenBao's seal sends none. */
  readonly aad: Uint8Array;
  /** The stanza of the configuration, without what the server keeps for itself. */
  readonly config: ReadonlyMap<string, string>;
  readonly disallowEnvironment: boolean;
}

/** Reads a request of any method of pb.Wrapper. @throws MalformedMessage */
export function readWrapperRequest(bytes: Uint8Array): WrapperRequest {
  const fields = fieldsOf(bytes);
  const field10 = bytesOf(fields, 10);
  const options = fieldsOf(bytesOf(fields, 20));
  return {
    wrapperId: textOf(fields, 1),
    plaintext: field10,
    get blob() {
      return readBlob(field10);
    },
    options: {
      aad: bytesOf(options, 20),
      config: mapOf(options, 30),
      disallowEnvironment: numberOf(options, 90) !== 0,
    },
  };
}

/** @throws MalformedMessage */
export function readBlob(bytes: Uint8Array): BlobInfo {
  const fields = fieldsOf(bytes);
  const key = fieldsOf(bytesOf(fields, 5));
  return {
    ciphertext: bytesOf(fields, 1),
    iv: bytesOf(fields, 2),
    keyId: textOf(key, 3),
    wrappedKey: bytesOf(key, 5),
  };
}

export function writeBlob({ ciphertext, iv, keyId, wrappedKey }: BlobInfo): Uint8Array {
  return message([1, ciphertext], [2, iv], [5, message([3, keyId], [5, wrappedKey])]);
}

/** The answer of SetConfig. @param metadata what the server may show of the configuration. */
export function writeConfigured(wrapperId: string, metadata: Readonly<Record<string, string>>): Uint8Array {
  return message([1, wrapperId], [10, message(...mapFields(10, metadata))]);
}

/** The request of SetConfig. */
export function writeConfiguration(config: Readonly<Record<string, string>>): Uint8Array {
  return message([20, message(...mapFields(30, config))]);
}

/** Which settings hold secrets: the answer of Metadata.Get. */
export function writeSensitive(fields: readonly string[]): Uint8Array {
  return message(...fields.map((field) => [1, field] as const));
}
