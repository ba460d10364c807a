import { describe, expect, it } from 'vitest';
import { openTerminal } from './terminal.ts';

describe('the test terminal', () => {
  it('shows what a person sees, and takes what they type', async () => {
    const script = 'test -t 0 && printf "name? "; read name; echo "hello $name"; exit 3';
    const terminal = openTerminal('/bin/sh', ['-c', script]);
    await terminal.waitFor('name? ');
    terminal.enter('Alice');
    const screen = await terminal.waitFor(/^hello Alice$/m);
    expect(screen).toContain('name? Alice');
    expect(await terminal.exit).toEqual({ code: 3, signal: 0 });
  });

  it('keeps all bytes, also those that are overwritten on the screen', async () => {
    const terminal = openTerminal('/bin/sh', ['-c', 'printf "secret\\rhidden"; sleep 0.1']);
    await terminal.exit;
    expect(terminal.screen()).toBe('hidden');
    expect(terminal.raw().includes('secret')).toBe(true);
  });

  it('joins lines that the terminal wrapped', async () => {
    const terminal = openTerminal('/bin/sh', ['-c', 'echo 0123456789abcdefghij; echo next'], { columns: 12 });
    await terminal.exit;
    expect(terminal.screen()).toBe('0123456789abcdefghij\nnext');
  });

  it('passes Ctrl-C on as a signal', async () => {
    const terminal = openTerminal('/bin/sh', [
      '-c',
      'trap "echo caught; exit 130" INT; echo ready; while :; do sleep 0.1; done',
    ]);
    await terminal.waitFor('ready');
    terminal.press('ctrl-c');
    await terminal.waitFor('caught');
    expect((await terminal.exit).code).toBe(130);
  });

  it('fails with the screen when the command ends without the text', async () => {
    const terminal = openTerminal('/bin/sh', ['-c', 'echo something else']);
    await expect(terminal.waitFor('never')).rejects.toThrow('something else');
  });

  it('gives the command no variables but those named', async () => {
    process.env['QUORATE_TEST_LEAK'] = 'leaked';
    const terminal = openTerminal('/usr/bin/env', [], { env: { SHOWN: 'yes' } });
    delete process.env['QUORATE_TEST_LEAK'];
    await terminal.exit;
    expect(terminal.screen()).toContain('SHOWN=yes');
    expect(terminal.screen()).not.toContain('leaked');
  });
});
