import { chmod, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Apart, Custodian } from './apart.ts';
import { lastRecord } from './desk.ts';
import { quorate } from './quorate.ts';

/** The administrator issues a ticket, and the custodian gets it. @returns its file, on the custodian's machine. */
export async function ticketFor({ desk }: Apart, person: Custodian, cidr = '127.0.0.1/32'): Promise<string> {
  const { folder } = await lastRecord(desk);
  const name = `${person.name}-${Date.now().toString()}.ticket`;
  const args = ['custodian', 'ticket', folder, '--holder', person.name, '--cidr', cidr, '--apart', 'handover'];
  const ended = await quorate([...args, '--output', name], { cwd: desk });
  expect(ended.status, ended.stderr).toBe(0);
  const own = join(person.home, name);
  await cp(join(desk, name), own);
  await chmod(own, 0o600);
  return own;
}
