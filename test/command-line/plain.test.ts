import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPlain } from '../../src/command-line/plain.ts';
import { readByCommander } from '../../src/command-line/program.ts';
import { type Command, defineCommand } from '../../src/commands/command.ts';
import type { Streams } from '../../src/context.ts';

const options = {
  'cluster': { value: 'NAME', description: 'one' },
  'peer': { value: 'NAME', repeat: true, description: 'several' },
  'seal-type': { value: 'TYPE', choices: ['shamir', 'pkcs11'], description: 'of these' },
  'yes': { description: 'a switch', short: 'y' },
} as const;
const ownFormat = {
  ...options,
  format: { value: 'FORMAT', choices: ['json', 'env'], description: 'its own' },
} as const;
const one = { name: 'ONE', description: 'first' };
const many = { name: 'MANY', variadic: true, description: 'rest' } as const;

const shapes: Readonly<Record<string, Pick<Command, 'arguments' | 'options'>>> = {
  'no argument': { options },
  'an argument': { options, arguments: [one] },
  'an argument that may be left out': { options, arguments: [{ ...one, optional: true }] },
  'arguments without end': { options, arguments: [one, many] },
  'none or arguments without end': { options, arguments: [{ ...many, optional: true }] },
  'formats of its own': { options: ownFormat, arguments: [{ ...one, optional: true }] },
};

const WORDS = [
  ...['a', '', 'json', 'help', 'verb', 'status', 'shamir', '=', 'a=b', '-', '--', '-y', '-x', '-1', '--help', '-h'],
  ...['--yes', '--yes=true', '--no-wait', '--wait', '--no-yes', '--YES', '--version', '--constructor', '--__proto__'],
  ...['--cluster', '--cluster=a', '--cluster=', '--cluster=--yes', '--cluster=a=b\n', '--clus', '--peer', '--peer=b'],
  ...['--seal-type', '--seal-type=pkcs11', '--seal-type=other', '--sealType=pkcs11', 'pkcs11'],
  ...['--format', '--format=json', '--format=env', '--format=xml', '--config', '--config=c.yaml'],
];

function commandOf(shape: Pick<Command, 'arguments' | 'options'>): Command {
  return defineCommand({ ...shape, examples: [], run: () => Promise.resolve(undefined) });
}

const nowhere = { write: () => true };

describe('plain words', () => {
  for (const [label, shape] of Object.entries(shapes)) {
    const command = commandOf(shape);
    const table = { verb: { summary: 'a verb', load: () => Promise.resolve({ command }) } };

    it(`are read as commander reads them: ${label}`, async () => {
      let plain = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom(...WORDS), { maxLength: 5 }), async (words) => {
          const given = readPlain(command, words);
          if (given === undefined) return;
          plain += 1;
          const asked = { table, argv: ['verb', ...words], path: ['verb'], command };
          const streams = { env: {}, stdout: nowhere, stderr: nowhere } as unknown as Streams;
          expect(await readByCommander(asked, streams)).toEqual(given);
        }),
        { numRuns: 3000 },
      );
      expect(plain).toBeGreaterThan(50);
    });
  }

  it('are those that scripts use', () => {
    const command = commandOf({ options, arguments: [one] });
    expect(
      readPlain(command, ['x', '--cluster', 'prod', '--peer=a', '--peer', 'b', '--yes', '--format', 'json']),
    ).toEqual({ args: ['x'], values: { cluster: 'prod', peer: ['a', 'b'], yes: true, format: 'json' } });
  });

  it('are those of a program after --, whatever they look like', () => {
    const command = commandOf({ options, arguments: [one, many] });
    const words = ['x', '--yes', '--', 'env', '--yes', '-x', '--', 'y'];
    expect(readPlain(command, words)).toEqual({ args: ['x', 'env', '--yes', '-x', '--', 'y'], values: { yes: true } });
  });

  it('are no help, mistake or abbreviation', () => {
    const command = commandOf({ options, arguments: [one] });
    expect(readPlain({ options: { 'no-wait': { description: 'a switch' } } }, [])).toBeUndefined();
    for (const words of [
      ['x', '--help'],
      ['x', '-y'],
      ['x', '--', 'y'],
      ['x', 'y'],
      [],
      ['x', '--clus', 'a'],
      ['x', '--cluster'],
      ['x', '--cluster', '--yes'],
      ['x', '--seal-type', 'other'],
      ['x', '--format', 'xml'],
      ['x', '--unknown'],
    ]) {
      expect(readPlain(command, words)).toBeUndefined();
    }
  });
});
