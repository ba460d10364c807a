import { showDuration } from '../../duration.ts';
import { fault, type Finding, ok, warning } from '../../finding.ts';
import type { ListedLease } from '../leases.ts';

/** A role as the server has it, as far as a look at it goes. Times in seconds; 0 stands for the mount's own. */
export interface RoleTimes {
  readonly defaultTtl: number;
  readonly maxTtl: number;
}

/** Whether a job of `jobLength` seconds and the role's times fit each other. */
export function judgeTimes({ defaultTtl, maxTtl }: RoleTimes, jobLength: number | undefined): readonly Finding[] {
  const shown = `${showDuration(defaultTtl)}, at most ${showDuration(maxTtl)}`;
  if (defaultTtl === 0 || maxTtl === 0) {
    return [
      warning(
        'ttl',
        'the role has no times of its own: those of the mount count, 32 days where nobody has set them',
        'Set ttl and max-ttl in the setup of the role.',
      ),
    ];
  }
  if (jobLength === undefined) return [ok('ttl', `${shown}; --job-length tells whether that fits a job`)];
  const job = showDuration(jobLength);
  const findings: Finding[] = [];
  if (defaultTtl > jobLength) {
    findings.push(
      warning(
        'ttl',
        `a credential lives for ${showDuration(defaultTtl)}, and a job takes ${job}: what a lost job leaves outlives it`,
        'Set a shorter ttl: quorate db exec renews at half of it for as long as the job runs.',
      ),
    );
  }
  if (maxTtl < jobLength) {
    findings.push(
      fault(
        'max-ttl',
        `no credential lives longer than ${showDuration(maxTtl)}, and a job takes ${job}: it will be cut off`,
        'Set a longer max-ttl, or split the job.',
      ),
    );
  }
  return findings.length === 0 ? [ok('ttl', `${shown}: that fits a job of ${job}`)] : findings;
}

/** About so many leases a second does a server revoke (measured with PostgreSQL on two cores, OpenBao 2.7.2). */
const REVOKED_PER_SECOND = 9;
const WINDOW = 60;

/** Leases of the mount that the server does not get revoked, or will not in time. */
export function judgeLeases(leases: readonly ListedLease[]): readonly Finding[] {
  const findings: Finding[] = [];
  const stuck = leases.filter((one) => one.stuck);
  const [first] = stuck;
  if (first !== undefined) {
    const longest = showDuration(Math.max(...stuck.map(({ ttl }) => -ttl)));
    findings.push(
      fault(
        'lease',
        `${stuck.length.toString()} leases are over and not revoked, for up to ${longest} (such as ${first.id})`,
        'Is their database up, and does the role revoke what its users own? quorate db revoke LEASE says why it fails. Leases of a database that is gone for good: bao lease revoke -force -prefix, and then drop its users, if it comes back.',
      ),
    );
  }
  const ends = leases
    .filter((one) => !one.stuck)
    .map(({ ttl }) => ttl)
    .sort((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < ends.length; to += 1) {
    while ((ends[to] ?? 0) - (ends[from] ?? 0) > WINDOW) from += 1;
    most = Math.max(most, to - from + 1);
  }
  if (most > REVOKED_PER_SECOND * WINDOW) {
    findings.push(
      warning(
        'revocation-rate',
        `${most.toString()} leases end within one minute, and a server revokes about ${REVOKED_PER_SECOND.toString()} a second: logins will outlive their leases`,
        'Have jobs revoke their own (quorate db exec does), ask for fewer credentials, or spread them by a longer ttl.',
      ),
    );
  }
  if (findings.length === 0)
    findings.push(ok('lease', `${leases.length.toString()} alive on this mount, none is overdue`));
  return findings;
}
