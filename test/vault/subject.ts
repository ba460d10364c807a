// What the tests of the client test: the sources here. The contract tests test what is bundled from them too (subjects.ts).
export { connectPeer } from '../../src/vault/connect.ts';
export { login } from '../../src/vault/login/login.ts';
export { Secret } from '../../src/secret.ts';
