import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Finding, PreflightRun, Step } from '../../ceremony/kind.ts';
import type { LoadedScript } from '../../ceremony/load.ts';
import { EXIT } from '../../errors.ts';
import { readText } from '../../files.ts';
import { wrapLines } from '../../layout.ts';
import type { Paint } from '../../ui/terminal.ts';
import { ceremonyTools } from '../ceremony-setting.ts';
import { defineCommand } from '../command.ts';

/** `quorate ceremony check`: every fault of a script at once, and the numbered steps that `run` will take. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', description: 'the script' }],
  options: { live: { description: 'also compare it with the real cluster; changes nothing there' } },
  examples: [
    { command: 'quorate ceremony check ceremonies/init.yaml', text: 'the script and the keys that it names' },
    {
      command: 'quorate ceremony check ceremonies/init.yaml --live',
      text: 'and the cluster; do this before people are gathered',
    },
  ],
  async run(context, values, [file = '']) {
    const path = resolve(context.cwd, file);
    const [{ loadScript, scriptKeys }, tools, policy, { digestWords }] = await Promise.all([
      import('../../ceremony/load.ts'),
      ceremonyTools(context),
      context.policy(),
      import('../../ceremony/record/words.ts'),
    ]);
    const loaded = await loadScript(await readText(path), file);
    const { script, kind } = loaded;
    const { keys, findings } = await scriptKeys(script, dirname(path), tools, policy['shortest-key-validity-days']);
    const all: Finding[] = [...findings];
    if (values.live === true) {
      const cluster = await context.cluster({ cluster: script.cluster });
      const held = context.heldLogin(cluster);
      const [{ endLogin }, { ceremonyPlace }] = await Promise.all([import('./conduct.ts'), import('./place.ts')]);
      const place = await ceremonyPlace(context, cluster, script.namespace, held.login);
      const run: PreflightRun = {
        ...place,
        policy,
        tools,
        scriptFolder: dirname(path),
        signal: context.signal,
      };
      try {
        all.push(...(await kind.preflight(script, run, keys)));
      } finally {
        await endLogin(context, held);
      }
    }
    const steps = kind.steps(script, keys);
    const failed = all.filter(({ ok }) => !ok).length;
    const sha256 = createHash('sha256').update(loaded.text).digest('hex');
    const words = digestWords(`sha256:${sha256}`).join(' ');
    context.output.result(
      {
        kind: kind.name,
        title: script.title,
        cluster: script.cluster,
        script: `sha256:${sha256}`,
        words,
        live: values.live === true,
        findings: all,
        steps: steps.map(({ id, title, who }, index) => ({ number: index + 1, id, title, who })),
      },
      () => [
        `${script.title}   ${kind.name} on ${script.cluster}`,
        `script sha256 ${sha256}`,
        ...wrapLines(words, 80, '  '),
        ...findingLines(all, context.output.paint),
        '',
        'What will happen',
        ...stepLines(steps, script),
        '',
        `${failed === 0 ? 'No fault' : `${failed.toString()} fault${failed === 1 ? '' : 's'}`}.${values.live === true ? '' : ' The cluster was not looked at: --live does.'} Nothing was changed.`,
      ],
    );
    return failed === 0 ? EXIT.done : EXIT.refused;
  },
});

function findingLines(findings: readonly Finding[], paint: Paint): string[] {
  if (findings.length === 0) return [];
  return [
    '',
    'Before anyone is asked',
    ...findings.flatMap(({ ok, code, finding, mend }) => [
      ...hanging(`  ${ok ? paint.good('ok  ') : paint.bad('FAIL')}  `, `${finding}${ok ? '' : ` (${code})`}`),
      ...(ok || mend === undefined ? [] : wrapLines(mend, 80, '        ')),
    ]),
  ];
}

const TITLE_AT = 18;

/** The printed script: what `run` follows, with who acts beside it, and the people's own steps in their places. */
export function stepLines(steps: readonly Step[], script: LoadedScript['script']): string[] {
  // Two roles in one step go below each other.
  const roles = steps.map(({ who }) => who.split(/(?<=,) /));
  const widest = Math.max(0, ...roles.flat().map((role) => role.length));
  const titleWidth = 80 - TITLE_AT - widest - 3;
  return steps.flatMap(({ id, title }, index) => {
    const lead = `  ${(index + 1).toString().padStart(2)}  ${id.padEnd(11)} `;
    const titles = wrapLines(title, titleWidth);
    const who = roles[index] ?? [];
    const rows = Array.from({ length: Math.max(titles.length, who.length) }, (_, row) =>
      `${(row === 0 ? lead : '').padEnd(TITLE_AT)}${(titles[row] ?? '').padEnd(titleWidth)}   ${who[row] ?? ''}`.trimEnd(),
    );
    return [...peopleLines(script, id), ...rows];
  });
}

function peopleLines(script: LoadedScript['script'], id: string): string[] {
  return script.people
    .filter(({ before }) => before === id)
    .flatMap(({ say, record }) => [
      ...hanging('      people      ', say),
      ...(record.length === 0 ? [] : wrapLines(`write down: ${record.join(', ')}`, 80, ' '.repeat(TITLE_AT))),
    ]);
}

/** Text that goes on below where it began; `lead` may carry colours. */
function hanging(lead: string, text: string): string[] {
  const indent = ' '.repeat(stripVTControlCharacters(lead).length);
  const [first = '', ...rest] = wrapLines(text, 80, indent);
  return [`${lead}${first.trimStart()}`, ...rest];
}
