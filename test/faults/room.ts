import { mkdir, rename } from 'node:fs/promises';
import { takeBack } from '../support/rotation-faults.ts';
import { startAll } from '../support/cluster.ts';
import { MAIN } from '../support/quorate.ts';
import { openTerminal, type TestTerminal } from '../support/terminal.ts';
import type { Lab } from './lab.ts';

/** A sitting of quorate at a terminal, from its start to its end. */
export interface Sitting {
  /** Undefined when it was killed. */
  readonly code: number | undefined;
  readonly screen: string;
}

const PATIENCE = 300_000;

/** Runs `quorate ARGS` at a terminal where everybody sits. They do what the screen says, and know nothing else. */
export async function sit(
  lab: Lab,
  args: readonly string[],
  onStart: (pid: number) => void = () => undefined,
): Promise<Sitting> {
  const terminal = openTerminal(process.execPath, [MAIN, ...args], {
    cwd: lab.desk,
    columns: 160,
    rows: 200,
    env: { GNUPGHOME: lab.crew.home.path, NO_COLOR: '1' },
  });
  onStart(terminal.pid);
  const room = new Room(lab, terminal, args[0] === 'recover');
  const { code, signal } = await room.untilEnd();
  return { code: signal === 0 ? code : undefined, screen: terminal.screen() };
}

class Room {
  readonly #lab: Lab;
  readonly #terminal: TestTerminal;
  /** One peer alone is brought back from a snapshot; the others stay down. */
  readonly #alone: boolean;
  #answered = 0;
  #ended = false;

  constructor(lab: Lab, terminal: TestTerminal, alone: boolean) {
    this.#lab = lab;
    this.#terminal = terminal;
    this.#alone = alone;
    void terminal.exit.then(() => (this.#ended = true));
  }

  async untilEnd(): Promise<{ readonly code: number; readonly signal: number }> {
    const limit = Date.now() + PATIENCE;
    for (;;) {
      const now = await Promise.race([this.#terminal.exit, this.#question(limit)]);
      if (typeof now === 'object') return now;
      if (this.#ended) return this.#terminal.exit;
      this.#answered += 1;
      await this.#answer(now);
    }
  }

  /** The question that waits; those that have their answer begin with a tick. */
  async #question(limit: number): Promise<string> {
    for (;;) {
      const lines = this.#terminal.screen().split('\n');
      const answered = lines.filter((line) => line.startsWith('✔ ')).length;
      const waiting = lines.findLast((line) => line.startsWith('? '));
      if (answered === this.#answered && waiting !== undefined) return waiting;
      if (this.#ended) return '';
      if (Date.now() > limit) {
        this.#terminal.kill('SIGKILL');
        throw new Error(`nothing happens at the terminal any more:\n${this.#terminal.screen()}`);
      }
      await this.#terminal.change(500);
    }
  }

  async #answer(question: string): Promise<void> {
    const terminal = this.#terminal;
    const [, who, which] = /^\? (\S+), your ((?:old |new )?)share \(hidden/.exec(question) ?? [];
    if (who !== undefined) {
      terminal.enter(await this.#share(who, (which ?? '').trim()));
    } else if (question.includes('who gives it?') && this.#refusals() > 1) {
      // The last choice: nobody.
      terminal.press('up', 'enter');
    } else if (/how do you prove|who gives it\?|^\? File with the share \(/.test(question)) {
      terminal.press('enter');
    } else if (question.startsWith('? Press enter when it is done')) {
      await this.#act(this.#instruction());
      terminal.press('enter');
    } else if (question.includes('shares were given before this')) {
      terminal.press('down', 'enter');
    } else if (this.#wanted() !== undefined) {
      terminal.enter(this.#wanted() ?? '');
    } else if (question.startsWith('? where the old data folders are:')) {
      await this.#act(this.#instruction());
      terminal.enter('aside');
    } else {
      terminal.kill('SIGKILL');
      throw new Error(`nobody knows what to answer:\n${terminal.screen()}`);
    }
  }

  /** The word to type to go on, at the end of a question that may be longer than a line. */
  #wanted(): string | undefined {
    const screen = lastQuestion(this.#terminal.screen());
    return / Type (\S+) to go on:/.exec(screen)?.[1];
  }

  async #share(who: string, which: string): Promise<string> {
    const last = await this.#record();
    const set = which === 'new' ? await this.#lab.issued(last) : this.#lab.shares;
    const share = set.get(who) ?? (await this.#lab.issued(last)).get(who);
    if (share === undefined) throw new Error(`${who} has no ${which} share`);
    return share;
  }

  /** The last ceremony that issues shares. */
  async #record(): Promise<string> {
    const all = await this.#lab.records();
    return all.findLast((name) => /-(?:init|rotate-[a-z-]+)-[0-9a-f]{8}$/.test(name)) ?? '';
  }

  /** How often a whole set was refused. */
  #refusals(): number {
    return this.#terminal.screen().split('the shares given do not open').length - 1;
  }

  /** The words above the question. */
  #instruction(): string {
    const lines = this.#terminal.screen().split('\n');
    const at = lines.findLastIndex((line) => line.startsWith('? '));
    return lines.slice(Math.max(0, at - 6), at).join(' ');
  }

  /** What the people do who run the servers. */
  async #act(instruction: string): Promise<void> {
    const { cluster } = this.#lab;
    const indexOf = (name: string | undefined): number => cluster.peers.findIndex((peer) => peer.name === name);
    const [, fresh] = /Start the server of (\S+), and no other, with a new empty data folder/.exec(instruction) ?? [];
    const [, restart] = /Restart the server of (\S+), and no other/.exec(instruction) ?? [];
    if (instruction.includes('Start the servers that are down')) {
      await startAll(cluster);
    } else if (instruction.includes('Stop the servers of ALL peers')) {
      await cluster.stop();
      for (const { dataFolder } of cluster.peers) {
        await rename(dataFolder, `${dataFolder}-aside-${Date.now().toString()}`);
        await mkdir(dataFolder);
      }
    } else if (fresh !== undefined) {
      const index = indexOf(fresh);
      if (cluster.peers[index]?.pid !== undefined) await cluster.kill(index);
      await cluster.wipe(index);
      await cluster.start(index);
    } else if (restart !== undefined) {
      if (!this.#alone) await this.#reviveOthers(restart);
      const index = indexOf(restart);
      if (cluster.peers[index]?.pid === undefined) await cluster.start(index);
      else await cluster.restart(index);
    } else {
      throw new Error(`nobody knows how to: ${instruction}`);
    }
  }

  /** Peers that went down meanwhile are brought back as the screen said: the one set, the other, or joined anew. */
  async #reviveOthers(but: string): Promise<void> {
    const { cluster } = this.#lab;
    const last = await this.#record();
    for (const [index, peer] of cluster.peers.entries()) {
      if (peer.pid !== undefined || peer.name === but) continue;
      const live = this.#lab.live();
      const fresh = { ...live, shares: [...(await this.#lab.issued(last)).values()] };
      const news = /the NEW shares are live/.test(this.#terminal.screen());
      await takeBack(live, index, news ? [fresh, live] : [live, fresh]);
    }
  }
}

/** From the last question on, in one line. */
function lastQuestion(screen: string): string {
  const lines = `\n${screen}`;
  return lines.slice(lines.lastIndexOf('\n? ')).replaceAll(/\s+/g, ' ');
}
