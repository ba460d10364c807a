import fc from 'fast-check';

const SEGMENTS = ['a', 'b', 'ab', 'abc', '+', '+', 'a+', '+a', 'é', 'data', ''];
const NAMES = ['a', 'b', 'ab', 'abc', 'abd', 'c', '+', 'a+', '+a', 'é', 'data'];
const WORDS = ['create', 'read', 'update', 'delete', 'list', 'sudo', 'patch', 'scan'];

/** Paths of rules, with every kind of wildcard in every place; none that the server refuses. */
const rulePath = fc
  .tuple(
    fc.array(fc.constantFrom(...SEGMENTS), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', '', '*', '/', '/*'),
  )
  .map(([segments, end]) => segments.join('/').replace(/\/{2,}/g, '/') + end)
  .filter((path) => path !== '' && path !== '/' && !path.includes('+*'));

const capabilities = fc.oneof(
  { weight: 4, arbitrary: fc.uniqueArray(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constant(['deny']) },
  { weight: 1, arbitrary: fc.constant(['read', 'deny']) },
);

/** The text of a policy. */
export const policy = fc
  .array(fc.tuple(rulePath, capabilities), { minLength: 1, maxLength: 6 })
  .map((rules) =>
    rules.map(([path, words]) => `path "${path}" { capabilities = ${JSON.stringify(words)} }`).join('\n'),
  );

/** Paths of requests. */
export const requestPath = fc
  .tuple(fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }), fc.constantFrom('', '', '/'))
  .map(([segments, end]) => segments.join('/') + end);
