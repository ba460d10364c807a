import { readBounded } from '../../files.ts';
import { Secret } from '../../secret.ts';
import type { LoginMethod } from './method.ts';
import { loginAt } from './outcome.ts';

/**
 * With the token of a pod's service account, read anew each time: the kubelet replaces it. Its mode is the kubelet's to
 * choose (0644 unless the pod has an fsGroup), so that it is not looked at.
 * @throws QuorateError as `loginAt` and `understandToken`; `file-missing`, `file-invalid`.
 */
export const withServiceAccount: LoginMethod<'kubernetes'> = async (peer, auth, _surroundings, options) => {
  const { mount, role, file } = auth;
  const jwt = await readToken(file);
  try {
    const { understandToken } = await import('./token-refusal.ts');
    const refused = understandToken({ peer, mount, role, token: jwt, options, reviewed: true });
    return await loginAt(peer, `auth/${mount}/login`, { role, jwt }, options, refused);
  } finally {
    jwt.wipe();
  }
};

async function readToken(file: string): Promise<Secret> {
  const bytes = await readBounded(file, 64 << 10);
  try {
    let end = bytes.length;
    while (end > 0 && (bytes[end - 1] ?? 0) <= 0x20) end -= 1;
    return new Secret(bytes.subarray(0, end));
  } finally {
    bytes.fill(0);
  }
}
