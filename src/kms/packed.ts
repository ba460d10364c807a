import { closeSync, fstatSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { QuorateError } from '../errors.ts';

/** What bin/build-kms.ts puts into the one-file program: how many bytes each part has. They stand at its end, in this order. */
export interface PartLengths {
  /** pkcs11js's compiled addon. */
  readonly addon: number;
  /** The program of a token's thread. */
  readonly thread: number;
  /** The program of the main thread. */
  readonly main: number;
}

/** The file that this process runs, of which a thread needs other parts than the main thread. */
export class PackedProgram {
  readonly file: string;
  readonly #lengths: PartLengths;
  #threadCode: string | undefined;

  constructor(file: string, lengths: PartLengths) {
    this.file = file;
    this.#lengths = lengths;
  }

  /** JavaScript for a token's thread; ASCII. */
  threadCode(): string {
    const { thread, main } = this.#lengths;
    return (this.#threadCode ??= this.#read(thread, thread + main).toString('latin1'));
  }

  /** Writes the addon into `folder`. `done` removes it: once it is loaded, the file is not needed any more. */
  unpackAddon(folder: string): { readonly path: string; readonly done: () => void } {
    const { addon, thread, main } = this.#lengths;
    const path = join(folder, 'pkcs11.node');
    writeFileSync(path, this.#read(addon, addon + thread + main), { mode: 0o700, flag: 'wx' });
    return {
      path,
      done: () => {
        rmSync(path, { force: true });
      },
    };
  }

  #read(length: number, beforeEnd: number): Buffer {
    const file = openSync(this.file, 'r');
    try {
      const bytes = Buffer.allocUnsafeSlow(length);
      readSync(file, bytes, 0, length, fstatSync(file).size - beforeEnd);
      return bytes;
    } finally {
      closeSync(file);
    }
  }
}

/** What a token's thread says when the addon that waits at `path` does not load. */
export function addonRefused(path: string): QuorateError {
  return new QuorateError(
    'program-missing',
    `the compiled part of quorate-kms does not load from ${dirname(path)}: where that is mounted noexec, set TMPDIR in env of the plugin stanza to another folder`,
  );
}
