import type { JudgedKey } from '../../hsm/judgement.ts';

/** A slot as the vendors' tools show it, either way. */
export function shownSlot(slot: bigint): string {
  return `${slot.toString()} (0x${slot.toString(16)})`;
}

/** What a device says of itself is anybody's text. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]/gu, '?');
}

/** A key as `--format json` prints it. */
export function keyJson({ label, id, type, key, publicKey, mechanisms, faults }: JudgedKey): Record<string, unknown> {
  return {
    label,
    id,
    type,
    class: key.class,
    attributes: key.flags,
    ...(publicKey === undefined ? {} : { publicAttributes: publicKey.flags }),
    fitFor: mechanisms,
    faults,
  };
}
