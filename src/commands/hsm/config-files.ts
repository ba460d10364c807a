import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { readServerConfig, type ServerConfig } from '../../hsm/server-config.ts';
import type { SealSettings } from '../../kms/settings.ts';

/** Stands for the folder of credentials that a server is given by systemd when it starts. */
const CREDENTIALS = '/run/credentials/server';

/**
 * Reads a server's configuration: a file, or a folder with its .hcl and .json files, as `bao server -config` takes them.
 * @throws QuorateError `file-missing`, `file-invalid`, `document-invalid`.
 */
export async function readServerFiles(context: Context, path: string): Promise<ServerConfig> {
  const root = resolve(context.cwd, path);
  const isFolder = await stat(root).then(
    (info) => info.isDirectory(),
    () => false,
  );
  const names = isFolder
    ? (await readdir(root))
        .filter((name) => /\.(?:hcl|json)$/.test(name))
        .sort()
        .map((name) => join(root, name))
    : [root];
  if (names.length === 0) throw new QuorateError('file-missing', `${path} holds no .hcl and no .json file`);
  const files = await Promise.all(
    names.map(async (name) => ({ name: isFolder ? name : path, text: await readText(name) })),
  );
  return readServerConfig(files);
}

/** Reads quorate-kms's settings as the plugin does, wherever its credentials will be. */
export async function settingsReader(
  credentials: string | undefined,
): Promise<(settings: ReadonlyMap<string, string>) => SealSettings> {
  const { readConfiguration } = await import('../../kms/configuration.ts');
  return (settings) => readConfiguration(settings, { CREDENTIALS_DIRECTORY: credentials ?? CREDENTIALS }, true);
}
