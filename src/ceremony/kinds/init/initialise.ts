import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mkdir } from 'node:fs/promises';
import { isQuorateError, QuorateError } from '../../../errors.ts';
import { createExclusive, readBounded, replaceFile } from '../../../files.ts';
import type { InitReply, Peer } from '../../../vault/peer.ts';
import type { Run, Step } from '../../kind.ts';
import type { ScriptKeys } from '../../keys.ts';
import { fileNameOf } from '../../script.ts';
import { type InitScript, ROOT_TOKEN } from './script.ts';

const REPLY_FILE = 'init-reply.json';
const APPEARS = 3000;
const POLL = 300;

/** Where the share of a custodian lies in the ceremony's folder: an OpenPGP message, or in a lab's init the share. */
export function shareFile(script: InitScript, name: string): string {
  return join('issued', `${fileNameOf(name)}.${script['insecure-plain-shares'] ? 'share' : 'pgp'}`);
}

function rootTokenFile(script: InitScript): string {
  return join('issued', script['insecure-plain-shares'] ? 'root-token' : 'root-token.pgp');
}

/** The root token as the server sent it: an OpenPGP message, or in a lab's init the token. */
export async function readRootToken(script: InitScript, run: Pick<Run, 'folder'>): Promise<Uint8Array> {
  return readBounded(join(run.folder, rootTokenFile(script)));
}

/**
 * The one call whose reply exists only once. Its sink is on disk, exclusive and synced, before the call is made,
 * and the reply is in it before anybody looks at it. What it holds is encrypted to the custodians.
 */
export function initialiseStep(script: InitScript, keys: ScriptKeys): Step {
  return {
    id: 'initialise',
    title: `${script.namespace === undefined ? 'initialise one peer' : `create the namespace ${script.namespace}`} with ${script.shares.toString()} shares, threshold ${script.threshold.toString()}, ${script['insecure-plain-shares'] ? 'all IN CLEAR, for a lab' : 'each encrypted to its custodian'}`,
    who: 'administrator',

    async done(run) {
      const peer = firstPeer(run);
      const { initialised } = await peer.sealStatus({ signal: run.signal });
      const reply = await readBounded(join(run.folder, REPLY_FILE)).catch((error: unknown) => {
        if (isQuorateError(error, 'file-missing')) return undefined;
        throw error;
      });
      if (!initialised && (reply === undefined || reply.length === 0)) return false;
      if (reply === undefined || reply.length === 0) throw replyLost(peer);
      if (!initialised) {
        const what =
          peer.namespace === '' ? `${peer.name} is not initialised` : `there is no namespace ${peer.namespace}`;
        throw new QuorateError('ceremony-interrupted', `${what}, but this ceremony has shares for it`, {
          hint: 'It was wiped since. Start a new ceremony in a new folder.',
        });
      }
      await issueFiles(run, script, parseReply(reply));
      return true;
    },

    async run(run) {
      const peer = firstPeer(run);
      const seal = await peer.sealStatus({ signal: run.signal });
      const recovery = seal.type !== 'shamir';
      const encryption = script['insecure-plain-shares']
        ? {}
        : {
            pgpKeys: script.custodians.map(({ name }) => keyOf(keys, name)),
            ...(script.namespace === undefined ? { rootTokenPgpKey: keyOf(keys, ROOT_TOKEN) } : {}),
          };
      const sink = await createExclusive(join(run.folder, REPLY_FILE)).catch((error: unknown) => {
        // Left empty by an attempt whose call never left; `done` has seen that nothing is initialised.
        if (isQuorateError(error, 'file-exists')) return reopenEmpty(join(run.folder, REPLY_FILE));
        throw error;
      });
      let reply: InitReply;
      try {
        reply = await peer.initialise({
          shares: script.shares,
          threshold: script.threshold,
          ...encryption,
          recovery,
        });
        await reply.raw.expose((bytes) => sink.writeFile(bytes));
        await sink.sync();
      } catch (error) {
        throw await whatIsLeft(peer, error);
      } finally {
        await sink.close();
      }
      await run.record({
        event: 'request',
        peer: peer.name,
        request: `PUT ${peer.initPath}`,
        expected: { status: 200, shares: script.shares },
        actual: { status: 200, shares: reply.shares.length },
      });
      try {
        await issueFiles(run, script, { shares: reply.shares.map(asText), rootToken: asText(reply.rootToken) });
      } finally {
        for (const secret of [reply.raw, reply.rootToken, ...reply.shares]) secret.wipe();
      }
    },
  };
}

