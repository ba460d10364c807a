// What the contract tests test: the sources here, the bundle when these lines name its modules.
export { connectPeer } from '../../src/vault/connect.ts';
export { login } from '../../src/vault/login/login.ts';
export { Secret } from '../../src/secret.ts';
