// Run as a process of its own by the contract tests: calls of every kind, good and failing, in whatever environment
// the test gives. It prints the codes of what failed, and every error as Node would show it.
import { inspect } from 'node:util';
import { text } from 'node:stream/consumers';
import type * as client from './subject.ts';

const { subject, address, refused, token, share } = JSON.parse(await text(process.stdin)) as Record<string, string>;
const { connectPeer, Secret } = (await import(subject ?? '')) as typeof client;
const codes: string[] = [];

for (const at of [address ?? '', refused ?? '']) {
  const peer = connectPeer({ name: 'peer', address: at, timeout: 3000 });
  const session = peer.session(Secret.fromText(token ?? ''));
  const body = { key: Secret.fromText(share ?? '') };
  const calls = [
    () => peer.sealStatus(),
    () => peer.unseal(body.key),
    () => session.read('kv/a'),
    () => session.write('kv/a', body),
    () => session.request('PATCH', 'kv/a', body),
    () => session.list('kv'),
    () => session.delete('kv/a'),
  ];
  for (const call of calls) {
    try {
      await call();
      codes.push('ok');
    } catch (error) {
      codes.push((error as { code: string }).code);
      console.error(inspect(error, { depth: Infinity, showHidden: true }), JSON.stringify(error));
    }
  }
  console.error(inspect([peer, session, body], { depth: Infinity, showHidden: true }));
  peer.close();
}
console.log(JSON.stringify(codes));
