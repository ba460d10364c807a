import { resolve } from 'node:path';
import * as v from 'valibot';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readText, writeExclusive } from '../../files.ts';
import type { Boot, MissingState } from '../../shares/boot.ts';
import { becomeProgram, findProgram, handOverBytes, memoryFolderOf } from '../../shares/hand-over.ts';
import { defineCommand } from '../command.ts';
import { wholeNumber } from '../whole-number.ts';
import { clusterChoice } from '../cluster-options.ts';
import {
  knownWallet,
  type KnownWallet,
  nodeOf,
  nodeOptions,
  openNode,
  type NodeValues,
  type OpenNode,
  placeOf,
  walletOptions,
} from '../shares/wallet.ts';
import { givenOptions, givenWallet } from './given-wallet.ts';

const WAIT_SECONDS = 300;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

/** `quorate node boot WALLET`: waits, logs in, fetches, checks, acknowledges, and hands this node's shares over. */
export const command = defineCommand({
  arguments: [
    { name: 'WALLET', description: 'a wallet of quorate.yaml' },
    { name: 'COMMAND', optional: true, variadic: true, description: "with --exec: the node's program, after --" },
  ],
  options: {
    ...nodeOptions,
    ...walletOptions,
    ...givenOptions,
    'exec': { description: `become the program after --, which finds the shares as JSON on descriptor 3` },
    'output': {
      value: 'FILE',
      description: 'write the shares as JSON to this new file on a tmpfs, readable by you alone',
    },
    'wait': {
      value: 'SECONDS',
      description: `how long to wait for a server that is sealed or away (default: ${WAIT_SECONDS.toString()})`,
    },
    'ready': { description: 'with --exec: tell systemd that the unit is ready, right before the program starts' },
    'first-boot': { description: 'this node has no state yet: believe the store' },
    'acknowledgements': {
      value: 'FILE',
      description: "for a node that has lost its state: the other nodes' statements (quorate shares status --export)",
    },
  },
  examples: [
    {
      command: 'quorate node boot treasury --node north --exec -- /usr/bin/mpc-node',
      text: "what the node's unit file runs",
    },
  ],
  async run(context, values, [name = '', ...program]) {
    const exec = values.exec === true;
    if (exec === (values.output !== undefined)) {
      throw new QuorateError('usage', 'say where the shares go: --exec -- COMMAND, or --output FILE');
    }
    const [file = '', ...args] = program;
    if (exec !== program.length > 0) throw new QuorateError('usage', '--exec wants the program after --');
    const found = exec ? findProgram(file, context.env['PATH'] ?? '') : undefined;
    const output = values.output === undefined ? undefined : resolve(context.cwd, values.output);
    if (output !== undefined) memoryFolderOf(output);
    const known = givenWallet(context, name, values) ?? (await knownWallet(context, name, values));
    const node = nodeOf(context, values.node);
    const deadline =
      Date.now() + 1000 * (values.wait === undefined ? WAIT_SECONDS : wholeNumber(values.wait, '--wait', 0));
    const missing = await missingState(context, values);
    const boot = await patiently(context, deadline, booting(context, known, values, missing));
    report(context, exec, { wallet: name, node }, boot);
    const bytes = handOverBytes(name, node, boot.shares);
    for (const { share } of boot.shares) share.fill(0);
    try {
      if (output !== undefined) await writeExclusive(output, bytes);
      if (found === undefined) return undefined;
      await context.close();
      if (values.ready === true) await tellReady(context);
      becomeProgram(found, args, bytes, context.env);
    } finally {
      bytes.fill(0);
    }
  },
});

/** One attempt after the other with one login, which may be good for one use: only the first makes it. */
function booting(context: Context, known: KnownWallet, values: NodeValues, missing: MissingState): () => Promise<Boot> {
  let opened: OpenNode | undefined;
  const once = async (): Promise<Boot> => {
    opened ??= await openNode(context, known, values);
    const { bootNode } = await import('../../shares/boot.ts');
    return bootNode(known.wallet, opened.node, missing);
  };
  return async () => {
    const old = opened !== undefined;
    let boot: Boot;
    try {
      boot = await once();
    } catch (error) {
      if (mayPass(error) && opened !== undefined) {
        opened.moveOn();
        throw error;
      }
      // Where nobody could log in, one server may be sealed and another not initialised: say what is so everywhere.
      if (isQuorateError(error, 'sealed')) throw (await notInitialised(context, known, values)) ?? error;
      if (!old || !isQuorateError(error, 'denied')) throw error;
      // The login has expired while the server was away.
      opened?.close();
      opened = undefined;
      boot = await once();
    }
    opened?.close();
    return boot;
  };
}

