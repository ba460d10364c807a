import type { Credential } from '../../broker/lease.ts';
import type { Context } from '../../context.ts';
import type { DatabaseTarget } from '../../database/database.ts';
import { Secret } from '../../secret.ts';

/**
 * Tells GitHub's runner, which reads standard output, to strike a credential out of the log: before anything else is
 * written. @throws QuorateError `file-invalid`.
 */
export async function maskInLog(
  context: Context,
  credential: Credential,
  target: DatabaseTarget | undefined,
): Promise<void> {
  const [{ githubMasks }, { encode, fieldsOf, urlOf }] = await Promise.all([
    import('../../broker/output/formats.ts'),
    import('../../broker/output/fields.ts'),
  ]);
  const fields = fieldsOf(credential, target);
  const forms = [fields.password, encode(fields.password), ...(target === undefined ? [] : [urlOf(fields, target)])];
  const lines = Secret.fromText(githubMasks(forms));
  try {
    await (await context.secretOutput(1, { terminal: true })).write(lines);
  } finally {
    lines.wipe();
  }
}
