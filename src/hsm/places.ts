/** Where the installers of HSM clients put their PKCS#11 library on Linux, by the vendors' documentation. */
const PLACES: readonly (readonly [string, readonly string[]])[] = [
  ['Thales Luna', ['/usr/safenet/lunaclient/lib/libCryptoki2_64.so']],
  ['Thales ProtectServer', ['/opt/safenet/protecttoolkit5/ptk/lib/libcryptoki.so']],
  ['Entrust nShield', ['/opt/nfast/toolkits/pkcs11/libcknfast.so']],
  ['Utimaco', ['/opt/utimaco/lib/libcs_pkcs11_R3.so', '/usr/lib/libcs_pkcs11_R3.so', '/usr/lib64/libcs_pkcs11_R3.so']],
  ['AWS CloudHSM', ['/opt/cloudhsm/lib/libcloudhsm_pkcs11.so']],
  ['Securosys Primus', ['/usr/local/primus/lib/libprimusP11.so']],
  ['Fortanix', ['/opt/fortanix/pkcs11/fortanix_pkcs11.so']],
  ['IBM openCryptoki', ['/usr/lib64/opencryptoki/libopencryptoki.so', '/usr/lib/opencryptoki/libopencryptoki.so']],
  ['Yubico YubiHSM 2', ['/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so', '/usr/lib64/pkcs11/yubihsm_pkcs11.so']],
  ['Nitrokey NetHSM', ['/usr/lib/nethsm/libnethsm_pkcs11.so', '/usr/local/lib/nethsm/libnethsm_pkcs11.so']],
  ['TPM 2.0', ['/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so', '/usr/lib64/pkcs11/libtpm2_pkcs11.so']],
  ['OpenSC smart cards', ['/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so', '/usr/lib64/opensc-pkcs11.so']],
  ['Kryoptic', ['/usr/lib64/pkcs11/libkryoptic_pkcs11.so']],
  [
    'SoftHSM',
    ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so'],
  ],
];

/** A PKCS#11 library in its usual place. */
export interface FoundLibrary {
  readonly vendor: string;
  readonly path: string;
}

/** The libraries that are in their vendors' usual places. @param exists whether a file is there. */
export function librariesHere(exists: (path: string) => boolean): FoundLibrary[] {
  return PLACES.flatMap(([vendor, paths]) => paths.filter(exists).map((path) => ({ vendor, path })));
}
