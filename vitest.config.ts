import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

/**
 * Two projects: `unit` needs no server and no other program and runs in seconds;
 * `real` starts real servers and programs (test/support).
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.real.test.ts'],
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/**/*.real.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          pool: 'forks',
          // Half of their time they wait, for elections and leases: two cores are enough for three.
          maxWorkers: 3,
          // Real clusters elect leaders when they like. What passes only the second time is shown with "retry" in the log.
          retry: process.env['CI'] === undefined ? 0 : 1,
        },
      },
    ],
  },
});
