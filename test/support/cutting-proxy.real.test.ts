import { describe, expect, it } from 'vitest';
import { callPeer, freshCluster } from './cluster.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import { call } from './http.ts';

const INIT = { body: { secret_shares: 3, secret_threshold: 2 } };

describe('the cutting proxy', () => {
  it('passes requests on, under the peer’s certificate, until a rule says otherwise', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const proxy = await startCuttingProxy(cluster);
    const reply = await call(proxy, 'GET', 'sys/seal-status');
    expect(reply).toMatchObject({ status: 200, body: { initialized: false } });
    expect(proxy.requests).toEqual(['GET sys/seal-status']);

    const before = proxy.cut({ path: 'sys/init', method: 'PUT', fault: { kind: 'before-request' } });
    await expect(call(proxy, 'PUT', 'sys/init', INIT)).rejects.toThrow('socket hang up');
    await before;
    expect((await callPeer(cluster, 0, 'GET', 'sys/init')).body).toEqual({ initialized: false });

    const after = proxy.cut({ path: 'sys/init', method: 'PUT', fault: { kind: 'before-reply' } });
    await expect(call(proxy, 'PUT', 'sys/init', INIT)).rejects.toThrow('socket hang up');
    await after;
    expect((await call(proxy, 'GET', 'sys/init')).body).toEqual({ initialized: true });
    await cluster.remove();
  });

  it('cuts within a reply, delays, freezes, skips and stops after its times', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const proxy = await startCuttingProxy(cluster);
    void proxy.cut({ path: /^sys\//, fault: { kind: 'within-reply', bytes: 10 }, skip: 1 });
    expect((await call(proxy, 'GET', 'sys/init')).status).toBe(200);
    await expect(call(proxy, 'GET', 'sys/init')).rejects.toThrow('aborted');
    expect((await call(proxy, 'GET', 'sys/init')).status).toBe(200);

    void proxy.cut({ path: 'sys/init', fault: { kind: 'delay', milliseconds: 300 } });
    const start = performance.now();
    expect((await call(proxy, 'GET', 'sys/init')).status).toBe(200);
    expect(performance.now() - start).toBeGreaterThan(290);

    const frozen = proxy.cut({ path: 'sys/init', fault: { kind: 'freeze' } });
    const waiting = call(proxy, 'GET', 'sys/init');
    await frozen;
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 200, 'waits'))])).toBe('waits');
    const failed = expect(waiting).rejects.toThrow();
    await proxy.close();
    await failed;
    await cluster.remove();
  });
});
