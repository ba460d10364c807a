import { describe, expect, it } from 'vitest';
import { readTracked } from '../structure/source-tree.ts';
import { readAction, readFileCommands } from './runner.ts';

const action = readAction();

describe('action.yml', () => {
  it('gives no script a text from outside', () => {
    for (const { run } of action.runs.steps) expect(run).not.toContain('${{');
  });

  it('uses every input, in variables alone', () => {
    const used = action.runs.steps.flatMap(({ env }) => Object.values(env));
    expect(used.toSorted()).toEqual(
      Object.keys(action.inputs)
        .map((name) => `\${{ inputs.${name} }}`)
        .toSorted(),
    );
  });

  it('uses every variable that it sets, and tells none to the program', () => {
    for (const { env, run } of action.runs.steps) {
      for (const name of Object.keys(env)) expect(run.match(new RegExp(`\\$\\{?${name}\\b`)), name).not.toBeNull();
    }
  });

  it('has outputs that a step writes', () => {
    const ids = new Map(action.runs.steps.map(({ id, run }) => [id, run]));
    for (const [name, { value }] of Object.entries(action.outputs)) {
      const [, step, output] = /^\$\{\{ steps\.([a-z]+)\.outputs\.([a-z]+) \}\}$/.exec(value) ?? [];
      expect(output).toBe(name);
      expect(ids.get(step)).toContain(`put ${name} `);
    }
  });

  it('is shown in the README with inputs that it has', () => {
    const shown = readTracked('README.md')
      .split(/uses: \S+\/quorate@/)
      .slice(1)
      .map(inputsShown);
    expect(shown.length).toBeGreaterThan(1);
    for (const names of shown) {
      expect(names.length).toBeGreaterThan(1);
      expect(names.filter((name) => !Object.hasOwn(action.inputs, name))).toEqual([]);
    }
  });
});

/** The names below the first `with:` of a text. */
function inputsShown(text: string): readonly string[] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => /^ *with:$/.test(line)) + 1;
  const indent = /^ */.exec(lines[start] ?? '')?.[0] ?? '';
  const end = lines.findIndex((line, index) => index >= start && !line.startsWith(indent));
  return lines.slice(start, end).flatMap((line) => /^ *([a-z-]+):/.exec(line)?.[1] ?? []);
}

describe('the runner of the test', () => {
  it("reads the runner's files", () => {
    expect(readFileCommands('A=b=c\nB<<X\none\n\nX=1\nX\nC=\n')).toEqual({ A: 'b=c', B: 'one\n\nX=1', C: '' });
    expect(() => readFileCommands('B<<X\none\n')).toThrow();
    expect(() => readFileCommands('nothing\n')).toThrow();
  });
});
