import type { GenericSchema } from 'valibot';
import { QuorateError } from '../errors.ts';
import type { Kind } from './kind.ts';
import type { CommonScript } from './script.ts';

interface KindEntry {
  readonly summary: string;
  readonly load: () => Promise<{ readonly kind: Kind; readonly schema: GenericSchema<unknown, CommonScript> }>;
}

/** Every kind of ceremony, loaded only when it is used. A kind checked its own script, so `Kind` is safe to widen. */
const KINDS = {
  'init': {
    summary: 'initialise a new cluster; every custodian proves that they can read their share',
    load: async () => {
      const [{ init }, { initScript }] = await Promise.all([
        import('./kinds/init.ts'),
        import('./kinds/init/script.ts'),
      ]);
      return { kind: init as unknown as Kind, schema: initScript };
    },
  },
  'unseal': {
    summary: 'give shares to every sealed peer, each checked before it is sent',
    load: async () => {
      const { unseal, unsealScript } = await import('./kinds/unseal.ts');
      return { kind: unseal as unknown as Kind, schema: unsealScript };
    },
  },
  'drill': {
    summary: 'prove that a set of custodians can open the cluster; changes nothing',
    load: async () => {
      const { drill, drillScript } = await import('./kinds/drill.ts');
      return { kind: drill as unknown as Kind, schema: drillScript };
    },
  },
  'root-token': {
    summary: 'generate a root token by quorum for one reviewed plan, and revoke it',
    load: async () => {
      const { rootToken, rootTokenScript } = await import('./kinds/root-token.ts');
      return { kind: rootToken as unknown as Kind, schema: rootTokenScript };
    },
  },
  'rotate-keyring': {
    summary: 'a new encryption key for what is written from now on; no share changes',
    load: async () => {
      const { rotateKeyring, rotateKeyringScript } = await import('./kinds/rotate-keyring.ts');
      return { kind: rotateKeyring as unknown as Kind, schema: rotateKeyringScript };
    },
  },
  'seal': {
    summary: 'seal every peer, once an unseal quorum is seen to be at hand',
    load: async () => {
      const { seal, sealScript } = await import('./kinds/seal.ts');
      return { kind: seal as unknown as Kind, schema: sealScript };
    },
  },
  'rotate-root-key': {
    summary: 'new unseal shares: n, threshold and custodians may change',
    load: async () => {
      const { rotateRootKey, rotateRootKeyScript } = await import('./kinds/rotate-root-key.ts');
      return { kind: rotateRootKey as unknown as Kind, schema: rotateRootKeyScript };
    },
  },
  'rotate-recovery-key': {
    summary: 'new recovery shares of a cluster that unseals itself',
    load: async () => {
      const { rotateRecoveryKey, rotateRecoveryKeyScript } = await import('./kinds/rotate-recovery-key.ts');
      return { kind: rotateRecoveryKey as unknown as Kind, schema: rotateRecoveryKeyScript };
    },
  },
  'migrate-seal': {
    summary: 'another seal, peer by peer: from shares to an HSM or key service, back, or between these',
    load: async () => {
      const [{ migrateSeal }, { migrateSealScript }] = await Promise.all([
        import('./kinds/migrate-seal.ts'),
        import('./kinds/migrate-seal/script.ts'),
      ]);
      return { kind: migrateSeal as unknown as Kind, schema: migrateSealScript };
    },
  },
  'recover': {
    summary: 'the old shares back from a snapshot, when a rotation tore and all is sealed',
    load: async () => {
      const [{ recover }, { recoverScript }] = await Promise.all([
        import('./kinds/recover.ts'),
        import('./kinds/recover/script.ts'),
      ]);
      return { kind: recover as unknown as Kind, schema: recoverScript };
    },
  },
} as const satisfies Record<string, KindEntry>;

export type KindName = keyof typeof KINDS;

/** The kinds with one line each, for lists and help. */
export function kindSummaries(): readonly { readonly name: KindName; readonly summary: string }[] {
  return (Object.keys(KINDS) as KindName[]).map((name) => ({ name, summary: KINDS[name].summary }));
}

/** @throws QuorateError `usage` for an unknown kind. */
export async function loadKind(name: string): ReturnType<KindEntry['load']> {
  if (!Object.hasOwn(KINDS, name)) {
    throw new QuorateError('usage', `there is no kind of ceremony called ${name}`, {
      hint: `Kinds: ${Object.keys(KINDS).join(', ')}.`,
    });
  }
  return KINDS[name as KindName].load();
}
