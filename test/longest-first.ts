import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files whose tests take minutes, as short as their text may be; what takes longest comes first. */
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
    const place = ({ moduleId }: TestSpecification): number => {
      const found = LONG.findIndex((name) => name.test(moduleId));
      return found === -1 ? LONG.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
