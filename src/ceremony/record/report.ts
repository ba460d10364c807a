import { createHash } from 'node:crypto';
import { QuorateError } from '../../errors.ts';
import type { RecordLine } from './events.ts';
import { lineText, sha256 } from './line.ts';
import { participants, signerName } from './participants.ts';
import { clock, eventItem, ofKind } from './report-events.ts';
import { type Html, code, facts, markup, section, table } from './report-html.ts';
import {
  checks,
  closing,
  destruction,
  digest,
  environment,
  hsms,
  inventory,
  people,
  shares,
  shownNumber,
} from './report-tables.ts';
import { STYLE } from './report-style.ts';
import type { SignerResult } from './verify-signers.ts';
import { digestWords } from './words.ts';

export interface ReportExtras {
  /** Who had signed when this page was made, where that was verified. */
  readonly signers?: readonly SignerResult[];
}

/** Events with tables of their own. All others are told, whole, where they happened. */
const TABLED = new Set([
  'ceremony.opened',
  'participant',
  'peer',
  'environment',
  'inventory',
  'hsm',
  'check',
  'ceremony.closed',
]);

/**
 * A record as one HTML page for people: no script, nothing loaded from anywhere, the same bytes for the same record.
 * `lines` are those of a sound record, from its first.
 * @throws QuorateError `bug` when they do not begin with `ceremony.opened`.
 */
export function renderReport(lines: readonly RecordLine[], extras: ReportExtras = {}): string {
  const opened = lines[0];
  if (opened?.event !== 'ceremony.opened')
    throw new QuorateError('bug', 'a report was asked for lines that open no ceremony');
  const rehearsal = opened.mode === 'REHEARSAL';
  const title = `${rehearsal ? 'REHEARSAL: ' : ''}${opened.title}`;
  const styleHash = createHash('sha256').update(STYLE).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'`;
  const banner = rehearsal
    ? markup`<p class="rehearsal">
        <strong>REHEARSAL</strong>Throwaway cluster and made-up keys: this proves nothing about a real one.
      </p> `
    : undefined;
  // The style is the one thing that must not be escaped, and no text of the record is in it.
  const page = markup`<meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="${policy}" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="referrer" content="no-referrer" />
    <title>${title}</title> `;
  const body = markup`${banner}
    <p class="soft">Record of a key ceremony</p>
    <h1>${opened.title}</h1>
    ${header(lines)} ${section('Exceptions', exceptions(lines))} ${section('Participants', people(lines))}
    ${section('Environment', environment(lines))} ${section('Inventory', inventory(lines))}
    ${section('HSM', hsms(lines))} ${section('Checks before anybody acted', checks(lines))}
    ${section('What happened', steps(lines))} ${section('Shares', shares(lines))}
    ${section('Destruction and revocation', destruction(lines))} ${section('Closing', closing(lines))}
    ${section('Head of the record', head(lines))}
    <div class="signatures">${banner}${section('Signatures', signatures(lines, extras))}</div> `;
  return `<!DOCTYPE html>\n<html lang="en">\n<head>\n${page.text}<style>${STYLE}</style>\n</head>\n<body>\n${body.text}</body>\n</html>\n`;
}

/** The hash that stands for all of `lines`. */
function headOf(lines: readonly RecordLine[]): string {
  return sha256(lineText(lines.at(-1)) ?? '');
}

function header(lines: readonly RecordLine[]): Html {
  const [opened] = ofKind(lines, 'ceremony.opened');
  const closed = ofKind(lines, 'ceremony.closed').at(-1);
  const done = closed === lines.at(-1) ? closed : undefined;
  const result =
    done === undefined
      ? markup`<span class="bad">NOT CLOSED: this ceremony goes on, or was broken off</span>`
      : markup`<span class="${done.result === 'complete' ? 'good' : 'bad'}">${done.result}</span>`;
  return facts([
    ['result', result],
    ['id', code(opened?.id)],
    ['kind', opened?.kind],
    ['mode', opened?.mode === 'REHEARSAL' ? 'REHEARSAL' : 'production'],
    ['cluster', opened?.cluster],
    [
      'shares, threshold',
      opened?.shares === undefined ? undefined : `${opened.shares.toString()}, ${shownNumber(opened.threshold)}`,
    ],
    ['place', opened?.place],
    ['began (UTC)', opened?.time],
    ['ended (UTC)', done?.time],
    ['script file', opened?.scriptFile],
    ['script', digest(opened?.script)],
    ['configuration', digest(opened?.config)],
    ['quorate', opened && markup`${opened.quorate.version}, build ${code(opened.quorate.build)}`],
    ['ceremony before', opened?.previousId],
    ['its record', digest(opened?.previous)],
  ]);
}

