import { QuorateError } from '../errors.ts';
import type { Session } from '../vault/peer.ts';
import { atOnce } from './at-once.ts';
import { Acl, capabilitiesOf, type PlacedRule } from './policy/acl.ts';
import { CAN } from './policy/parse.ts';
import { fillIn, isTemplated } from './policy/template.ts';
import { type Credential, filledRules } from './prove/credential.ts';
import { nameOf, namespaceOf, type PolicyKey, type World } from './prove/world.ts';
import { isAnswer, textOf, textsOf } from './read/values.ts';

/** Questions that were put to one set of policies. */
export interface Question {
  readonly world: World;
  readonly credential: Credential;
  readonly paths: ReadonlySet<string>;
}

export interface Disagreement {
  readonly cluster: string;
  readonly policies: readonly string[];
  readonly path: string;
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
}

export interface Comparison {
  readonly asked: number;
  readonly disagreements: readonly Disagreement[];
}

const LIMIT = 8;
/** Paths in one request. */
const MOST_PATHS = 200;

/**
 * Puts the questions to a server that has nothing else to do, by `sys/capabilities`: the second engine. Policies are
 * loaded with their text as it was exported, in namespaces of their own names; filled in where they have templates.
 * @throws QuorateError `server-error` when the server takes something not that an export has.
 */
export async function compareWithServer(session: Session, questions: readonly Question[]): Promise<Comparison> {
  const loaded = new Map<string, Promise<string>>();
  const namespaces = new Map<string, Promise<void>>();
  const clusters = new Map<World, string>();
  for (const { world } of questions) if (!clusters.has(world)) clusters.set(world, `c${clusters.size.toString()}`);

  const enter = async (path: string): Promise<Session> => {
    const parts = path.split('/').filter((part) => part !== '');
    for (const [index, part] of parts.entries()) {
      const parent = parts.slice(0, index).join('/');
      const own = `${parent}/${part}`;
      const made =
        namespaces.get(own) ?? must(session.inNamespace(parent), `sys/namespaces/${part}`, {}).then(() => undefined);
      namespaces.set(own, made);
      await made;
    }
    return session.inNamespace(parts.join('/'));
  };

  const load = (home: Session, where: string, name: string, text: () => string): Promise<string> => {
    const known = loaded.get(`${where} ${name}`);
    if (known !== undefined) return known;
    const made = must(home, `sys/policies/acl/${name}`, { policy: text() }).then(() => name);
    loaded.set(`${where} ${name}`, made);
    return made;
  };

  const ask = async (question: Question): Promise<Disagreement[]> => {
    const { world, credential } = question;
    const keys = [...new Set([...credential.token, ...credential.identity])].filter((key) => world.policies.has(key));
    const places = new Set(keys.map(namespaceOf));
    // A token has policies of its own namespace only: with those of several it is asked for in the root.
    const place = places.size === 1 ? ([...places][0] ?? '') : '';
    const home = await enter(place);
    const prefix = clusters.get(world) ?? '';
    const names = await Promise.all(
      keys.map((key) => {
        const rendered = namespaceOf(key) !== place || (isTemplate(world, key) && credential.entity !== undefined);
        const who = rendered ? `-${credential.entity?.entity.id ?? 'nobody'}` : '';
        const inner = rendered ? `-${namespaceOf(key).replaceAll('/', '.')}` : '';
        const text = (): string => (rendered ? renderedText(world, key, credential, place) : rawText(world, key));
        return load(home, place, `${prefix}-${nameOf(key)}${inner}${who}`.toLowerCase(), text);
      }),
    );
    if (names.length === 0) return [];
    const made = await must(home, 'auth/token/create', { policies: names, no_default_policy: true, type: 'batch' });
    const auth = isAnswer(made) && isAnswer(made['auth']) ? made['auth'] : {};
    const paths = [...question.paths].filter((path) => path.startsWith(place) && path.length > place.length);
    const acl = new Acl(
      filledRules(world, credential).flatMap(({ rules }) => rules.filter((one) => one !== undefined)),
    );
    const found: Disagreement[] = [];
    for (let from = 0; from < paths.length; from += MOST_PATHS) {
      const some = paths.slice(from, from + MOST_PATHS);
      const body = { token: textOf(auth, 'client_token'), paths: some.map((path) => path.slice(place.length)) };
      const said = await must(home, 'sys/capabilities', body);
      const data = isAnswer(said) && isAnswer(said['data']) ? said['data'] : {};
      for (const path of some) {
        const theirs = textsOf(data, path.slice(place.length)).sort();
        const ours = capabilitiesOf(acl.at(path, true));
        if (theirs.join() === ours.join()) continue;
        found.push({ cluster: world.export.cluster, policies: keys.map(nameOf), path, ours, theirs });
      }
    }
    return found;
  };
  const disagreements = (await atOnce(questions, LIMIT, ask)).flat();
  return { asked: questions.reduce((sum, { paths }) => sum + paths.size, 0), disagreements };
}

async function must(session: Session, path: string, body: object): Promise<unknown> {
  const reply = await session.request('POST', path, body);
  if (reply.status >= 200 && reply.status < 300) return reply.body;
  throw new QuorateError(
    'server-error',
    `the second engine answered ${reply.status.toString()} for ${path}: ${reply.errors.join('; ')}`,
    { hint: 'The exports hold something that this version of the server does not take.' },
  );
}

function isTemplate(world: World, key: PolicyKey): boolean {
  return world.policies.get(key)?.rules.some(({ path }) => isTemplated(path)) === true;
}

function rawText(world: World, key: PolicyKey): string {
  const own = world.namespace(namespaceOf(key));
  return own?.policies.find(({ name }) => name.toLowerCase() === nameOf(key))?.text ?? '';
}

/** The rules as this program understands them, for one holder, seen from `place`. */
function renderedText(world: World, key: PolicyKey, { entity }: Credential, place: string): string {
  const policy = world.policies.get(key);
  const rules = (policy?.rules ?? []).flatMap((rule): PlacedRule[] => {
    const filled = fillIn(rule, entity?.template, policy?.allow ?? { slashes: false, wildcards: false });
    return filled === undefined ? [] : [filled];
  });
  const text = rules.map(({ namespace, path, bits }) => {
    const words = Object.entries(CAN).filter(([, bit]) => (bits & bit) !== 0);
    const full = (namespace + path).slice(place.length);
    return `path ${JSON.stringify(full)} { capabilities = ${JSON.stringify(words.map(([word]) => word))} }`;
  });
  // A policy must not be empty.
  return text.length === 0 ? 'path "nothing" { capabilities = ["deny"] }' : text.join('\n');
}
