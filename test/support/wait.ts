import { setTimeout as sleep } from 'node:timers/promises';

/** Polls `condition` until it gives something other than false or undefined; fails, naming `what`, after `timeout` ms. */
export async function waitUntil<T>(
  what: string,
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  timeout = 30_000,
): Promise<T> {
  const limit = Date.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    if (Date.now() > limit) throw new Error(`waited ${timeout.toString()} ms in vain until ${what}`);
    await sleep(50);
  }
}
