/** HTML that is safe to put into a page as it is. Only this file makes it out of text. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Html | string | number | boolean | null | undefined | readonly Content[];

/**
 * A template whose parts are markup and whose values are escaped, unless they are `Html` themselves. A list is joined;
 * undefined and null are nothing. The indentation of the template is left out.
 */
export function markup(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  const tidy = parts.map((part) => part.replaceAll(/\n\s+/g, '\n').replace(/> $/, '>\n'));
  return new Html(tidy.reduce((page, part, index) => page + render(values[index - 1]) + part));
}

function render(value: Content): string {
  if (value === undefined || value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map((each) => render(each)).join('');
  return escape(value.toString());
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Also shows what would reorder or hide text on the page (bidirectional and invisible characters) as its number. */
function escape(text: string): string {
  return text
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) => `[U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}]`);
}

/** Text in the type that digests and requests are read in. */
export function code(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : markup`<code>${text}</code>`;
}

/** A list of names and values; entries without a value are left out. */
export function facts(entries: readonly (readonly [string, Content])[]): Html {
  const known = entries.filter(([, value]) => value !== undefined && value !== '');
  return markup`<dl>
    ${known.map(
      ([name, value]) =>
        markup`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div> `,
    )}
  </dl>`;
}

/** A table, which a narrow screen shows as one block a row. Columns that are empty in every row are left out. */
export function table(columns: readonly string[], rows: readonly (readonly Content[])[]): Html {
  const used = columns.map((_, index) => rows.some((row) => row[index] !== undefined && row[index] !== ''));
  const head = columns.map((column, index) =>
    used[index] === true ? markup`<th scope="col">${column}</th>` : undefined,
  );
  const cell = (value: Content, index: number): Html | undefined =>
    used[index] === true ? markup`<td data-name="${columns[index]}">${value}</td>` : undefined;
  return markup`<table>
    <thead>
      <tr>
        ${head}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          markup`<tr>
            ${columns.map((_, index) => cell(row[index], index))}
          </tr> `,
      )}
    </tbody>
  </table>`;
}

/** A section with a heading, or nothing when there is nothing in it. */
export function section(title: string, content: Html | undefined): Html | undefined {
  return content === undefined
    ? undefined
    : markup`<section>
        <h2>${title}</h2>
        ${content}
      </section> `;
}
