import type { Flavour } from '../vault/flavour.ts';
import type { Gpg } from './gpg.ts';
import type { Environment, RunProgram } from './run.ts';
import type { SshKeygen } from './ssh-keygen.ts';

/** The other programs that quorate runs. */
export interface Programs {
  readonly run: RunProgram;
  readonly sshKeygen: SshKeygen;
  readonly gpg: Gpg;
  /** The program of a real server, for throwaway clusters. @throws QuorateError `program-missing`. */
  readonly findServer: (flavour: Flavour) => Promise<string>;
}

/** The adapters, loaded when a command first asks for them. `env` is what programs get their few variables from. */
export async function loadPrograms(env: Environment): Promise<Programs> {
  const [{ programRunner }, { sshKeygen }, { gpg }] = await Promise.all([
    import('./run.ts'),
    import('./ssh-keygen.ts'),
    import('./gpg.ts'),
  ]);
  const run = programRunner(env);
  return {
    run,
    sshKeygen: sshKeygen(run),
    gpg: gpg(run, env),
    findServer: async (flavour) => (await import('./bao.ts')).findServer(flavour, env),
  };
}
