import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { atEnd } from './at-end.ts';

/** A disk of its own for a peer's audit file, which can be filled to the last byte. */
export interface AuditDisk {
  fill(): void;
  free(): void;
  /** Puts the audit file back where it was: a small disk would fill up by itself. */
  leave(): void;
}

const mounted: string[] = [];

atEnd(() => {
  for (const folder of mounted.splice(0)) execFileSync('umount', ['--lazy', folder]);
});

/** Moves a peer's audit file to a small file system, as an administrator rotates a log. Mounting it takes root. */
export function auditDisk(cluster: ThrowawayCluster, index: number): AuditDisk {
  const peer = cluster.peers[index];
  const reopen = (): void => {
    if (peer?.pid !== undefined) process.kill(peer.pid, 'SIGHUP'); // the server opens its audit file again
  };
  if (peer?.pid === undefined) throw new Error('that peer does not run');
  const folder = join(dirname(peer.auditFile), 'audit-disk');
  const filler = join(folder, 'filler');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=700', 'tmpfs', folder]);
  mounted.push(folder);
  renameSync(peer.auditFile, `${peer.auditFile}.1`);
  symlinkSync(join(folder, 'audit.log'), peer.auditFile);
  reopen();
  return {
    fill() {
      for (let size = 1 << 20; size > 0; size >>= 1) {
        try {
          for (;;) writeFileSync(filler, new Uint8Array(size), { flag: 'a' });
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        }
      }
    },
    free() {
      rmSync(filler);
    },
    leave() {
      rmSync(peer.auditFile);
      reopen();
    },
  };
}