/** One file a custodian, so that each can be handed over on its own. What is there already stays. */
async function issueFiles(
  run: Run,
  script: InitScript,
  reply: { shares: readonly string[]; rootToken: string },
): Promise<void> {
  if (reply.shares.length !== script.shares) {
    throw new QuorateError(
      'server-response',
      `asked for ${script.shares.toString()} shares, got ${reply.shares.length.toString()}`,
      {
        hint: `Nothing was unsealed yet. The reply is in ${REPLY_FILE}. ${wipe(run.cluster.namespace)}`,
      },
    );
  }
  await mkdir(join(run.folder, 'issued'), { recursive: true, mode: 0o700 });
  const issued = new Set(run.events.flatMap((event) => (event.event === 'share.issued' ? [event.file] : [])));
  const plain = script['insecure-plain-shares'];
  const files = [
    ...script.custodians.map(({ name, pgp }, index) => ({
      who: name,
      pgp: pgp?.fingerprint,
      file: shareFile(script, name),
      text: reply.shares[index] ?? '',
    })),
    {
      who: ROOT_TOKEN,
      pgp: script['root-token']?.pgp.fingerprint,
      file: rootTokenFile(script),
      text: reply.rootToken,
    },
    // A namespace comes without a root token.
  ].filter(({ text }) => text !== '');
  for (const { who, pgp, file, text } of files) {
    const content = plain ? new TextEncoder().encode(text) : new Uint8Array(Buffer.from(text, 'base64'));
    if (!plain) assertEncrypted(content, who);
    await placeFile(join(run.folder, file), content);
    if (issued.has(file)) continue;
    const ciphertext = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    await run.record({ event: 'share.issued', who, pgp, file, ciphertext });
  }
  if (!plain || run.events.some(({ event }) => event === 'exception')) return;
  await run.record({
    event: 'exception',
    expected: 'shares and root token leave the server encrypted to their holders',
    happened: 'they were issued in clear, and lie in issued/',
    decision: 'the script asks for insecure-plain-shares',
    by: 'the script',
  });
}

/** All of a file or nothing of it, whenever this process ends. */
async function placeFile(path: string, content: Uint8Array): Promise<void> {
  const there = await readBounded(path).catch((error: unknown) => {
    if (isQuorateError(error, 'file-missing')) return undefined;
    throw error;
  });
  if (there === undefined || !Buffer.from(there).equals(content)) await replaceFile(path, content);
}

/**
 * An OpenPGP message starts with a packet of tag 1 (RFC 9580, section 4.3), so its first byte is 0x84, 0x85, 0x86 or
 * 0xc1. A share in clear would be 33 bytes; nothing of that size is a message.
 */
function assertEncrypted(message: Uint8Array, who: string): void {
  const first = message[0] ?? 0;
  const encrypted = message.length > 64 && ([0x84, 0x85, 0x86].includes(first) || first === 0xc1);
  if (!encrypted) {
    throw new QuorateError('server-response', `what the server issued to ${who} is not encrypted`, {
      hint: 'Treat all shares of this init as known to others: wipe the storage and start over.',
    });
  }
}

