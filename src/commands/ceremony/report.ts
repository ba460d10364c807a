import { resolve } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { writeExclusive } from '../../files.ts';
import { defineCommand } from '../command.ts';

export const command = defineCommand({
  arguments: [{ name: 'RECORD', description: "the ceremony's folder, or its record.jsonl" }],
  options: {
    output: {
      value: 'FILE',
      short: 'o',
      description: 'where to write the page; without it, it goes to standard output',
    },
  },
  examples: [
    {
      command: 'quorate ceremony report records/2027-01-12-unseal-19fe --output unseal.html',
      text: 'one HTML page for people, to read anywhere and to print',
    },
  ],
  async run({ cwd, output }, values, [record]) {
    if (record === undefined) {
      throw new QuorateError('usage', 'which record?', { hint: "Name the ceremony's folder." });
    }
    const [{ locateRecord }, { readSoundRecord }, { renderReport }] = await Promise.all([
      import('../../ceremony/record/folder.ts'),
      import('../../ceremony/record/read.ts'),
      import('../../ceremony/record/report.ts'),
    ]);
    const place = await locateRecord(resolve(cwd, record));
    const { head, lines } = await readSoundRecord(place.record);
    const page = renderReport(lines);
    if (values.output === undefined) {
      output.result({ head, report: page }, () => page.trimEnd().split('\n'));
      return undefined;
    }
    const file = resolve(cwd, values.output);
    await writeExclusive(file, page);
    output.result({ head, file }, () => [`${file}: ${lines.length.toString()} events, head ${head}`]);
    return undefined;
  },
});
