/** How to log in. The shape is the one of `auth` in `quorate.yaml`, with absolute paths. */
export type AuthSettings =
  | { readonly method: 'token' }
  | { readonly method: 'token-file'; readonly file: string }
  | {
      readonly 'method': 'approle';
      readonly 'mount': string;
      readonly 'role-id': string;
      readonly 'secret-id-file': string;
    }
  | {
      readonly 'method': 'userpass';
      readonly 'mount': string;
      readonly 'username': string;
      readonly 'password-file'?: string | undefined;
    };
