import { describe, expect, it } from 'vitest';
import type { RecordEvent, RecordLine } from '../../../src/ceremony/record/events.ts';
import { ghostsOf, noneLeft } from '../../../src/ceremony/root-generation/ghosts.ts';

const started = (peer: string, nonce: string): RecordEvent => ({
  event: 'request',
  peer,
  request: 'PUT sys/generate-root-token/attempt',
  expected: { started: true },
  actual: { started: true, nonce, required: 2 },
});
const noted = (text: string): RecordEvent => ({ event: 'note', text });
const revoked: RecordEvent = { event: 'token.revoked', accessor: 'a', proof: 'a test' };

const ghosts = (...events: readonly RecordEvent[]): readonly string[] =>
  ghostsOf(events as unknown as readonly RecordLine[]).map(({ peer, nonce }) => `${peer} ${nonce}`);

describe('attempts that a peer may still hold', () => {
  it('are those whose end was not seen there', () => {
    expect(ghosts()).toEqual([]);
    expect(ghosts(started('peer-1', 'one'))).toEqual(['peer-1 one']);
    expect(ghosts(started('peer-1', 'one'), noted(noneLeft('peer-1', 'one')))).toEqual([]);
    expect(ghosts(started('peer-1', 'one'), started('peer-2', 'two'), revoked)).toEqual(['peer-1 one']);
  });

  it('do not end by what another peer says', () => {
    expect(ghosts(started('peer-1', 'one'), noted(noneLeft('peer-2', 'one')))).toEqual(['peer-1 one']);
    expect(ghosts(started('peer-1', 'one'), noted(noneLeft('peer-1', 'two')))).toEqual(['peer-1 one']);
  });

  it('are none where none was started', () => {
    const refused: RecordEvent = { ...started('peer-1', 'one'), actual: { started: false, nonce: '' } } as RecordEvent;
    expect(ghosts(refused)).toEqual([]);
    expect(ghosts({ ...started('peer-1', 'one'), request: 'PUT sys/rotate/root/init' } as RecordEvent)).toEqual([]);
  });
});
