import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Fields, PRESETS, urlOf } from '../../../src/broker/output/fields.ts';
import { githubMasks, render, type TextFormat } from '../../../src/broker/output/formats.ts';
import { isQuorateError } from '../../../src/errors.ts';

/** Text as a password policy of the server could make it, and worse. */
const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 24, unit: 'grapheme' }),
  fc.string({
    minLength: 1,
    maxLength: 16,
    unit: fc.constantFrom(...('abc01 \'"`\\$#%:;=&|<>!@/?\n\r\tüß€😀-_{}[]()*~^'.match(/./gsu) ?? [])),
  }),
);
const target = { engine: 'postgresql', host: 'db.example', port: 5432, database: 'app', tls: 'verify-full' } as const;
const fields = fc.record({ username: text, password: text, target: fc.constant(target) });

/** What a reader of the format gets, or undefined where the format said that it cannot hold it. */
function written(format: TextFormat, of: Fields): string | undefined {
  try {
    return render(format, of, PRESETS.plain);
  } catch (error) {
    if (isQuorateError(error, 'usage')) return undefined;
    throw error;
  }
}

function readsBack(format: TextFormat, read: (out: string) => { username?: string; password?: string }): void {
  let refused = 0;
  const runs = 600;
  fc.assert(
    fc.property(fields, (of) => {
      const out = written(format, of);
      if (out === undefined) {
        refused += 1;
        return;
      }
      expect(read(out)).toEqual({ username: of.username, password: of.password });
    }),
    { numRuns: runs },
  );
  // Refusing everything would pass as well.
  expect(refused).toBeLessThan(runs * 0.9);
}

describe('each format, read back', () => {
  it('env, as a shell takes single quotes', () => {
    readsBack('env', (out) => {
      const found: Record<string, string> = {};
      for (const [, name = '', value = ''] of out.matchAll(/export (\w+)=((?:'[^']*'|\\')+)\n/g)) {
        found[name] = value.replaceAll(
          /'([^']*)'|\\(')/g,
          (_all, inside: string | undefined, quote: string) => inside ?? quote,
        );
      }
      return { username: found['DB_USERNAME'] ?? '', password: found['DB_PASSWORD'] ?? '' };
    });
  });

  it('dotenv, by Node', () => {
    readsBack('dotenv', (out) => {
      const found = parseEnv(out);
      return { username: found['DB_USERNAME'] ?? '', password: found['DB_PASSWORD'] ?? '' };
    });
  });

  it("gitlab, by its dotenv report's rules", () => {
    readsBack('gitlab', (out) => {
      const found = Object.fromEntries(
        out
          .trimEnd()
          .split('\n')
          .map((line) => {
            const at = line.indexOf('=');
            return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
          }),
      );
      return { username: found['DB_USERNAME'] ?? '', password: found['DB_PASSWORD'] ?? '' };
    });
  });

  it("github, by the runner's rules", () => {
    readsBack('github', (out) => {
      const found: Record<string, string> = {};
      const lines = out.split(/\n/);
      for (let at = 0; at < lines.length - 1; at += 1) {
        const [, name = '', mark = ''] = /^(\w+)<<(.+)$/.exec(lines[at] ?? '') ?? [];
        const end = lines.indexOf(mark, at + 1);
        found[name] = lines.slice(at + 1, end).join('\n');
        at = end;
      }
      return { username: found['DB_USERNAME'] ?? '', password: found['DB_PASSWORD'] ?? '' };
    });
  });

  it('url, by WHATWG and by RFC 3986', () => {
    readsBack('url', (out) => {
      const url = new URL(out.trimEnd());
      expect([url.hostname, url.port, url.pathname, url.search]).toEqual([
        'db.example',
        '5432',
        '/app',
        '?sslmode=verify-full',
      ]);
      return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
    });
  });

  it('pgpass, as libpq splits it', () => {
    readsBack('pgpass', (out) => {
      const parts = [...out.replace(/\n$/, '').matchAll(/((?:\\[\s\S]|[^\\:])*)(?::|$)/g)].map(([, part = '']) =>
        part.replaceAll(/\\([\s\S])/g, '$1'),
      );
      return { username: parts[3] ?? '', password: parts[4] ?? '' };
    });
  });

  it('pg-service, as libpq reads lines', () => {
    readsBack('pg-service', (out) => {
      const found = Object.fromEntries(
        out.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).trimEnd()]),
      );
      return { username: found['user'] ?? '', password: found['password'] ?? '' };
    });
  });

  it('my.cnf, as the clients take escapes', () => {
    readsBack('my.cnf', (out) => {
      const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', s: ' ' };
      const value = (name: string): string =>
        (new RegExp(`^${name}="([^\\n]*)"$`, 'm').exec(out)?.[1] ?? '').replaceAll(
          /\\(.)/gs,
          (_all, one: string) => escapes[one] ?? one,
        );
      return { username: value('user'), password: value('password') };
    });
  });
});

describe('masks', () => {
  it('cover every line of every secret that is written', () => {
    fc.assert(
      fc.property(text, (password) => {
        const of = { username: 'u', password, target };
        const masks = githubMasks([password, urlOf(of, target)])
          .trimEnd()
          .split('\n')
          .map((line) => /^::add-mask::(.*)$/s.exec(line)?.[1] ?? 'no mask')
          .map((one) => one.replaceAll('%0A', '\n').replaceAll('%0D', '\r').replaceAll('%25', '%'));
        for (const line of password.split(/[\r\n]+/)) if (line.trim() !== '') expect(masks).toContain(line);
        expect(masks).toContain(urlOf(of, target));
      }),
    );
  });
});
