/** Where the records of idempotency keys are, and what encrypts them. The same for all mounts of a server. */
export const IDEMPOTENCY = { kv: 'quorate-db', transit: 'quorate-transit' } as const;
