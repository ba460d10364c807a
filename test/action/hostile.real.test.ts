import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cluster.ts';
import { readAction, runAction } from './runner.ts';

/** Options in one word each; what follows `=` may be anything. */
const OPTION =
  /^--(?:(?:address|ca|login|mount|target|preset|env|receipt|format|output|idempotency-key)=[^]*|mask|prove)$/;

const common = {
  'address': 'https://vault.example:8200',
  'ca': 'ca.pem',
  'audience': 'https://vault.example',
  'login-role': 'ci',
};

describe('hostile inputs', () => {
  const HOSTILE = [
    `$(touch pwned)\`touch pwned\`"; touch pwned; '; touch pwned; " * ~ $HOME \${{ github.token }}`,
    'x\ntouch pwned\n',
    '--help',
    'x,file=/etc/passwd',
  ];
  const inputs = Object.keys(readAction().inputs).filter((name) => name !== 'run');

  it.each(inputs)('are one word, or refused, in %s', async (input) => {
    // In place of quorate, something that keeps the words it was given.
    const path = await temporaryFolder();
    await writeFile(join(path, 'quorate'), '#!/bin/sh\nprintf "%s\\0" "$@" > "$KEEP"\n', { mode: 0o755 });
    const modes = [{ run: 'true' }, {}, ...(input === 'revoke' ? [] : [{ revoke: 'database/creds/read/x' }])];
    for (const [index, value] of HOSTILE.entries()) {
      for (const [mode, more] of modes.entries()) {
        const KEEP = join(path, `words-${index.toString()}-${mode.toString()}`);
        const given = { ...common, role: 'read', ...more, [input]: value };
        const ended = await runAction(given, { cwd: path, env: { KEEP }, path });
        expect(existsSync(join(path, 'pwned'))).toBe(false);
        if (!existsSync(KEEP)) {
          expect(ended.status).toBe(1);
          continue;
        }
        const words = readFileSync(KEEP, 'utf8').split('\0').slice(0, -1);
        const end = words.indexOf('--');
        const own = words.slice(3, end === -1 ? undefined : end);
        for (const word of own) expect(word).toMatch(OPTION);
        expect(words[2]).toBe(
          input === 'role' && mode < 2 ? value : input === 'revoke' ? value : (more.revoke ?? 'read'),
        );
        expect(words[2]).not.toMatch(/^-/);
      }
    }
  });
});
