import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { openLibrary, type Pkcs11Library } from './library.ts';
import type { Session } from './session.ts';
import { packedError, type Reply, type Request, unpacked } from './wire.ts';

/*
 * The process that holds a PKCS#11 library for `remote.ts`: a program of its own, started with an IPC channel. It ends
 * when the channel closes. A vendor's library may hang or crash here; who asked notices, and kills it.
 */

let library: Pkcs11Library | undefined;
const sessions = new Map<number, Session>();
let last = 0;

function answer({ on, method, args }: Request): unknown {
  if (on === 'process') {
    library = openLibrary(String(args[0]));
    return undefined;
  }
  if (library === undefined) throw new QuorateError('bug', 'the library was used before it was opened');
  if (on === 'library') {
    if (method !== 'openSession') return call(library, method, args);
    last += 1;
    sessions.set(last, library.openSession(...(args as Parameters<Pkcs11Library['openSession']>)));
    return last;
  }
  const session = sessions.get(on);
  if (session === undefined) throw new QuorateError('bug', 'this session is not open');
  if (method === 'close') sessions.delete(on);
  return call(session, method, args);
}

function call(target: object, method: string, args: readonly unknown[]): unknown {
  const found: unknown = Reflect.get(target, method);
  if (typeof found !== 'function') throw new QuorateError('bug', `there is no ${method}`);
  return Reflect.apply(found, target, args) as unknown;
}

function reply(message: Reply): void {
  process.send?.(message);
}

process.on('message', (request: Request) => {
  const secrets: Secret[] = [];
  const { id } = request;
  const args = request.args.map((arg) => unpacked(arg, secrets));
  const start = performance.now();
  try {
    const value = answer({ ...request, args });
    reply({ id, ms: performance.now() - start, value });
  } catch (error) {
    reply({ id, ms: performance.now() - start, error: packedError(error) });
  } finally {
    for (const secret of secrets) secret.wipe();
  }
});
process.on('disconnect', () => {
  library?.close();
});
// Ctrl-C goes to the whole group: whoever asked decides, and ends this process.
process.on('SIGINT', () => undefined);