function exceptions(lines: readonly RecordLine[]): Html {
  const found = ofKind(lines, 'exception', 'error');
  const accepted = ofKind(lines, 'check').filter((check) => !check.ok);
  if (found.length + accepted.length === 0) return markup`<p class="good">None was recorded.</p> `;
  return markup`${accepted.map(
    (check) =>
      markup`<div class="exception">
        <strong>Check ${check.code} failed: ${check.finding}</strong> ${facts([
          ['UTC', check.time],
          ['accepted', check.accepted ?? 'no'],
        ])}
      </div> `,
  )}${found.map((line) =>
    line.event === 'error'
      ? markup`<div class="exception">
          <strong>Error ${line.code}: ${line.message}</strong> ${facts([
            ['UTC', line.time],
            ['step', line.step],
          ])}
        </div> `
      : markup`<div class="exception">
          <strong>${line.happened}</strong> ${facts([
            ['UTC', line.time],
            ['step', line.step ?? 'before or between the steps'],
            ['expected', line.expected],
            ['decision', line.decision],
            ['decided by', line.by],
            ['event', line.seq],
          ])}
        </div> `,
  )}`;
}

function steps(lines: readonly RecordLine[]): Html | undefined {
  const told = lines.filter((line) => !TABLED.has(line.event));
  if (told.length === 0) return undefined;
  const parts: Html[] = [];
  let items: Html[] = [];
  const flush = (): void => {
    if (items.length > 0)
      parts.push(
        markup`<ul class="events">
          ${items}
        </ul> `,
      );
    items = [];
  };
  let day = lines[0]?.time.slice(0, 10) ?? '';
  for (const line of told) {
    if (line.time.slice(0, 10) !== day) {
      day = line.time.slice(0, 10);
      items.push(markup`<li><strong>${day}</strong></li> `);
    }
    switch (line.event) {
      case 'step.started': {
        flush();
        // A step that was interrupted starts again later, and only that one is done.
        const next = told.find(
          (other) =>
            other.seq > line.seq &&
            (other.event === 'step.done' || other.event === 'step.started') &&
            other.step === line.step,
        );
        const end = next?.event === 'step.done' ? next : undefined;
        const times = `${clock(line.time)} to ${end === undefined ? 'NOT FINISHED' : clock(end.time)}`;
        parts.push(
          markup`<h3>${line.step}. ${line.title}</h3>
            <p class="soft">${line.who} · ${times} · ${line.id}</p> `,
        );
        break;
      }
      case 'step.done':
        break;
      case 'step.skipped':
        flush();
        parts.push(
          markup`<h3>${line.step}. ${line.title}</h3>
            <p>Skipped at ${clock(line.time)}: ${line.reason} <span class="soft">${line.id}</span></p> `,
        );
        break;
      default:
        items.push(eventItem(line));
    }
  }
  flush();
  return markup`${parts}`;
}

function head(lines: readonly RecordLine[]): Html {
  const value = headOf(lines);
  return markup`<p>
      This hash stands for every event above. One reads the words aloud, another compares them with their own copy.
    </p>
    <div class="head">
      ${code(value)}
      <ol class="words">
        ${digestWords(value).map((word) => markup`<li>${word}</li> `)}
      </ol>
    </div> `;
}

function signatures(lines: readonly RecordLine[], extras: ReportExtras): Html {
  const found = new Map((extras.signers ?? []).map((signer) => [signer.name, signer]));
  const rows = participants(lines).map(({ name, roles }) => {
    const signer = found.get(name);
    const state =
      signer &&
      markup`<span class="${signer.signature === 'signed' ? 'good' : 'bad'}">${signer.signature}</span>
        ${signer.reason ?? ''} ${code(signer.key)}`;
    return [
      markup`${name}<br /><span class="soft">${roles.join(', ')} · ${signerName(name)}.sig</span>`,
      state,
      markup`<span class="box"></span> I agree<br /><span class="box"></span> I do not agree`,
      '\u00a0',
    ];
  });
  return markup`<p>I was present. The script was followed, except as noted above. This is a true record.</p>
    <p class="soft">
      On paper here, and with an SSH key over record.jsonl: <code>quorate ceremony sign</code>, or CHECK.txt without
      quorate.
    </p>
    <div class="sign">
      ${table(['name', 'SSH signature, when this page was made', 'statement', 'date and signature'], rows)}
    </div> `;
}
