import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/cli.ts';
import { defineCommand } from '../../src/commands/command.ts';
import { complete } from '../../src/commands/completion.ts';

const check = defineCommand({
  arguments: [{ name: 'SCRIPT', description: 'a script' }],
  options: {
    live: { description: 'compare with the real cluster' },
    level: { value: 'LEVEL', short: 'l', choices: ['low', 'high'], description: 'how hard to look' },
    roster: { value: 'FILE', description: 'the roster' },
  },
  examples: [],
  run: () => Promise.resolve(undefined),
});

const table: Readonly<Record<string, Entry>> = {
  status: { summary: 'every peer', load: () => Promise.resolve({ command: { ...check, arguments: [] } }) },
  ceremony: {
    summary: 'scripts',
    commands: {
      check: { summary: 'check a script', load: () => Promise.resolve({ command: check }) },
      list: { summary: 'the kinds', load: () => Promise.reject(new Error('is loaded only when chosen')) },
    },
  },
};

async function offered(line: string): Promise<string> {
  const { values, files } = await complete(table, line.split(' '));
  return [...values.map(({ value }) => value), ...(files ? ['<files>'] : [])].join(' ');
}

describe('completion', () => {
  it.each([
    ['', 'status ceremony'],
    ['c', 'ceremony'],
    ['x', ''],
    ['ceremony ', 'check list'],
    ['ceremony li', 'list'],
    ['--format json ceremony l', 'list'],
    ['constructor ', 'status ceremony'],
  ])('offers verbs: %j', async (line, expected) => {
    expect(await offered(line)).toBe(expected);
  });

  it.each([
    ['ceremony check -', '--live --level --roster --format --config --help'],
    ['ceremony check --l', '--live --level'],
    ['ceremony check --level ', 'low high'],
    ['ceremony check -l h', 'high'],
    ['ceremony check --level=l', '--level=low'],
    ['ceremony check --format ', 'table json yaml'],
    ['--', '--format --config --help'],
  ])('offers options and their values: %j', async (line, expected) => {
    expect(await offered(line)).toBe(expected);
  });

  it.each([
    ['ceremony check ', '<files>'],
    ['ceremony check --live scr', '<files>'],
    ['ceremony check --roster ', '<files>'],
    ['--config ', '<files>'],
    ['status ', ''],
  ])('leaves files to the shell where a file belongs: %j', async (line, expected) => {
    expect(await offered(line)).toBe(expected);
  });
});
