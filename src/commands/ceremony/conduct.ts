import { copyFile, constants } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { CeremonyOutcome, CeremonySetting } from '../../ceremony/engine.ts';
import { ROSTER_FILE } from '../../ceremony/kinds/init/roster.ts';
import type { LoadedScript } from '../../ceremony/load.ts';
import type { CeremonyLogin, ConnectedCluster, Context } from '../../context.ts';
import type { Programs } from '../../programs/programs.ts';
import { readText, replaceFile } from '../../files.ts';
import { shownPath, wrapLines } from '../../layout.ts';
import { acceptedFindings, ceremonyTools, quorateBuild } from '../ceremony-setting.ts';
import { createRoom } from '../room.ts';
import { ceremonyPlace, exists, refuseOtherNamespace, refuseWithoutSeal, rosterFile } from './place.ts';
import type { ShareSource } from '../share-sources.ts';

export interface ConductOptions {
  readonly loaded: LoadedScript;
  /** The script's file for the record, and the folder its files are relative to. */
  readonly scriptFile: string;
  readonly scriptFolder: string;
  readonly cluster: ConnectedCluster;
  readonly sources?: readonly ShareSource[];
  readonly reset?: boolean;
  readonly accept?: readonly string[];
  readonly reason?: string;
  /** In minutes; default: as the policy says. */
  readonly longestWait?: number;
  /** Resumes the ceremony in this folder. */
  readonly resume?: string;
  readonly records?: string;
  /** Custodians take part from their own machines; invitations and receipts go through this folder. */
  readonly apart?: string;
  /** Told the ceremony's folder as soon as there is one. */
  readonly onFolder?: (folder: string) => void;
}

/** Where records go: what the option says, else the config, else `records` here. */
export async function recordsFolder(context: Context, named?: string): Promise<string> {
  if (named !== undefined) return resolve(context.cwd, named);
  return (await context.config())?.records ?? resolve(context.cwd, 'records');
}

/**
 * Runs or resumes a ceremony with the people at this terminal, and says where its record is, whatever happens.
 * @throws as `startCeremony` and `resumeCeremony`.
 */
export async function conduct(context: Context, options: ConductOptions): Promise<CeremonyOutcome> {
  const [{ startCeremony, resumeCeremony }, programs] = await Promise.all([
    import('../../ceremony/engine.ts'),
    context.programs(),
  ]);
  const { cluster, longestWait = cluster.policy['longest-wait-minutes'] } = options;
  context.prompts.patience(longestWait * 60_000);
  const held = context.heldLogin(cluster);
  const apart = await exchangeOf(context, programs, options, longestWait * 60_000);
  const setting = { ...(await ceremonySetting(context, programs, options, held)), ...apart };
  let folder = options.resume;
  try {
    if (folder !== undefined) {
      return await closed(context, options, setting, await resumeCeremony(options.loaded, setting, folder));
    }
    const outcome = await startCeremony(options.loaded, setting, {
      records: await recordsFolder(context, options.records),
      scriptFile: options.scriptFile,
      rehearsal: false,
      onFolder: (made) => {
        folder = made;
        options.onFolder?.(made);
      },
    });
    return await closed(context, options, setting, outcome);
  } catch (error) {
    if (folder !== undefined) {
      context.output.say();
      const place = shownPath(context.cwd, folder);
      context.output.say(`record  ${place}`);
      context.output.say('        go on with:');
      const away = options.apart === undefined ? '' : ` --apart ${options.apart}`;
      context.output.say(`        quorate ceremony resume ${place}${away}`);
    }
    throw error;
  } finally {
    await endLogin(context, held);
  }
}

async function exchangeOf(
  context: Context,
  programs: Programs,
  { apart }: ConductOptions,
  patience: number,
): Promise<Pick<CeremonySetting, 'apart'>> {
  if (apart === undefined) return {};
  const { createExchange } = await import('./exchange.ts');
  return { apart: await createExchange(context, programs, resolve(context.cwd, apart), patience) };
}

