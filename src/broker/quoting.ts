import type { Engine } from '../database/database.ts';

/** Makes an identifier of any name, as the database writes it. */
export const quoting =
  (engine: Engine) =>
  (name: string): string =>
    engine === 'postgresql' ? `"${name.replaceAll('"', '""')}"` : `\`${name.replaceAll('`', '``')}\``;
