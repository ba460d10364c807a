import { join } from 'node:path';
import { programRunner } from '../../src/programs/run.ts';
import { createCustodians, type MadeUpCustodian } from '../../src/rehearsal/custodians.ts';
import { atEnd } from './at-end.ts';
import { temporaryFolder } from './cluster.ts';

const cleanUps: (() => Promise<void>)[] = [];

atEnd(async () => {
  await Promise.all(cleanUps.splice(0).map((cleanUp) => cleanUp()));
});

/** People with real keys, gone at the end of the test file. */
export async function madeUpCustodians(...names: readonly string[]): Promise<readonly MadeUpCustodian[]> {
  const folder = join(await temporaryFolder(), 'people');
  const { people, cleanUp } = await createCustodians({ folder, names, run: programRunner(process.env) });
  cleanUps.push(cleanUp);
  return people;
}