function parseReply(bytes: Uint8Array): { shares: readonly string[]; rootToken: string } {
  try {
    const body = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    // Of a namespace: in an envelope, in hexadecimal.
    const { key_shares: inner } = (body['data'] ?? {}) as { key_shares?: unknown };
    if (Array.isArray(inner)) {
      return { shares: inner.map((hex) => Buffer.from(String(hex), 'hex').toString('base64')), rootToken: '' };
    }
    const recovery = body['recovery_keys_base64'];
    const unseal = body['keys_base64'];
    const shares = Array.isArray(recovery) && recovery.length > 0 ? recovery : unseal;
    const rootToken = body['root_token'];
    if (!Array.isArray(shares) || typeof rootToken !== 'string') throw new Error();
    return { shares: shares.map(String), rootToken };
  } catch {
    throw new QuorateError('ceremony-interrupted', `${REPLY_FILE} is not a whole reply to an init`, {
      hint: 'The shares are lost. Nothing depends on them yet: wipe what was made, and start over in a new folder.',
    });
  }
}

/** How to start over when the shares exist nowhere. A sealed namespace cannot be deleted in the usual way. */
function wipe(namespace = ''): string {
  if (namespace === '') {
    return (
      'Its shares exist nowhere, and the cluster holds no data yet: stop all peers, wipe their storage, start them and ' +
      'run the ceremony again from its start, in a new folder.'
    );
  }
  const [parent, child] = [namespace.replace(/\/?[^/]*$/, ''), namespace.replace(/^.*\//, '')];
  return (
    'Its shares exist nowhere, and it is empty. With a login that has sudo there, delete it by ' +
    `\`bao namespace delete-sealed${parent === '' ? '' : ` -namespace=${parent}`} ${child}\`. Then resume the ceremony, ` +
    'which creates it again.'
  );
}

function replyLost({ name, namespace }: Peer): QuorateError {
  const what = namespace === '' ? `${name} may have been initialised` : `the namespace ${namespace} is there`;
  return new QuorateError('init-reply-lost', `${what}, and the reply with the shares never came`, {
    hint: wipe(namespace),
  });
}

/** Whether it is there after all: a namespace shows on a standby a moment later, and a call may still be on its way. */
async function appears(peer: Peer): Promise<boolean | undefined> {
  const deadline = Date.now() + APPEARS;
  for (;;) {
    const initialised = await peer.sealStatus().then(
      (status) => status.initialised,
      () => undefined,
    );
    if (initialised === true || Date.now() > deadline) return initialised;
    await sleep(POLL);
  }
}

/**
 * The error for an init that failed, by what the peer says afterwards. A server can refuse and be initialised all the
 * same: its first entry in a broken audit device comes after its keys are made (OpenBao 2.7.2).
 */
async function whatIsLeft(peer: Peer, error: unknown): Promise<unknown> {
  if (!isQuorateError(error) || (error.code !== 'init-reply-lost' && error.code !== 'server-error')) return error;
  const lost = error.code === 'init-reply-lost';
  const initialised = await appears(peer);
  if (lost && initialised === false) {
    const what = peer.namespace === '' ? peer.name : peer.namespace;
    return new QuorateError('init-reply-lost', `the init of ${what} was cut short, and it is not initialised`, {
      hint: 'Resume the ceremony: it asks the peer again before it repeats anything.',
    });
  }
  if (lost) return replyLost(peer);
  if (initialised !== true) return error;
  return new QuorateError('init-reply-lost', `${error.message}. It counts as initialised all the same`, {
    hint: `Mend what it says first. ${wipe(peer.namespace)}`,
  });
}

async function reopenEmpty(path: string): ReturnType<typeof createExclusive> {
  const { open } = await import('node:fs/promises');
  const handle = await open(path, 'r+');
  const { size } = await handle.stat();
  if (size === 0) return handle;
  await handle.close();
  throw new QuorateError('file-exists', `${path} holds a reply already`);
}

function firstPeer(run: Run): Peer {
  const [peer] = run.cluster.peers;
  if (peer === undefined) throw new QuorateError('bug', 'a cluster without peers');
  return peer;
}

function keyOf(keys: ScriptKeys, holder: string): string {
  const key = keys.get(holder);
  if (key === undefined) {
    throw new QuorateError('key-unusable', `there is no usable OpenPGP key of ${holder}`, {
      hint: 'This finding cannot be accepted: nobody could read what is encrypted to that key.',
    });
  }
  return key.binaryBase64;
}

function asText(secret: InitReply['rootToken']): string {
  return secret.exposeText();
}
