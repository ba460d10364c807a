import { expect, it } from 'vitest';
import { scramVerifier } from '../../../src/broker/root/second-admin.ts';
import { Secret } from '../../../src/secret.ts';

it('writes a SCRAM verifier as PostgreSQL stores it', () => {
  // The example of RFC 7677, section 3.
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
  expect(scramVerifier(Secret.fromText('pencil'), salt)).toBe(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  );
});
