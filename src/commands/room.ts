import { basename } from 'node:path';
import type { GivenShare, IssuedShare, People, ShareProof, ShareRequest } from '../ceremony/people.ts';
import type { Roster } from '../ceremony/roster/schema.ts';
import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';
import type { Programs } from '../programs/programs.ts';
import { Secret } from '../secret.ts';
import { shownPath, wrapLines } from '../layout.ts';
import { headLine, progressTable } from './progress-table.ts';
import { isPgpMessage, readShareSource, type ShareSource } from './share-sources.ts';

export interface RoomOptions {
  readonly roster?: Roster;
  /** Shares that were named on the command line; they are given before anybody is asked. */
  readonly sources?: readonly ShareSource[];
  /** Other GnuPG homes than the user's own, by whose they are (a rehearsal's custodians). */
  readonly homes?: ReadonlyMap<string, string>;
  /** With `sources` and no terminal: what to do about an attempt that somebody else has started. */
  readonly reset?: boolean;
}

/** What asking again does not put right. */
const FINAL = new Set<string>(['cancelled', 'bug', 'deadline-passed']);
const STOP = Symbol('stop');
/** Not `undefined`, which the list would take for the choice to start on. */
const ELSE = Symbol('somebody else');

/** The people at this terminal; where there is none, the shares that were named, and nobody to ask. */
export function createRoom(context: Context, programs: Programs, options: RoomOptions = {}): People {
  const { prompts, output, signal } = context;
  const sources = [...(options.sources ?? [])];
  // Whoever pastes a share before they are asked must not see it on the screen.
  prompts.quiet(true);
  const gpg: Programs['gpg'] = {
    ...programs.gpg,
    async decrypt(message, gpgOptions) {
      // Its pinentry may use this terminal.
      prompts.quiet(false);
      try {
        return await programs.gpg.decrypt(message, gpgOptions);
      } finally {
        prompts.quiet(true);
      }
    },
  };
  const gpgOptions = (who: string | undefined): { home?: string; signal: AbortSignal } => {
    const home = who === undefined ? undefined : options.homes?.get(who);
    return home === undefined ? { signal } : { home, signal };
  };

  let headed = false;

  async function askShare(request: ShareRequest): Promise<GivenShare | null> {
    output.say();
    if (!headed) {
      output.say(output.paint.strong(headLine(request)));
      output.say();
    }
    headed = true;
    for (const line of progressTable(request.peers)) output.say(line);
    output.say();
    const which = (request.wanted ?? 'the shares').replace(/^the /, '').replace(/shares$/, 'share');
    const number = `${which.replace(/^./, (letter) => letter.toUpperCase())} ${Math.min(request.given + 1, request.needed).toString()} of ${request.needed.toString()}`;
    for (;;) {
      const who = await askWho(request, number);
      if (who === STOP) return null;
      const named = who === undefined ? {} : { who };
      const text = await prompts.secret(
        `${who === undefined ? number : `${who}, your ${which}`} (hidden; leave it empty to give a file)`,
        {
          instead: '--share-file FILE',
        },
      );
      if (text.length > 0) return { ...named, text, how: 'typed' };
      const issued = who === undefined ? undefined : request.issued?.get(who);
      const path =
        issued === undefined
          ? await prompts.text("File with the share, or the custodian's PGP file (empty: neither)")
          : await prompts.text('File with the share', { initial: shownPath(context.cwd, issued) });
      if (path !== '') {
        return { ...named, ...(await readShareSource(context, { gpg }, { kind: 'file', path }, gpgOptions(who))) };
      }
      if (who === undefined && (await prompts.confirm('Stop here? The ceremony can be resumed'))) return null;
    }
  }

  /** With a roster the custodian says who they are, so that a mixed-up card is called by its owner's name. */
  async function askWho(request: ShareRequest, number: string): Promise<string | undefined | typeof STOP> {
    const holders = request.holders ??
      options.roster?.shares.map(({ holder }) => holder) ?? [...(options.homes?.keys() ?? [])];
    const left = holders.filter((holder) => !request.present.includes(holder));
    if (left.length === 0) return undefined;
    const chosen = await prompts.choose<string | typeof ELSE | typeof STOP>(`${number}: who gives it?`, [
      ...left.map((holder) => ({ name: holder, value: holder })),
      { name: '(somebody else)', value: ELSE },
      { name: '(nobody: stop here)', value: STOP },
    ]);
    return chosen === ELSE ? undefined : chosen;
  }

  async function proveHere({ holder, ciphertext, single }: IssuedShare): Promise<ShareProof> {
    const { fingerprintShare, parseShare } = await import('../ceremony/share.ts');
    const text = await open(ciphertext, holder);
    try {
      const share = parseShare(text, { single });
      try {
        return { x: share.x, ...fingerprintShare(share), how: 'decrypted with gpg at the ceremony' };
      } finally {
        share.bytes.wipe();
      }
    } finally {
      text.wipe();
    }
  }

  async function proveElsewhere(issued: IssuedShare): Promise<ShareProof> {
    output.say(`  There: quorate custodian decrypt ${basename(issued.file)} --proof`);
    return readProof(issued, await prompts.text('The line that it printed:'));
  }

  /** A lab's init issues in clear; everything else is for gpg. */
  async function open(message: Uint8Array, who?: string): Promise<Secret> {
    return isPgpMessage(message) ? gpg.decrypt(message, gpgOptions(who)) : new Secret(message);
  }

  return {
    say: (line) => {
      const indent = /^ */.exec(line)?.[0] ?? '';
      for (const part of wrapLines(line.trim(), 80, indent)) output.say(part);
    },
    progress: (title, work) => output.progress(title, work),

    async nextShare(request) {
      const source = sources.shift();
      if (source !== undefined) return readShareSource(context, { gpg }, source, gpgOptions(undefined));
      return prompts.interactive ? askShare(request) : null;
    },

    refused(error) {
      // At a terminal the custodian tries again; an unattended run must not go on as if nothing were wrong.
      if (!prompts.interactive) return Promise.reject(error);
      for (const line of wrapLines(error.message, 80, '  ')) output.say(output.paint.bad(line));
      for (const line of wrapLines(error.hint ?? '', 80, '  ')) output.say(output.paint.dim(line));
      return Promise.resolve();
    },

    async prove(issued) {
      if (!isPgpMessage(issued.ciphertext)) return { ...(await proveHere(issued)), how: 'read in clear' };
      for (;;) {
        output.say();
        output.say(`${issued.holder}   ${shownPath(context.cwd, issued.file)}`);
        const way = await prompts.choose<'here' | 'proof'>(
          `${issued.holder}, how do you prove that you can read your share?`,
          [
            { name: 'here, with gpg', value: 'here' },
            { name: 'on my own machine', value: 'proof' },
          ],
        );
        try {
          const proof = way === 'here' ? await proveHere(issued) : await proveElsewhere(issued);
          const other = issued.taken.get(proof.x);
          if (other === undefined) return proof;
          throw new QuorateError('share-owner', `that is ${other}'s share, which is proved already`);
        } catch (error) {
          if (!(error instanceof QuorateError) || FINAL.has(error.code)) throw error;
          await this.refused(error);
        }
      }
    },

    async decrypt(what, message) {
      output.say(`  Reading ${what}`);
      return open(message);
    },

    async newPassword(question) {
      for (;;) {
        const first = await prompts.secret(question);
        const second = await prompts.secret('Once more');
        try {
          if (first.length >= 12 && first.equals(second)) return first.clone();
          output.say(first.length < 12 ? '  At least 12 characters.' : '  The two are not the same.');
        } finally {
          first.wipe();
          second.wipe();
        }
      }
    },
    password: (question): Promise<Secret> => prompts.secret(question),

    async act({ say, fields }) {
      output.say();
      for (const line of wrapLines(say)) output.say(output.paint.strong(line));
      const answers: Record<string, string> = {};
      for (const field of fields) answers[field] = await prompts.text(`${field}:`);
      if (fields.length === 0) await prompts.text('Press enter when it is done');
      return answers;
    },

    async acceptException(question, typed) {
      if (!prompts.interactive) return false;
      const check = (text: string): true | string =>
        ['', typed].includes(text.trim()) || `Type exactly: ${typed} (nothing for no)`;
      return (await prompts.text(`${question} Type ${typed} to go on:`, { check })) === typed;
    },

    async foreignProgress(peer, status) {
      const found = `${peer}: ${status.progress.toString()} of ${status.threshold.toString()} shares were given before this`;
      if (options.reset === true) return 'reset';
      if (!prompts.interactive) return 'go on';
      return prompts.choose(found, [
        { name: 'go on with them', value: 'go on' },
        { name: 'reset, and start from zero', value: 'reset' },
      ]);
    },
  };
}

async function readProof(issued: IssuedShare, text: string): Promise<ShareProof> {
  const { parseProof } = await import('../ceremony/proof.ts');
  const proof = parseProof(text, issued);
  return { x: proof.x, salt: proof.salt, sha256: proof.sha256, how: 'proof from the own machine of the custodian' };
}
