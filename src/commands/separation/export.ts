import { resolve } from 'node:path';
import type { ConnectedCluster, Context } from '../../context.ts';
import { EXIT, QuorateError } from '../../errors.ts';
import { shownPath } from '../../layout.ts';
import type { SeparationExport } from '../../separation/model.ts';
import { clusterChoice, clusterOptions } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { logInAtOne } from '../log-in.ts';

/** `quorate separation export`: everything of one cluster that decides who reaches what, signed, without a secret. */
export const command = defineCommand({
  options: {
    'cluster': clusterOptions.cluster,
    'address': clusterOptions.address,
    'ca': clusterOptions.ca,
    'pin': clusterOptions.pin,
    'namespace': {
      value: 'PATH',
      repeat: true,
      description: 'only this namespace and those in it; with --print-policy: rules for it too, any number of times',
    },
    'output': { value: 'FILE', description: 'where to write it (default: CLUSTER.separation.json)' },
    'key': {
      value: 'FILE',
      description: 'the SSH key that signs it: a private key, or the public half of one in ssh-agent',
    },
    'unsigned': { description: 'write it without a signature' },
    'print-policy': { description: 'print the policy that the login needs, and do nothing' },
  },
  examples: [
    {
      command: 'quorate separation export --print-policy',
      text: 'the policy, for bao policy write separation-export -',
    },
    {
      command: 'quorate separation export --cluster prod-eu --key ~/.ssh/id_ed25519.pub',
      text: 'writes prod-eu.separation.json and its signature; exit 5 when something could not be read',
    },
  ],
  async run(context, values) {
    const scopes = (values.namespace ?? []).map((path) => path.replace(/^\/+|\/+$/g, ''));
    if (values['print-policy'] === true) {
      const { exportPolicy } = await import('../../separation/access.ts');
      const policy = exportPolicy(scopes);
      context.output.result({ policy }, () => policy.trimEnd().split('\n'));
      return undefined;
    }
    if ((values.key === undefined) === (values.unsigned !== true)) {
      throw new QuorateError('usage', 'say who signs the export: --key FILE, or --unsigned, one of them', {
        hint: 'Only a signature lets somebody else rely on the export.',
      });
    }
    if (scopes.length > 1) throw new QuorateError('usage', 'an export starts at one namespace: --namespace once');
    const { namespace: _, ...choice } = values;
    const [scope] = scopes;
    const cluster = await context.cluster(
      clusterChoice({ ...choice, ...(scope === undefined ? {} : { namespace: scope }) }),
    );
    const output = resolve(context.cwd, values.output ?? `${cluster.name}.separation.json`);
    const made = await read(context, cluster);
    const files = await write(context, made, output, values.key);
    show(context, made, files);
    return made.unread.length === 0 ? EXIT.done : EXIT.unverified;
  },
});

async function read(context: Context, cluster: ConnectedCluster): Promise<SeparationExport> {
  const held = context.heldLogin(cluster);
  try {
    const { session } = (await logInAtOne(context, cluster.peers, held.login)).login;
    const { readCluster } = await import('../../separation/read/cluster.ts');
    try {
      return await context.output.progress(`reading ${cluster.name}`, (update) =>
        readCluster(session, {
          cluster: cluster.name,
          scope: cluster.namespace ?? '',
          signal: context.signal,
          progress: (count) => {
            if (count % 500 === 0) update(`${count.toString()} answers`);
          },
        }),
      );
    } finally {
      session.close();
    }
  } finally {
    for (const left of await held.end()) context.output.warn(`this login may live on: ${left}`);
  }
}

interface Files {
  readonly output: string;
  readonly signature?: string;
  readonly sha256: string;
}

/** The signature is made first, so that no export is left without. */
async function write(
  context: Context,
  made: SeparationExport,
  output: string,
  key: string | undefined,
): Promise<Files> {
  const [{ exportText, EXPORT_NAMESPACE }, { writeExclusive }, { createHash }] = await Promise.all([
    import('../../separation/model.ts'),
    import('../../files.ts'),
    import('node:crypto'),
  ]);
  const bytes = new TextEncoder().encode(exportText(made));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (key === undefined) {
    await writeExclusive(output, bytes);
    return { output, sha256 };
  }
  const { sshKeygen } = await context.programs();
  const { signal } = context;
  const file = resolve(context.cwd, key);
  const signed = await sshKeygen.sign({ key: file, namespace: EXPORT_NAMESPACE, bytes, signal });
  const signature = `${output}.sig`;
  await writeExclusive(output, bytes);
  await writeExclusive(signature, signed);
  return { output, signature, sha256 };
}

function show({ output, cwd }: Context, made: SeparationExport, files: Files): void {
  const { namespaces, tokens, unread } = made;
  const counted = {
    namespaces: namespaces.length,
    policies: sum(namespaces, (one) => one.policies),
    roles: sum(namespaces, (one) => one.roles),
    entities: sum(namespaces, (one) => one.entities),
    groups: sum(namespaces, (one) => one.groups),
    tokens: tokens.length,
  };
  output.result({ cluster: made.cluster, clusterId: made.clusterId, ...files, counted, unread }, () => [
    `${made.cluster}: ${Object.entries(counted)
      .map(([what, count]) => `${count.toString()} ${what}`)
      .join(', ')}`,
    ...unread.slice(0, 20).map(({ namespace, path, why }) => `  unread  ${namespace}${path}: ${why}`),
    ...(unread.length > 20 ? [`  and ${(unread.length - 20).toString()} more`] : []),
    `written to ${shownPath(cwd, files.output)}${files.signature === undefined ? ', without a signature' : ', signed'}`,
    ...(unread.length === 0
      ? []
      : ['what could not be read proves nothing: see quorate separation export --print-policy']),
  ]);
}

function sum<T>(items: readonly T[], of: (item: T) => readonly unknown[]): number {
  return items.reduce((total, item) => total + of(item).length, 0);
}
