import { randomUUID } from 'node:crypto';
import { readConfiguration, SENSITIVE_KEYS } from './configuration.ts';
import { SEAL_TYPE } from './envelope.ts';
import { GrpcError, NOT_FOUND } from './grpc.ts';
import type { Log } from './log.ts';
import { readWrapperRequest, writeBlob, writeConfigured, writeSensitive } from './messages.ts';
import { message } from './protobuf.ts';
import { Seal } from './seal.ts';
import type { Methods, Unary } from './server.ts';
import type { SealState } from './title.ts';
import { TokenThread } from './token-thread.ts';

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  /** Told at each change which tokens are missing. */
  readonly tell: (state: SealState) => void;
  /** JavaScript for a token's thread. */
  readonly threadCode: () => string;
  /** The compiled addon, ready to be loaded by the threads, until `done`. */
  readonly unpackAddon: () => { readonly path: string; readonly done: () => void };
  /** Whether the server has launched this process to replace one that died. */
  readonly replaces: boolean;
  /** The server wants the process to end. */
  readonly shutdown: () => void;
}

const EMPTY = new Uint8Array();
const nothing: Unary = () => Promise.resolve(EMPTY.slice());
const SERVING = 1;

/** Everything that OpenBao 2.7.2 calls of a KMS plugin. */
export function createMethods(surroundings: Surroundings): Methods {
  const seals = new Map<string, Seal>();
  const { log } = surroundings;

  const of = (id: string): Seal => {
    const seal = seals.get(id);
    if (seal === undefined) throw new GrpcError(NOT_FOUND, 'instance not found');
    return seal;
  };
  const wrapper =
    (answer: (request: ReturnType<typeof readWrapperRequest>, seal: Seal) => Uint8Array | Promise<Uint8Array>): Unary =>
    async (bytes) => {
      const request = readWrapperRequest(bytes);
      return answer(request, of(request.wrapperId));
    };

  const setConfig: Unary = async (bytes) => {
    const { config, disallowEnvironment } = readWrapperRequest(bytes).options;
    const seal = await configure(config, disallowEnvironment, surroundings);
    const id = randomUUID();
    seals.set(id, seal);
    log('info', `configured: ${seal.keyId}`);
    void seal.lookAhead();
    return writeConfigured(id, { key_id: seal.keyId });
  };

  return {
    unary: {
      '/pb.Wrapper/SetConfig': setConfig,
      '/pb.Wrapper/Type': wrapper(() => message([10, SEAL_TYPE])),
      '/pb.Wrapper/KeyId': wrapper((_, seal) => message([10, seal.keyId])),
      '/pb.Wrapper/Encrypt': wrapper(async ({ plaintext, options }, seal) =>
        message([10, writeBlob(await seal.encrypt(plaintext, options.aad))]),
      ),
      '/pb.Wrapper/Decrypt': wrapper(async ({ blob, options }, seal) => {
        const plaintext = await seal.decrypt(blob, options.aad);
        try {
          return message([10, plaintext]);
        } finally {
          plaintext.fill(0);
        }
      }),
      // Called by sys/init before any key is stored: an encryption that failed later would leave a server that counts as
      // initialised and can never be unsealed. (Raft storage is begun by then: its folder has to be emptied.) The server
      // calls it again when it replaces a plugin that died; then the seal is in use, with as many tokens as it takes.
      '/pb.Wrapper/Init': wrapper(async (_, seal) => {
        const { threshold, encryptMin } = seal.settings;
        await seal.prove(surroundings.replaces ? threshold : encryptMin);
        return EMPTY.slice();
      }),
      '/pb.Wrapper/Finalize': wrapper(({ wrapperId }, seal) => {
        seals.delete(wrapperId);
        seal.close();
        return EMPTY.slice();
      }),
      '/metadata.Metadata/Get': () => Promise.resolve(writeSensitive(SENSITIVE_KEYS)),
      '/grpc.health.v1.Health/Check': () => Promise.resolve(message([1, SERVING])),
      '/plugin.GRPCController/Shutdown': (bytes) => {
        surroundings.shutdown();
        return nothing(bytes);
      },
    },
    silent: new Set(['/plugin.GRPCBroker/StartStream', '/plugin.GRPCStdio/StreamStdio']),
  };
}

async function configure(
  config: ReadonlyMap<string, string>,
  disallowEnvironment: boolean,
  { env, log, tell, threadCode, unpackAddon }: Surroundings,
): Promise<Seal> {
  const settings = readConfiguration(config, env, disallowEnvironment);
  const addon = unpackAddon();
  const options = { timeout: settings.timeout * 1000, addon: addon.path };
  const tokens = settings.tokens.map((one) => new TokenThread(one, threadCode(), options));
  const seal = new Seal(settings, tokens, log, tell);
  try {
    await seal.load();
    return seal;
  } catch (error) {
    seal.close();
    throw error;
  } finally {
    addon.done();
  }
}
