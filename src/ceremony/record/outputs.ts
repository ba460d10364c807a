import { join } from 'node:path';
import { QuorateError, isQuorateError } from '../../errors.ts';
import { readBounded, readText, replaceFile, writeExclusive } from '../../files.ts';
import type { RecordEvent } from './events.ts';
import { CHECK_FILE, RECORD_FILE, REPORT_FILE, SUMS_FILE, hashFile, isSafeName, listFolder } from './folder.ts';
import { participants, signerName } from './participants.ts';
import { readSoundRecord } from './read.ts';
import { renderReport } from './report.ts';

const TEXT_LIMIT = 64 << 20;

/**
 * The digests of a ceremony's outputs for the `ceremony.closed` event: what the signatures bind.
 * @throws QuorateError `file-missing`, `file-invalid`.
 */
export async function hashOutputs(folder: string, names: readonly string[]): Promise<Record<string, string>> {
  const outputs: Record<string, string> = {};
  for (const name of names) outputs[name] = await hashFile(folder, name);
  return outputs;
}

/**
 * Writes report.html, CHECK.txt and, last, SHA256SUMS beside a closed record. Doing it again, after a crash between
 * them, completes what is there.
 * @throws QuorateError `record-invalid`, `file-exists` (one of them is there with other content), `file-invalid`.
 */
export async function finishFolder(folder: string): Promise<void> {
  const { lines } = await readSoundRecord(join(folder, RECORD_FILE));
  await writeOnce(join(folder, REPORT_FILE), renderReport(lines));
  await writeOnce(join(folder, CHECK_FILE), checkText(lines));
  const names = await listFolder(folder);
  const sums: string[] = [];
  for (const name of names) sums.push(`${(await hashFile(folder, name)).slice('sha256:'.length)}  ${name}\n`);
  await writeOnce(join(folder, SUMS_FILE), sums.join(''));
}

/** Whether `finishFolder` came to its end: the list of all files, which it writes last, is there and whole. */
export async function isFinished(folder: string): Promise<boolean> {
  try {
    const parsed = parseSums(await readText(join(folder, SUMS_FILE)));
    return parsed.ok && parsed.sums.size > 0;
  } catch (error) {
    if (isQuorateError(error, 'file-missing')) return false;
    throw error;
  }
}

/** Writes a file, keeps one that has the same content, and completes one that a crash cut short. */
async function writeOnce(path: string, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  try {
    await writeExclusive(path, bytes);
  } catch (error) {
    if (!isQuorateError(error, 'file-exists')) throw error;
    const there = await readBounded(path, TEXT_LIMIT);
    if (!bytes.subarray(0, there.length).equals(there)) throw error;
    if (there.length < bytes.length) await replaceFile(path, bytes);
  }
}

export type Sums =
  | { readonly ok: true; readonly sums: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly line: number; readonly message: string };

/** Reads the text of a SHA256SUMS file: `sha256:` digests by name. */
export function parseSums(text: string): Sums {
  const sums = new Map<string, string>();
  const lines = text.split('\n');
  if (lines.pop() !== '') return { ok: false, line: lines.length + 1, message: 'the last line has no end' };
  for (const [index, line] of lines.entries()) {
    const [, hex, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    const at = { ok: false, line: index + 1 } as const;
    if (hex === undefined || name === undefined) return { ...at, message: 'not a digest and a name' };
    if (!isSafeName(name)) return { ...at, message: 'not the name of a file below the folder' };
    if (sums.has(name)) return { ...at, message: 'a name comes twice' };
    sums.set(name, `sha256:${hex}`);
  }
  return { ok: true, sums };
}

const RECEIPTS = `
6. Custodians who were not in the room handed over receipts. This must print Good for each, with the key that
   the record has for its file; whose key that is, you know from YOUR_SIGNERS:

for file in receipts/*.json; do
  ssh-keygen -Y check-novalidate -n quorate-receipt -s "$file.sig" < "$file"
done
`;

/**
 * How to check the folder with stock tools and without quorate, for people and for pasting into a shell.
 * @throws QuorateError `bug` when the lines are no closed record.
 */
export function checkText(lines: readonly RecordEvent[]): string {
  const opened = lines[0];
  if (opened?.event !== 'ceremony.opened')
    throw new QuorateError('bug', 'a record without its opening was to be explained');
  const signers = participants(lines).map(
    ({ name, roles }) => `    ${signerName(name).padEnd(24)}  ${name} (${roles.join(', ')})\n`,
  );
  return `HOW TO CHECK THIS FOLDER WITHOUT QUORATE
========================================

Ceremony  ${opened.title}
Id        ${opened.id}

You need a POSIX shell, coreutils and OpenSSH 8.2 or later, and a copy of the people's SSH keys that you
got from themselves. Keys that come with this folder prove nothing. Run all of it inside this folder.

1. The files are the ones that were written when the ceremony closed. This prints OK for each:

sha256sum -c SHA256SUMS

2. No line of the record was changed, added, removed or moved. This prints the record's head, or BROKEN
   and the number of the first wrong line. Compare the head with what was read aloud and written down:

n=0; prev=none; broken=
while IFS= read -r line; do
  n=$((n + 1))
  case $line in
    *'"prev":"'"$prev"'"'*'"seq":'"$n"',"'*) ;;
    *) broken=$n; break ;;
  esac
  prev=sha256:$(printf '%s' "$line" | sha256sum | cut -d ' ' -f 1)
done < record.jsonl
if [ -n "$broken" ]; then echo "BROKEN at line $broken"; else echo "head $prev"; fi

3. The people signed this record. YOUR_SIGNERS is YOUR file, one line a person, in the form
   NAME namespaces="quorate-record,quorate-dissent" KEYTYPE KEY  (ssh-keygen(1), ALLOWED SIGNERS).
   Each must print Good and the name of the file:

for file in signatures/*.sig; do
  name=$(basename "$file" .sig)
  case $name in *.dissent) continue ;; esac
  ssh-keygen -Y verify -f "$YOUR_SIGNERS" -I "$name" -n quorate-record -s "$file" < record.jsonl
done

   Who took part, and what their signature is called:

${signers.join('')}
4. Somebody who does not agree leaves NAME.dissent.json, which says why and names the record's head:

for file in signatures/*.dissent.json; do
  [ -e "$file" ] || continue
  name=$(basename "$file" .dissent.json)
  ssh-keygen -Y verify -f "$YOUR_SIGNERS" -I "$name" -n quorate-dissent -s "\${file%.json}.sig" < "$file"
  cat "$file"
done

5. The last line of record.jsonl, ceremony.closed, has the SHA-256 of the ceremony's outputs: these are
   what the signatures stand for. report.html only shows the record and is not signed by anybody.
${lines.some(({ event }) => event === 'receipt') ? RECEIPTS : ''}`;
}
