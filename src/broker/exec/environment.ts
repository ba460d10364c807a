/** The logins of `bao` and `vault`: the job gets a database login in their place. */
const TOKENS = /^(?:BAO|VAULT)_(?:TOKEN|WRAPPED_.*|SECRET_ID|.*_PASSWORD)$/;
const KEPT = 'QUORATE_KEPT_';

/**
 * The job's environment: quorate's own, without the Vault token and what `login` names, by which quorate logged in
 * (unless the user wants them there), with the variables back that the launcher kept aside, and with the credential's.
 */
export function jobEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  variables: ReadonlyMap<string, string>,
  { keepToken, login }: { readonly keepToken: boolean; readonly login?: string | undefined },
): Readonly<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || name.startsWith(KEPT) || (!keepToken && (name === login || TOKENS.test(name)))) continue;
    result[name] = value;
  }
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && name.startsWith(KEPT)) result[name.slice(KEPT.length)] = value;
  }
  for (const [name, value] of variables) result[name] = value;
  return result;
}
