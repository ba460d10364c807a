import type { RecordEvent } from './events.ts';

export type Role = Extract<RecordEvent, { event: 'participant' }>['role'];

export const ROLES = ['administrator', 'custodian', 'witness', 'scribe', 'auditor'] as const satisfies readonly Role[];

export interface Participant {
  readonly name: string;
  readonly roles: readonly Role[];
  /** The fingerprints of the SSH keys that the record has for this person: none, one, or a contradiction. */
  readonly ssh: readonly string[];
}

/** The people of a record, one entry a name, in the order they were first named. */
export function participants(events: readonly RecordEvent[]): readonly Participant[] {
  const people = new Map<string, { roles: Set<Role>; ssh: Set<string> }>();
  for (const event of events) {
    if (event.event !== 'participant') continue;
    const person = people.get(event.name) ?? { roles: new Set(), ssh: new Set() };
    person.roles.add(event.role);
    if (event.ssh !== undefined) person.ssh.add(event.ssh);
    people.set(event.name, person);
  }
  return Array.from(people, ([name, { roles, ssh }]) => ({ name, roles: [...roles], ssh: [...ssh] }));
}

/**
 * A person's name as a file name and as a principal in an allowed_signers file: `Dana Example` is `dana-example`.
 * Letters of every script stay; two names can collide, which signing and verifying refuse.
 */
export function signerName(name: string): string {
  return name
    .normalize('NFC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-|-$/g, '');
}
