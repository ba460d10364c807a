import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * node test/count.ts FOLDER: adds up what test/run left there, prints the sum as the last line, and exits with 1 when
 * anything failed. A run of tests that ended without its results, or failed with no failed test in them (a file that
 * does not load, an error after the last test), counts as one failure, so that nothing red is ever summed up as green.
 */

interface Results {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const folder = process.argv[2] ?? '.';
const sum = { passed: 0, failed: 0, skipped: 0 };
const red: string[] = [];

for (const line of read('checks').split('\n').filter(Boolean)) {
  const [verdict = '', name = ''] = line.split(' ');
  if (verdict === 'passed') sum.passed += 1;
  else fail(name);
}
for (const file of readdirSync(folder).filter((name) => name.endsWith('.status'))) {
  const project = file.replace('.status', '');
  const before = sum.failed;
  try {
    countTests(JSON.parse(read(`${project}.json`)) as Results);
  } catch {
    fail(`${project} tests: ended without results`);
  }
  if (read(file).trim() !== '0' && sum.failed === before) fail(`${project} tests: an error outside of any test`);
}

if (red.length > 0) console.log(`\nFailed:\n  ${red.join('\n  ')}`);
const skipped = sum.skipped === 0 ? '' : `, ${sum.skipped} skipped`;
console.log(`\n${sum.passed} passed, ${sum.failed} failed${skipped}`);
process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;

function countTests(results: Results): void {
  sum.passed += results.numPassedTests;
  sum.skipped += results.numPendingTests + results.numTodoTests;
  for (const file of results.testResults) {
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName } of failed) fail(fullName);
    if (file.status === 'failed' && failed.length === 0) fail(file.name);
  }
}

function fail(what: string): void {
  sum.failed += 1;
  red.push(what);
}

function read(name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}
