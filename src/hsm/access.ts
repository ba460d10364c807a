/** Of a file or folder: what decides who may use it. Access lists (setfacl) are not looked at. */
export interface FileFacts {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The user that a server runs as. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  /** Its own group and the others. */
  readonly gids: readonly number[];
}

const BITS = { read: 4, write: 2, execute: 1 } as const;

/** Whether the user may do this with the file, by its mode alone. */
export function may(what: keyof typeof BITS, { mode, uid, gid }: FileFacts, user: ServerUser): boolean {
  if (user.uid === 0) return true;
  const shift = uid === user.uid ? 6 : user.gids.includes(gid) ? 3 : 0;
  return ((mode >> shift) & BITS[what]) !== 0;
}

/** Finds a user in the texts of /etc/passwd and /etc/group; undefined when there is none such. */
export function userOf(name: string, passwd: string, group: string): ServerUser | undefined {
  const line = passwd.split('\n').find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) return undefined;
  const others = group
    .split('\n')
    .map((one) => one.split(':'))
    .filter(([, , , members]) => members?.split(',').includes(name) === true)
    .map(([, , number]) => Number(number));
  return { name, uid: Number(uid), gids: [Number(gid), ...others] };
}
