import { constants } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { createExclusive, fileError } from '../../files.ts';
import type { Secret } from '../../secret.ts';

/** Where a credential goes. It is opened before one is asked for, so that none is made that has nowhere to go. */
export interface Sink {
  /** @throws QuorateError `file-invalid`: the disk is full, whoever read has gone. */
  write(text: Secret): Promise<void>;
  /** Closes it. After a failure, what was begun is taken away. */
  end(failed: boolean): Promise<void>;
}

/** A new file of mode 0600. @throws QuorateError `file-exists`, `file-missing`, `file-invalid`. */
export async function fileSink(path: string): Promise<Sink> {
  const handle = await createExclusive(path);
  return {
    async write(text) {
      try {
        await text.expose((bytes) => handle.writeFile(bytes));
        await handle.sync();
      } catch (error) {
        throw fileError(path, error);
      }
    },
    async end(failed) {
      await handle.close().catch(() => undefined);
      if (failed) await unlink(path).catch(() => undefined);
    },
  };
}

/** The end of a file that is there, such as the one that GITHUB_ENV names. @throws QuorateError `file-missing`, `file-invalid`. */
export async function appendSink(path: string): Promise<Sink> {
  const handle = await open(path, constants.O_WRONLY | constants.O_APPEND).catch((error: unknown) => {
    throw fileError(path, error);
  });
  const { size } = await handle.stat();
  return {
    async write(text) {
      try {
        await text.expose((bytes) => handle.writeFile(bytes));
      } catch (error) {
        throw fileError(path, error);
      }
    },
    async end(failed) {
      if (failed) await handle.truncate(size).catch(() => undefined);
      await handle.close().catch(() => undefined);
    },
  };
}
