import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createGunzip } from 'node:zlib';
import type { Context } from '../../context.ts';
import { EXIT, type Exit, QuorateError } from '../../errors.ts';
import { fileError } from '../../files.ts';
import { checkConfig, OWN_PLUGIN } from '../../hsm/check-config.ts';
import { hasFault } from '../../finding.ts';
import { type NeededKey, neededKeys } from '../../hsm/needed-keys.ts';
import { isConfigured, type PreparedToken, prepareNextKey } from '../../hsm/rotate.ts';
import { readPin } from '../../kms/pin.ts';
import type { SealSettings } from '../../kms/settings.ts';
import { defineCommand } from '../command.ts';
import { findingLines } from '../finding-lines.ts';
import { readServerFiles, settingsReader } from './config-files.ts';
import { plainWord } from './opening.ts';
import { printable } from './words.ts';

/** `quorate hsm rotate`: the next key under a seal, and the proof that the server uses it and needs no other. */
export const command = defineCommand({
  arguments: [{ name: 'CONFIG', description: "the server's configuration: a file, or a folder" }],
  options: {
    label: { value: 'LABEL', description: 'make the next key under this label, on every token of the seal' },
    snapshot: {
      value: 'FILE',
      repeat: true,
      description: 'say which keys a Raft snapshot needs; 5 when others than CONFIG has',
    },
    credentials: { value: 'DIR', description: 'where the systemd credentials of the running server are' },
  },
  examples: [
    {
      command: 'quorate hsm rotate /etc/openbao/openbao.hcl --label seal-2028',
      text: 'makes and tries the key, and says what to do next',
    },
    {
      command: 'quorate hsm rotate /etc/openbao/openbao.hcl --snapshot now.snap',
      text: 'after the restarts, with a snapshot just taken: proves that the new key is in use',
    },
    {
      command: 'quorate hsm rotate /etc/openbao/openbao.hcl --snapshot weekly-1.snap --snapshot weekly-2.snap',
      text: 'before the old key is destroyed: does any snapshot that you keep still need it?',
    },
  ],
  async run(context, values, [path = '']) {
    const credentials = values.credentials ?? context.env['CREDENTIALS_DIRECTORY'];
    const readSettings = await settingsReader(credentials);
    const { findings, found } = checkConfig(await readServerFiles(context, path), 'openbao', readSettings);
    if (found === undefined || found.seal.type !== OWN_PLUGIN || hasFault(findings)) {
      for (const line of findingLines(findings, context.output.paint)) context.output.say(line);
      throw new QuorateError('document-invalid', 'this configuration has no good seal "quorate-kms"', {
        hint: 'quorate hsm config --check says what is wrong. The keys of other seals are rotated by their own means.',
      });
    }
    const settings = readSettings(found.seal.settings);
    const { label, snapshot = [] } = values;
    if ((label === undefined) === (snapshot.length === 0)) {
      throw new QuorateError(
        'usage',
        'give either --label, to make the next key, or --snapshot, to see what is in use',
      );
    }
    if (label === undefined) return prove(context, settings, snapshot);
    return prepare(context, settings, plainWord('--label', label), credentials);
  },
});

async function prepare(
  context: Context,
  settings: SealSettings,
  label: string,
  credentials: string | undefined,
): Promise<undefined> {
  const env = { ...context.env, ...(credentials === undefined ? {} : { CREDENTIALS_DIRECTORY: credentials }) };
  const pkcs11 = await context.pkcs11();
  const prepared: PreparedToken[] = [];
  for (const token of settings.tokens) {
    prepared.push(
      await context.output.progress(`a key on token "${token.name}"`, () =>
        prepareNextKey(token, label, { pkcs11, readPin: (source) => readPin(source, env) }),
      ),
    );
  }
  const { paint } = context.output;
  context.output.result(
    prepared.map(({ token, old, made, wasThere }) => ({
      token,
      ...{ old: { label: old.label, id: old.id }, next: { label: made.label, id: made.id, type: made.type }, wasThere },
    })),
    () => [
      ...prepared.map(
        ({ token, old, made, wasThere }) =>
          `${paint.good('ok')}    token "${printable(token)}": ${made.type} "${label}" ${wasThere ? 'was there already' : 'made'}, and tried; "${printable(old.label)}" is kept`,
      ),
      '',
      'The server uses the old key still. What is left to do:',
      `  1. In the configuration of every peer: key_label = "${label}", for every token. Take key_id out.`,
      '  2. Restart the standbys one by one, then step the leader down and restart it. The new leader encrypts anew',
      '     what it has stored; the old key still decrypts until then.',
      '  3. Take a snapshot, and prove it:  bao operator raft snapshot save now.snap',
      '                                     quorate hsm rotate CONFIG --snapshot now.snap',
      '  4. Keep the old key as long as any snapshot needs it: the same command with every snapshot that you keep.',
    ],
  );
  return undefined;
}

interface SnapshotVerdict {
  readonly file: string;
  readonly blobs: number;
  readonly needs: readonly (NeededKey & { readonly configured: boolean })[];
}

async function prove(context: Context, settings: SealSettings, files: readonly string[]): Promise<Exit> {
  const verdicts: SnapshotVerdict[] = [];
  for (const file of files) {
    const blobs = await keysIn(resolve(context.cwd, file));
    const all = new Map(blobs.flat().map((key) => [JSON.stringify(key), key]));
    const needs = [...all.values()].map((key) => ({ ...key, configured: isConfigured(key, settings.tokens) }));
    verdicts.push({ file, blobs: blobs.length, needs });
  }
  const good = verdicts.every(({ blobs, needs }) => blobs > 0 && needs.every(({ configured }) => configured));
  const { paint } = context.output;
  context.output.result({ snapshots: verdicts, onlyConfiguredKeys: good }, () => [
    ...verdicts.flatMap(({ file, blobs, needs }) => [
      `${printable(file)}: ${blobs.toString()} ${blobs === 1 ? 'blob' : 'blobs'} of quorate-kms`,
      ...needs.map(
        ({ token, key, id, configured }) =>
          `  ${configured ? paint.good('in use') : paint.bad('NEEDED')}  key "${printable(key)}" (id ${printable(id)}) on token "${printable(token)}"${configured ? '' : ', which the configuration does not name'}`,
      ),
    ]),
    good
      ? paint.good('The keys of the configuration are in use, and no other is needed here.')
      : paint.bad('Destroy no old key: something here needs it, or holds nothing that could be judged.'),
  ]);
  return good ? EXIT.done : EXIT.unverified;
}

async function keysIn(path: string): Promise<readonly (readonly NeededKey[])[]> {
  try {
    return await neededKeys(createReadStream(path).pipe(createGunzip()));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z_') === true) {
      throw new QuorateError('file-invalid', `${path} is no snapshot: it is not compressed by gzip`);
    }
    throw fileError(path, error);
  }
}
