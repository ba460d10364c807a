import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files whose tests take minutes, as short as their text may be. */
const LONG = [
  /test\/faults\//,
  /rotation\/faults/,
  /commands\/db\/(?:exec|weather)/,
  /migrate-seal/,
  /rehearsal\/seal/,
  /shares\/cuts/,
  /ceremony\/apart-/,
  /three-peers/,
];

/** What takes longest begins first, so that no worker is left alone with it at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): number => Number(LONG.some((name) => name.test(moduleId)));
    return (await super.sort(files)).toSorted((a, b) => isLong(b) - isLong(a));
  }
}