/**
 * The process stays the same when it becomes the program, and so does the unit's main process; a program that knows
 * nothing of systemd would leave its unit starting for ever.
 */
async function tellReady(context: Context): Promise<void> {
  const socket = context.env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return;
  const { run } = await context.programs();
  await run({
    program: 'systemd-notify',
    args: ['--ready', '--status=the shares are handed over'],
    env: { NOTIFY_SOCKET: socket },
    timeout: 10_000,
    hint: 'It comes with systemd. Leave --ready out where the program tells systemd itself.',
  });
}

/** Such a server says that it is sealed. */
async function notInitialised(
  context: Context,
  known: KnownWallet,
  values: { readonly node?: string },
): Promise<QuorateError | undefined> {
  const { peers } = await context.cluster(clusterChoice(placeOf(known, nodeOf(context, values.node)).choice));
  const { signal } = context;
  const states = await Promise.all(peers.map((peer) => peer.sealStatus({ signal }).catch(() => undefined)));
  if (!states.some((state) => state !== undefined) || states.some((state) => state?.initialised === true)) {
    return undefined;
  }
  return new QuorateError('not-initialised', 'the server of this node is not initialised', {
    hint: 'quorate init initialises it. Is the address right, and has nobody wiped its storage?',
  });
}

/** Tries again while the server is sealed, not ready or away, with pauses of random length: a fleet does not stampede. */
async function patiently<T>(context: Context, deadline: number, attempt: () => Promise<T>): Promise<T> {
  let longest = FIRST_PAUSE;
  let told = '';
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const pause = Math.ceil(longest * (0.5 + Math.random() / 2));
      if (!mayPass(error) || Date.now() + pause > deadline) throw error;
      if (error.message !== told) context.output.say(`${error.message}; waiting`);
      told = error.message;
      const { setTimeout } = await import('node:timers/promises');
      await setTimeout(pause, undefined, { signal: context.signal }).catch(() => {
        throw new QuorateError('cancelled', 'cancelled while waiting for the server');
      });
      longest = Math.min(2 * longest, LONGEST_PAUSE);
    }
  }
}

function mayPass(error: unknown): error is QuorateError {
  return (
    isQuorateError(error) &&
    // A standby that has lost its leader sends elsewhere.
    ['server-unreachable', 'server-timeout', 'server-redirect', 'sealed', 'not-initialised', 'not-ready'].includes(
      error.code,
    )
  );
}

async function missingState(
  context: Context,
  values: { readonly 'first-boot'?: boolean; readonly 'acknowledgements'?: string },
): Promise<MissingState> {
  const file = values.acknowledgements;
  if (file === undefined) return { firstBoot: values['first-boot'] === true };
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readText(resolve(context.cwd, file), 4 << 20));
  } catch (error) {
    if (isQuorateError(error)) throw error;
  }
  const { publishedSchema } = await import('../../shares/epochs.ts');
  const result = v.safeParse(v.strictObject({ statements: v.array(publishedSchema) }), parsed);
  if (!result.success) throw new QuorateError('file-invalid', `${file} is nothing that shares status --export wrote`);
  return { elsewhere: result.output.statements };
}

/** Standard output is the program's where there is one. */
function report(
  context: Context,
  exec: boolean,
  { wallet, node }: { readonly wallet: string; readonly node: string },
  { shares, unacknowledged }: Boot,
): void {
  const { commitment } = shares[0];
  const epochs = shares.map(({ epoch }) => epoch);
  const line = `${node} starts ${wallet} with epoch ${epochs.join(', then ')}`;
  if (exec) context.output.say(line);
  else {
    const acknowledged = unacknowledged === undefined;
    context.output.result({ wallet, node, epochs, commitment, acknowledged }, () => [line]);
  }
  if (commitment === 'unchecked') context.output.say('its scheme is not known here: not checked against a commitment');
  if (unacknowledged !== undefined) context.output.warn(`not acknowledged yet: ${unacknowledged.message}`);
}
