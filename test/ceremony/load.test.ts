import { describe, expect, it } from 'vitest';
import { exampleKeys, loadScript } from '../../src/ceremony/load.ts';
import { readTemplate } from '../../src/templates.ts';

describe('exampleKeys', () => {
  it.each(['init', 'rotate-root-key', 'rotate-recovery-key', 'migrate-seal'])(
    'names everybody whose SSH key is still that of the template %s',
    async (kind) => {
      const { text, file } = await readTemplate(kind);
      const named = text.match(/SHA256:A{40}/g) ?? [];
      const [finding, ...more] = exampleKeys((await loadScript(text, file)).script);
      expect(more).toEqual([]);
      expect(finding).toMatchObject({ code: 'ssh-key', ok: false });
      expect(finding?.finding.split(',')).toHaveLength(named.length);

      const mended = text.replaceAll(/SHA256:A{42}/g, `SHA256:${'bC3'.repeat(14)}`);
      expect(exampleKeys((await loadScript(mended, file)).script)).toEqual([]);
    },
  );
});
