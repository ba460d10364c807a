import { createHash, X509Certificate } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordLine } from '../../src/ceremony/record/events.ts';
import { renderRoster } from '../../src/ceremony/roster/roster.ts';
import type { Roster } from '../../src/ceremony/roster/schema.ts';
import { fingerprintShare, parseShare } from '../../src/ceremony/share.ts';
import { renderYaml } from '../../src/document.ts';
import { Secret } from '../../src/secret.ts';

export const HOLDERS = ['Alice Example', 'Bo Example', 'Cleo Example', 'Dana Example', 'Eli Example'] as const;

export interface RosterOptions {
  readonly cluster: string;
  readonly clusterId?: string;
  readonly threshold: number;
  readonly generation?: number;
  /** Shares of generation 1, as the same holders had them. */
  readonly previous?: readonly string[];
}

/** The roster of a cluster whose shares the tests know, the first one Alice's. */
export function rosterOf(shares: readonly string[], options: RosterOptions): Roster {
  const entries = (list: readonly string[]) =>
    list.map((hex, index) => {
      const share = parseShare(Secret.fromText(hex));
      return {
        holder: HOLDERS[index] ?? `Holder ${index.toString()}`,
        x: share.x,
        fingerprint: fingerprintShare(share),
      };
    });
  return {
    cluster: options.cluster,
    ...(options.clusterId === undefined ? {} : { 'cluster-id': options.clusterId }),
    generation: options.generation ?? 1,
    threshold: options.threshold,
    seal: 'shamir',
    shares: entries(shares).map((one) => ({
      ...one,
      'status': 'proved' as const,
      'proved-at': '2027-01-12T10:04:31.000Z',
    })),
    ...(options.previous === undefined
      ? {}
      : { previous: entries(options.previous).map((one) => ({ generation: 1, ...one })) }),
  };
}

export interface DeskCluster {
  readonly peers: readonly { readonly name: string; readonly address: string; readonly pin?: string }[];
  readonly ca?: string;
  readonly roster?: Roster;
  /** Those with seals of their own. */
  readonly namespaces?: readonly { readonly path: string; readonly roster: Roster }[];
}

/** Writes quorate.yaml, and the rosters beside it. */
export async function layDesk(folder: string, clusters: Readonly<Record<string, DeskCluster>>): Promise<void> {
  const described: Record<string, unknown> = {};
  for (const [name, { roster, peers, ca, namespaces = [] }] of Object.entries(clusters)) {
    if (roster !== undefined) await writeFile(join(folder, `${name}.roster.yaml`), renderRoster(roster));
    const inner = namespaces.map((one) => ({ ...one, file: `${name}.${one.path.replaceAll('/', '.')}.roster.yaml` }));
    for (const one of inner) await writeFile(join(folder, one.file), renderRoster(one.roster));
    described[name] = {
      peers,
      ...(ca === undefined ? {} : { ca }),
      ...(roster === undefined ? {} : { roster: `${name}.roster.yaml` }),
      ...(inner.length === 0 ? {} : { namespaces: inner.map(({ path, file }) => ({ path, roster: file })) }),
    };
  }
  await writeFile(join(folder, 'quorate.yaml'), renderYaml({ clusters: described }));
}

/** `sha256:` and the fingerprint of a certificate file. */
export async function pinOf(certificateFile: string): Promise<string> {
  const { raw } = new X509Certificate(await readFile(certificateFile));
  return `sha256:${createHash('sha256').update(raw).digest('hex')}`;
}

/** The lines of the newest record below `folder`, and its text. */
export async function lastRecord(folder: string): Promise<{
  readonly folder: string;
  readonly text: string;
  readonly lines: readonly RecordLine[];
}> {
  const records = join(folder, 'records');
  const found: { folder: string; text: string; time: string }[] = [];
  // Snapshots of rotations lie beside the folders.
  const entries = (await readdir(records, { withFileTypes: true })).filter((one) => one.isDirectory());
  for (const { name } of entries) {
    const text = await readFile(join(records, name, 'record.jsonl'), 'utf8');
    const first = JSON.parse(text.split('\n')[0] ?? '') as RecordLine;
    found.push({ folder: join(records, name), text, time: first.time });
  }
  const last = found.sort((a, b) => a.time.localeCompare(b.time)).at(-1);
  if (last === undefined) throw new Error('there is no record');
  const lines = last.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordLine);
  return { folder: last.folder, text: last.text, lines };
}

/** The forms in which a share would be found where it must not be: both encodings, and 12 characters of each. */
export function formsOf(hex: string): readonly string[] {
  const base64 = Buffer.from(hex, 'hex').toString('base64');
  return [hex, base64, hex.slice(20, 32), base64.slice(12, 24)];
}
