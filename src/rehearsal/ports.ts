import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { QuorateError } from '../errors.ts';

// Below the range from which Linux takes ports for outgoing connections (32768 up), so that a port that is free
// while its server restarts is not taken by a client in between.
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES = 500;

/**
 * `count` different TCP ports that were free on 127.0.0.1 a moment ago. Somebody else may still be faster.
 * @throws QuorateError `program-failed` when there seem to be none.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries >= TRIES) throw new QuorateError('program-failed', 'found no free ports on 127.0.0.1');
    const port = randomInt(LOWEST, HIGHEST);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
