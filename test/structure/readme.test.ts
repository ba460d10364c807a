import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS, type Entry } from '../../src/cli.ts';
import { loadConfig } from '../../src/config.ts';
import { loadScript } from '../../src/ceremony/load.ts';
import type { Command, OptionSpec } from '../../src/commands/command.ts';
import { readTracked, trackedFiles } from './source-tree.ts';

/** Options that every command has, with a value. */
const EVERYWHERE = new Set(['format', 'config']);

const readme = readTracked('README.md');
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({
  language: language ?? '',
  text: text ?? '',
}));

/** The words of every `quorate ...` in a line of shell, comments left out. */
function commandsIn(text: string): string[][] {
  return text.split('\n').flatMap((line) =>
    line
      .replace(/(^|\s)#.*$/, '')
      .split('|')
      .map((part) => [...part.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''))
      .filter(([program]) => program === 'quorate')
      .map((words) => words.slice(1)),
  );
}

/** What is wrong with a command line by the command table; undefined when nothing is. */
async function fault(words: readonly string[]): Promise<string | undefined> {
  const [first = '', ...others] = words;
  if (first === '--version') return undefined;
  const group = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (group === undefined) return `no command ${first}`;
  const [second = '', ...rest] = others;
  const entry: Entry | undefined = group.commands === undefined ? group : group.commands[second];
  if (entry?.load === undefined) return `no command ${first} ${second}`;
  const { command } = await entry.load();
  return wrongArguments(command, group.commands === undefined ? others : rest);
}

function wrongArguments(command: Command, words: readonly string[]): string | undefined {
  const positional: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    if (word === '--') {
      positional.push(...words.slice(index + 1));
      break;
    }
    if (!word.startsWith('-')) {
      positional.push(word);
      continue;
    }
    const name = word.slice(2);
    const option: OptionSpec | undefined = EVERYWHERE.has(name)
      ? { value: 'VALUE', description: '' }
      : command.options[name];
    if (option === undefined) return `no option ${word}`;
    if (option.value === undefined) continue;
    const value = words[(index += 1)];
    if (value === undefined) return `${word} without its value`;
    if (option.choices !== undefined && !option.choices.includes(value)) return `${word} does not take ${value}`;
  }
  const wanted = command.arguments ?? [];
  const least = wanted.filter(({ optional }) => optional !== true).length;
  const most = wanted.some(({ variadic }) => variadic === true) ? Infinity : wanted.length;
  return positional.length < least || positional.length > most ? 'the wrong number of arguments' : undefined;
}

describe('README.md', () => {
  const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => commandsIn(text));

  it('shows commands as they are', async () => {
    expect(commands.length).toBeGreaterThan(20);
    const faults: string[] = [];
    for (const words of commands) {
      const found = await fault(words);
      if (found !== undefined) faults.push(`quorate ${words.join(' ')}: ${found}`);
    }
    expect(faults).toEqual([]);
  });

  it('shows every command', () => {
    const shown = new Set(commands.flatMap(([first = '', second = '']) => [first, `${first} ${second}`]));
    const all = Object.entries(COMMANDS).flatMap(([name, { commands: sub }]) =>
      sub === undefined ? [name] : Object.keys(sub).map((one) => `${name} ${one}`),
    );
    const missing = all.filter((name) => !shown.has(name) && !readme.includes(`\`quorate ${name}`));
    expect(missing).toEqual([]);
  });

  it('shows scripts of package.json that are there', () => {
    const { scripts } = JSON.parse(readTracked('package.json')) as { scripts: Record<string, string> };
    const named = [...readme.matchAll(/^npm (?:run ([\w:]+)|(test))/gm)].map(([, run, test]) => run ?? test ?? '');
    expect(named).toEqual(expect.arrayContaining(['rehearse', 'test']));
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  it('shows a quorate.yaml that is one', async () => {
    const [example] = blocks.filter(({ language }) => language === 'yaml');
    const folder = await mkdtemp(join(tmpdir(), 'quorate-readme-'));
    try {
      await writeFile(join(folder, 'quorate.yaml'), example?.text ?? '');
      expect(Object.keys((await loadConfig(join(folder, 'quorate.yaml'))).clusters)).toEqual(['prod-eu']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('the words of a line', () => {
  it('would be found wrong', async () => {
    const [given = [], piped = []] = commandsIn('quorate status "a b" | quorate unseal --share-fd # quorate x');
    expect([given, piped]).toEqual([
      ['status', 'a b'],
      ['unseal', '--share-fd'],
    ]);
    expect(await fault(given)).toContain('number of arguments');
    expect(await fault(piped)).toContain('without its value');
    expect(await fault(['ceremony', 'nothing'])).toContain('no command');
    expect(await fault(['status', '--nothing'])).toContain('no option');
  });
});

describe('ceremonies/', () => {
  const files = trackedFiles().filter((path) => path.startsWith('ceremonies/'));

  it.each(files)('%s is a script that can be run', async (path) => {
    const { script } = await loadScript(readTracked(path), path);
    expect(path).toBe(`ceremonies/${script.ceremony}.yaml`);
  });

  it('has scripts', () => {
    expect(files).toEqual(expect.arrayContaining(['ceremonies/init.yaml', 'ceremonies/unseal.yaml']));
  });
});
