import { serveToken } from './thread-work.ts';

/* The program of a token's thread. It is apart from the main thread's so that none holds in memory what it never runs. */

serveToken();
