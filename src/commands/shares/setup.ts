import { resolve } from 'node:path';
import type { Context } from '../../context.ts';
import { EXIT, QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { applyChanges } from '../../setup/apply.ts';
import { type Change, findChanges } from '../../setup/changes.ts';
import { nodeResources } from '../../shares/setup.ts';
import type { Session } from '../../vault/peer.ts';
import { agree, changeLines, changesSummary } from '../changes.ts';
import { defineCommand } from '../command.ts';
import { sharedRootLines } from './topology.ts';
import { type DescribedWallet, knownWallet, type NodeSession, openSession, placeOf, walletOptions } from './wallet.ts';

interface Found {
  readonly node: string;
  readonly session: Session;
  readonly changes: readonly Change[];
}

/** `quorate shares setup WALLET`: makes mounts, policies and logins of the nodes, or tells how the servers differ. */
export const command = defineCommand({
  arguments: [{ name: 'WALLET', description: 'a wallet of quorate.yaml, which is the reviewed file' }],
  options: {
    ...walletOptions,
    node: { value: 'NAME', repeat: true, description: 'only this node; may be given several times' },
    check: { description: 'only compare: exit 5 when a server differs from the file' },
    yes: { description: 'make the changes without asking' },
  },
  examples: [
    { command: 'quorate shares setup treasury', text: 'shows what would change on which cluster, asks, makes it so' },
    { command: 'quorate shares setup treasury --node north', text: 'by the people of the cluster of north alone' },
    {
      command: 'quorate shares setup treasury --check',
      text: 'for a nightly job: exit 5 when somebody changed something',
    },
  ],
  async run(context, values, [name = '']) {
    const known = await knownWallet(context, name, values);
    const nodes = values.node ?? Object.keys(known.config.nodes);
    for (const node of nodes) placeOf(known, node);
    const opened: { readonly node: string; readonly at: NodeSession }[] = [];
    try {
      for (const node of nodes) opened.push({ node, at: await openSession(context, known, node, 'operator') });
      const ids = new Map(opened.flatMap(({ node, at }) => (at.clusterId === undefined ? [] : [[node, at.clusterId]])));
      const shared = known.sharedBy(ids);
      const pins = await unpinned(context, known, ids);
      const found: Found[] = [];
      for (const { node, at } of opened) {
        found.push({ node, session: at.session, changes: await changesOf(context, known, node, at.session) });
      }
      const all = found.flatMap(({ changes }) => changes);
      const differing = all.filter(({ state }) => state !== 'same').length;
      if (context.output.format === 'table') show(context, found);
      const report = (applied: boolean): void => {
        const rows = found.flatMap(({ node, changes }) =>
          changes.map(({ resource, state, lines }) => ({ node, path: resource.path, state, lines })),
        );
        const summary = changesSummary(context, { differing, all: all.length, applied });
        context.output.result(
          { wallet: name, changes: rows, applied, clusters: Object.fromEntries(ids), sharedRoot: shared },
          () => [summary, ...sharedRootLines(shared), ...pins],
        );
      };
      if (values.check === true) {
        report(false);
        return differing === 0 ? EXIT.done : EXIT.unverified;
      }
      if (differing > 0) {
        await agree(context, values.yes === true, `Make ${differing.toString()} changes?`);
        for (const { node, session, changes } of found) {
          await applyChanges(session, changes, {
            signal: context.signal,
            onDone: ({ resource }) => {
              context.output.say(`written  ${node}: ${resource.path}`);
            },
          });
        }
      }
      report(true);
      return undefined;
    } finally {
      for (const { at } of opened) at.close();
    }
  },
});

async function changesOf(
  context: Context,
  known: DescribedWallet,
  node: string,
  session: Session,
): Promise<readonly Change[]> {
  const described = known.config.nodes[node];
  if (described === undefined) throw new QuorateError('bug', 'a node without its description');
  const { role } = described;
  const folder = (await context.config())?.folder ?? context.cwd;
  const pem = role?.method === 'cert' ? await readText(resolve(folder, role.certificate)) : undefined;
  return findChanges(session, nodeResources(known.wallet.name, node, described, pem), context.signal);
}

function show(context: Context, found: readonly Found[]): void {
  for (const { node, changes } of found) {
    const differing = changes.filter(({ state }) => state !== 'same');
    if (differing.length > 0) context.output.say(context.output.paint.strong(`${node}:`));
    for (const line of differing.flatMap((one) => changeLines(context, one))) context.output.say(`  ${line}`);
  }
}

/** An address may one day belong to another cluster; its id does not. */
async function unpinned(
  context: Context,
  { config }: DescribedWallet,
  ids: ReadonlyMap<string, string>,
): Promise<string[]> {
  const clusters = (await context.config())?.clusters ?? {};
  return [...ids].flatMap(([node, id]) => {
    const cluster = config.nodes[node]?.cluster ?? '';
    if (clusters[cluster]?.['cluster-id'] !== undefined) return [];
    return [`${cluster} is not pinned: cluster-id: ${id}`];
  });
}
