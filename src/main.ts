import { version } from './build.ts';

if (process.argv[2] === '--version') process.stdout.write(`quorate ${version}\n`);
