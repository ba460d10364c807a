import { describe, expect, it } from 'vitest';
import { processSide } from './process-side.ts';

describe('processSide', () => {
  const node = process.execPath;

  it('measures the time and the peak memory of whole processes', async () => {
    const wait = 'Buffer.alloc(100e6, 1); setTimeout(() => {}, 200)';
    const { time, memory } = await processSide({
      commands: [
        [node, '-e', wait],
        [node, '-e', '0'],
      ],
    })();
    expect(time).toBeGreaterThan(200);
    expect(memory).toBeGreaterThan(100);
  });

  it('fails when a process does, and accepts the statuses it is told to', async () => {
    const commands = [[node, '-e', 'process.exit(3)']] as const;
    await expect(processSide({ commands })()).rejects.toThrow('ended with 3');
    await processSide({ commands, exits: [3] })();
  });
});
