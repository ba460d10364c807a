import type { Databases } from './database.ts';

/** Loads the driver that a target needs when it is first opened. */
export const databases: Databases = {
  open: async (target, user, password, options) => {
    if (target.engine === 'postgresql') {
      return (await import('./postgresql.ts')).openPostgresql(target, user, password, options);
    }
    return (await import('./mysql.ts')).openMysql(target, user, password, options);
  },
};
