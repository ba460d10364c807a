import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import config from '../../rolldown.config.ts';
import { atEnd } from '../support/at-end.ts';
import * as source from './subject.ts';

/** One form of the client, as the contract tests test it. */
export interface Subject {
  readonly name: 'source' | 'bundle';
  readonly client: typeof source;
  /** What `client` was loaded from, for a process of its own. */
  readonly file: string;
}

const entry = join(import.meta.dirname, 'subject.ts');

/** The client as its source, and as what is published: bundled by the project's own configuration. */
export async function contractSubjects(): Promise<readonly Subject[]> {
  return [{ name: 'source', client: source, file: entry }, await bundled()];
}

async function bundled(): Promise<Subject> {
  const { output: settings, ...input } = config;
  if (settings === undefined || Array.isArray(settings)) throw new Error('one output is expected');
  const build = await rolldown({ ...input, input: { subject: entry } });
  const folder = await mkdtemp(join(tmpdir(), 'quorate-client-'));
  atEnd(() => rm(folder, { recursive: true }));
  try {
    const { output } = await build.generate(settings);
    for (const part of output) {
      const file = join(folder, part.fileName);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, part.type === 'chunk' ? part.code : part.source);
    }
    const file = join(folder, output[0].fileName);
    if (basename(file) !== 'subject.cjs') throw new Error(`the bundle starts with ${file}`);
    const client = createRequire(import.meta.url)(file) as typeof source;
    return { name: 'bundle', client, file };
  } finally {
    await build.close();
  }
}
