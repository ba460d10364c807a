/** ms without a call. */
const IDLE = 1_000;

/**
 * Node lets garbage lie until its heap is full, and a seal is asked a few times at the server's start, then once in
 * minutes: most of what its threads hold would be the garbage of their start. So each collects when it rests. Node shows
 * its collector because bin/build-kms.ts has it do so.
 * @returns what is to be called whenever there was something to do.
 */
export function tidyAtRest(): () => void {
  const { gc } = globalThis;
  if (gc === undefined) return () => undefined;
  const timer = setTimeout(() => {
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, IDLE);
  timer.unref();
  return () => {
    timer.refresh();
  };
}
