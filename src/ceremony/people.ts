import type { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { SealStatus } from '../vault/peer.ts';

/** What a person is told while quorate waits for the next share. */
export interface ShareRequest {
  readonly cluster: string;
  readonly needed: number;
  readonly given: number;
  /** How many shares there are in all. */
  readonly shares?: number;
  /** Holders who have given theirs in this ceremony. */
  readonly present: readonly string[];
  readonly peers: readonly { readonly name: string; readonly status: string }[];
  /** Where shares of several generations exist: which is wanted (`the new shares`), and who holds them. */
  readonly wanted?: string;
  readonly holders?: readonly string[];
  /** Where the issued shares of holders lie, for those that are at hand, as in an init. */
  readonly issued?: ReadonlyMap<string, string>;
}

/** A share as text or as it was decrypted, and whose it should be where the person said so. Wiped by the receiver. */
export interface GivenShare {
  readonly text: Secret;
  readonly who?: string;
  /** Where it came from, for messages: `a file`, `the prompt`, `gpg`. */
  readonly how: string;
}

/** That a custodian has read their share, told by the share's fingerprint and never by the share. */
export interface ShareProof {
  readonly x: string;
  readonly salt: string;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
  readonly how: string;
}

export interface IssuedShare {
  readonly holder: string;
  /** The file with the share as the server sent it: encrypted, or in a lab's init in clear. */
  readonly file: string;
  readonly ciphertext: Uint8Array;
  readonly pgpFingerprint?: string;
  /** The only share of a 1 of 1, which has 32 bytes and no x. */
  readonly single: boolean;
  /** x-coordinates that other custodians have proved, and whose they are. */
  readonly taken: ReadonlyMap<string, string>;
}

/**
 * The people in the room, as a ceremony sees them: a terminal, a rehearsal's made-up custodians, or files given
 * to an unattended run. Every method may throw QuorateError `cancelled` or `terminal-needed`.
 */
export interface People {
  say(line: string): void;
  /** Shows that work goes on; `update` changes the text. */
  progress<T>(title: string, work: (update: (text: string) => void) => Promise<T>): Promise<T>;
  /** The next share, or null when nobody is going to give another. */
  nextShare(request: ShareRequest): Promise<GivenShare | null>;
  /** Tells the giver by name why their share was not sent. Throws what it is given where nobody can try again. */
  refused(error: QuorateError): Promise<void>;
  /** Has one custodian decrypt their new share and takes the fingerprint. */
  prove(share: IssuedShare): Promise<ShareProof>;
  /** Decrypts a message to the administrator (the root token). */
  decrypt(what: string, message: Uint8Array, pgpFingerprint: string | undefined): Promise<Secret>;
  /** A new password, asked twice. */
  newPassword(question: string): Promise<Secret>;
  password(question: string): Promise<Secret>;
  /** A step that only people can do: text read aloud, and fields to write down. */
  act(step: { readonly say: string; readonly fields: readonly string[] }): Promise<Readonly<Record<string, string>>>;
  /** Asks for a typed confirmation of something that deviates from the plan; true when it was given. */
  acceptException(question: string, typed: string): Promise<boolean>;
  /** Shares were given by somebody else before: go on with them, or start from zero. */
  foreignProgress(peer: string, status: SealStatus): Promise<'go on' | 'reset'>;
}
