import { afterAll } from 'vitest';

const works: (() => unknown)[] = [];

/** Does this at the end of the test file; outside of vitest, where the fault runner uses the same parts, at `endAll`. */
export function atEnd(work: () => unknown): void {
  if (process.env['VITEST'] === undefined) works.push(work);
  else afterAll(work);
}

export async function endAll(): Promise<void> {
  for (const work of works.splice(0).reverse()) await work();
}
