import * as v from 'valibot';

/** A network as an address and the length of its prefix: `10.20.0.0/16`, `fd00::/8`. */
export const cidr = v.pipe(
  v.string(),
  v.regex(
    /^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}\/(?:[12]?[0-9]|3[0-2])|[0-9A-Fa-f:]{2,39}\/(?:1[01][0-9]|12[0-8]|[0-9]{1,2}))$/,
    'a network such as 10.20.0.0/16',
  ),
);
