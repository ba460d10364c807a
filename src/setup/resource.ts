/** Something that a setup wants to be on the server. */
export interface Resource {
  /** An API path without `/v1/`, which is written by POST and read by GET. */
  readonly path: string;
  readonly data: Readonly<Record<string, unknown>>;
  /**
   * `mount`: made when it is not there, and afterwards only compared. `foreign`: somebody else's to make, and compared.
   * `connection`: a database connection, which is written with the admin's password.
   */
  readonly kind: 'mount' | 'foreign' | 'connection' | 'plain';
}

/** A rule of a policy: a path, and what may be done there. */
export type PolicyRule = readonly [path: string, ...capabilities: readonly string[]];

/** The text of a policy. Paths and capabilities are ours, and need no escaping. */
export function policyText(rules: readonly PolicyRule[]): string {
  return rules
    .map(([path, ...capabilities]) => {
      const list = capabilities.map((one) => `"${one}"`).join(', ');
      return `path "${path}" {\n  capabilities = [${list}]\n}\n`;
    })
    .join('');
}
