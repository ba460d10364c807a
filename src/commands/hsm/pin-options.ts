/** How the user's PIN of a token is given. */
export const pinOptions = {
  'pin-file': { value: 'FILE', description: "the user's PIN in a file of mode 0600" },
  'pin-fd': { value: 'N', description: 'the PIN from an open file descriptor; 0 is standard input' },
  'pin-credential': { value: 'NAME', description: 'the PIN from a systemd credential of this unit' },
  'last-try': { description: 'try the PIN although one more wrong one locks the token' },
} as const;

/** What `pinOptions` give. */
export interface PinValues {
  readonly 'pin-file'?: string;
  readonly 'pin-fd'?: string | undefined;
  readonly 'pin-credential'?: string;
  readonly 'last-try'?: boolean;
}
