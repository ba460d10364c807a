import { type HclEntry, type HclObject, type HclValue, isObject, parseHcl } from '../../hcl.ts';
import { QuorateError } from '../../errors.ts';

/** What a rule allows, as bits: a rule of several policies for one path is the union of theirs. */
export const CAN = {
  deny: 1,
  create: 2,
  read: 4,
  update: 8,
  delete: 16,
  list: 32,
  sudo: 64,
  patch: 128,
  scan: 256,
} as const;

export type Capability = keyof typeof CAN;

/** Values by parameter's name in lower case; an empty list means any value. */
export type Parameters = ReadonlyMap<string, readonly unknown[]>;

export interface PolicyRule {
  /** As it is written, without a slash at its start; templates are not filled in. */
  readonly path: string;
  /** `CAN` bits; `deny` stands alone. */
  readonly bits: number;
  readonly line: number | undefined;
  /** After this time (milliseconds) the rule is not there. */
  readonly expires?: number;
  readonly allowed?: Parameters;
  readonly denied?: Parameters;
  readonly required?: readonly string[];
}

const OLD_WORDS: Readonly<Record<string, readonly Capability[]>> = {
  deny: ['deny'],
  read: ['read', 'list'],
  write: ['create', 'read', 'update', 'delete', 'list'],
  sudo: ['create', 'read', 'update', 'delete', 'list', 'sudo'],
};

const KEYS = new Set([
  'comment',
  'policy',
  'capabilities',
  'allowed_parameters',
  'denied_parameters',
  'required_parameters',
  'min_wrapping_ttl',
  'max_wrapping_ttl',
  'mfa_methods',
  'pagination_limit',
  'expiration',
  'list_scan_response_keys_filter_path',
  'control_group',
]);

/**
 * Reads the text of an ACL policy, HCL or JSON, by the rules of OpenBao 2.7 (internal/vault/policy/policy.go). What
 * makes access harder without refusing it (wrapping times, second factors, approvals, page sizes) is left aside.
 * @param name for messages.
 * @throws QuorateError `document-invalid` for what the server would not have taken, and for what this does not know.
 */
export function parsePolicy(text: string, name: string): readonly PolicyRule[] {
  const rules: PolicyRule[] = [];
  for (const entry of parseHcl(text, name).entries) {
    const [key = '', ...labels] = entry.keys;
    if (key === 'name') continue;
    if (key !== 'path') throw invalid(name, `${key} has no place in a policy`, entry.line);
    rules.push(...rulesBelow(name, labels, entry.value, entry.line));
  }
  return rules;
}

/** `path "x" { ... }`, and in JSON also maps and lists of them. */
function rulesBelow(
  name: string,
  labels: readonly string[],
  value: HclValue,
  line: number | undefined,
): readonly PolicyRule[] {
  if (Array.isArray(value)) return (value as readonly HclValue[]).flatMap((one) => rulesBelow(name, labels, one, line));
  if (!isObject(value) || labels.length > 1) throw invalid(name, 'a path has one name and a block', line);
  const [path] = labels;
  if (path !== undefined) return [readRule(name, path, value, line)];
  return value.entries.flatMap((entry) => rulesBelow(name, entry.keys, entry.value, entry.line ?? line));
}

function readRule(name: string, path: string, body: HclObject, line: number | undefined): PolicyRule {
  const unknown = body.entries.find(({ keys }) => !KEYS.has(keys[0] ?? ''));
  if (unknown !== undefined) throw invalid(name, `${unknown.keys.join(' ')} has no place in a rule`, unknown.line);
  if (path.includes('+*')) throw invalid(name, '+* has no place in a path', line);
  const words = [
    ...body.entries.filter(({ keys }) => keys[0] === 'policy').flatMap(({ value }) => oldWords(name, value, line)),
    ...body.entries.filter(({ keys }) => keys[0] === 'capabilities').flatMap((entry) => texts(name, entry)),
  ];
  let bits = 0;
  for (const word of words) {
    const bit = Object.hasOwn(CAN, word) ? CAN[word as Capability] : undefined;
    if (bit === undefined) throw invalid(name, 'a capability is not known', line);
    if (bit === CAN.deny) {
      bits = bit;
      break;
    }
    bits |= bit;
  }
  const denies = bits === CAN.deny;
  const [allowed, denied] = denies
    ? []
    : ['allowed_parameters', 'denied_parameters'].map((key) => maps(name, body, key));
  const required = denies
    ? []
    : body.entries.filter(({ keys }) => keys[0] === 'required_parameters').flatMap((entry) => texts(name, entry));
  const expires = expiration(name, body);
  return {
    path: path.startsWith('/') ? path.slice(1) : path,
    bits,
    line,
    ...(expires === undefined ? {} : { expires }),
    ...(allowed === undefined ? {} : { allowed }),
    ...(denied === undefined ? {} : { denied }),
    ...(required.length === 0 ? {} : { required: required.map((one) => one.toLowerCase()) }),
  };
}

function oldWords(name: string, value: HclValue, line: number | undefined): readonly string[] {
  const words = typeof value === 'string' && Object.hasOwn(OLD_WORDS, value) ? OLD_WORDS[value] : undefined;
  if (words === undefined) throw invalid(name, 'policy is deny, read, write or sudo', line);
  return words;
}

function texts(name: string, { value, line }: HclEntry): readonly string[] {
  const list = Array.isArray(value) ? (value as readonly HclValue[]) : [value];
  return list.map((one) => {
    if (typeof one !== 'string') throw invalid(name, 'this is a list of texts', line);
    return one;
  });
}

/** `allowed_parameters = { "name" = ["a", "b"], "*" = [] }`, also as a block. */
function maps(name: string, body: HclObject, key: string): Parameters | undefined {
  const found = new Map<string, readonly unknown[]>();
  let given = false;
  const take = (value: HclValue, line: number | undefined): void => {
    if (Array.isArray(value)) {
      for (const one of value as readonly HclValue[]) take(one, line);
    } else if (isObject(value)) {
      for (const entry of value.entries) {
        const [parameter = '', ...more] = entry.keys;
        if (more.length > 0) throw invalid(name, 'a parameter has a list of values', entry.line ?? line);
        found.set(
          parameter.toLowerCase(),
          Array.isArray(entry.value) ? (entry.value as readonly HclValue[]) : [entry.value],
        );
      }
    } else throw invalid(name, `${key} is a map`, line);
  };
  for (const entry of body.entries) {
    if (entry.keys[0] !== key) continue;
    given = true;
    take(entry.value, entry.line);
  }
  return given && found.size > 0 ? found : undefined;
}

function expiration(name: string, body: HclObject): number | undefined {
  const entry = body.entries.find(({ keys }) => keys[0] === 'expiration');
  if (entry === undefined || entry.value === '') return undefined;
  const { value } = entry;
  const time = typeof value === 'number' ? value * 1000 : typeof value === 'string' ? Date.parse(value) : NaN;
  if (Number.isNaN(time)) throw invalid(name, 'an expiration is a time such as 2027-01-12T10:00:00Z', entry.line);
  return time;
}

function invalid(name: string, message: string, line: number | undefined): QuorateError {
  const at = line === undefined ? '' : `:${line.toString()}`;
  return new QuorateError('document-invalid', `${name}${at}: ${message}`, {
    faults: [{ message, ...(line === undefined ? {} : { line }) }],
  });
}