/** What is left to do once a ceremony is complete. */
async function closed(
  context: Context,
  options: ConductOptions,
  setting: CeremonySetting,
  outcome: CeremonyOutcome,
): Promise<CeremonyOutcome> {
  if (options.apart !== undefined) {
    const { endTicketsOf } = await import('./tickets-end.ts');
    await endTicketsOf(context, setting, outcome.folder);
  }
  return withRoster(context, options, outcome);
}

/** Revokes the login of a command, and says what could not be. */
export async function endLogin({ output }: Pick<Context, 'output'>, held: CeremonyLogin): Promise<void> {
  for (const left of await held.end()) {
    output.say(`The token of the ceremony login may live until it expires: accessor ${left}`);
  }
}

async function ceremonySetting(
  context: Context,
  programs: Programs,
  options: ConductOptions,
  held: CeremonyLogin,
): Promise<CeremonySetting> {
  const { output } = context;
  const { cluster, loaded } = options;
  const { namespace } = loaded.script;
  if (options.resume === undefined) refuseOtherNamespace(cluster, namespace);
  const place = await ceremonyPlace(context, cluster, namespace, held.login);
  await refuseWithoutSeal(place, context.signal);
  return {
    ...place,
    policy: cluster.policy,
    tools: await ceremonyTools(context),
    signal: context.signal,
    scriptFolder: options.scriptFolder,
    quorate: await quorateBuild(),
    accepted: acceptedFindings(options),
    people: createRoom(context, programs, {
      ...(place.roster === undefined ? {} : { roster: place.roster }),
      ...(options.sources === undefined ? {} : { sources: options.sources }),
      ...(options.reset === undefined ? {} : { reset: options.reset }),
    }),
    onStep: (number, step, steps) => {
      output.say();
      const [first = '', ...rest] = wrapLines(step.title, 80, '     ');
      for (const line of [`${number.toString()}/${steps.toString()}  ${first.trimStart()}`, ...rest]) {
        output.say(output.paint.strong(line));
      }
      output.say(output.paint.dim(`     ${step.who}`));
    },
  };
}

/** Kinds whose roster takes the place of the one that quorate.yaml names; that of an init is `placeRoster`'s. */
const ADVANCE = new Set(['drill', 'rotate-root-key', 'rotate-recovery-key', 'migrate-seal']);

/** Puts the roster that a ceremony has written where quorate.yaml looks for it, when it follows on what is there. */
async function withRoster(
  context: Context,
  { loaded, cluster }: ConductOptions,
  outcome: CeremonyOutcome,
): Promise<CeremonyOutcome> {
  const place = rosterFile(cluster, loaded.script.namespace);
  const made = join(outcome.folder, ROSTER_FILE);
  if (place === undefined || !ADVANCE.has(loaded.kind.name) || !(await exists(made))) return outcome;
  const { loadRoster } = await import('../../ceremony/roster/roster.ts');
  const [next, there] = [await loadRoster(made), (await exists(place)) ? await loadRoster(place) : undefined];
  const follows = there === undefined || (there.cluster === next.cluster && there.generation <= next.generation);
  if (follows) await replaceFile(place, await readText(made));
  const what = `generation ${next.generation.toString()}: review it, sign it, commit it`;
  const [kept, fresh] = [shownPath(context.cwd, place), shownPath(context.cwd, made)];
  context.output.say(
    follows ? `roster  ${kept}   (${what})` : `roster  ${fresh}   (${what}; ${kept} is newer and stays)`,
  );
  return outcome;
}

/** Puts the roster of a new cluster or namespace where quorate.yaml looks for it, unless something is there. */
export async function placeRoster(
  cluster: ConnectedCluster,
  { script }: LoadedScript,
  folder: string,
): Promise<string | undefined> {
  const place = rosterFile(cluster, script.namespace);
  if (place === undefined || (await exists(place))) return undefined;
  await copyFile(join(folder, ROSTER_FILE), place, constants.COPYFILE_EXCL);
  return place;
}
