/*
 * SoftHSM with the manners of other tokens, for the tests. SHIM_TARGET is the library behind it; SHIM_MODE:
 *   own-iv      chooses the IV of AES-GCM itself, and writes it over the one that was given
 *   strict-iv   the same, and refuses one that is not all zeros
 *   final-try, locked   says so of the user's PIN
 *   extractable says so of every key, whatever was ordered
 *   no-decrypt  says of every key that it may not
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;
typedef struct { unsigned char major, minor; void *functions[68]; } CK_FUNCTION_LIST;
typedef struct { CK_ULONG mechanism; void *parameter; CK_ULONG length; } CK_MECHANISM;
typedef struct { unsigned char *iv; CK_ULONG iv_length, iv_bits; unsigned char *aad; CK_ULONG aad_length, tag_bits; } GCM;
typedef struct { CK_ULONG type; void *value; CK_ULONG length; } CK_ATTRIBUTE;

enum { GET_TOKEN_INFO = 6, GET_ATTRIBUTE_VALUE = 24, ENCRYPT_INIT = 29, GENERATE_RANDOM = 64 };

static CK_FUNCTION_LIST list, *real;

static int mode(const char *name) {
  const char *is = getenv("SHIM_MODE");
  return is != NULL && strcmp(is, name) == 0;
}

static CK_RV token_info(CK_ULONG slot, unsigned char *info) {
  CK_RV rv = ((CK_RV (*)(CK_ULONG, void *))real->functions[GET_TOKEN_INFO])(slot, info);
  CK_ULONG *flags = (CK_ULONG *)(info + 96);
  if (rv == 0 && mode("final-try")) *flags |= 0x30000;
  if (rv == 0 && mode("locked")) *flags |= 0x40000;
  return rv;
}

static CK_RV attributes(CK_ULONG session, CK_ULONG object, CK_ATTRIBUTE *template, CK_ULONG count) {
  CK_RV rv = ((CK_RV (*)(CK_ULONG, CK_ULONG, CK_ATTRIBUTE *, CK_ULONG))real->functions[GET_ATTRIBUTE_VALUE])(
      session, object, template, count);
  for (CK_ULONG at = 0; rv == 0 && at < count; at++) {
    if (template[at].value == NULL) continue;
    if (mode("extractable") && template[at].type == 0x162) *(unsigned char *)template[at].value = 1;
    if (mode("no-decrypt") && template[at].type == 0x105) *(unsigned char *)template[at].value = 0;
  }
  return rv;
}

static CK_RV encrypt_init(CK_ULONG session, CK_MECHANISM *mechanism, CK_ULONG key) {
  if (mechanism->mechanism == 0x1087 && (mode("own-iv") || mode("strict-iv"))) {
    GCM *gcm = mechanism->parameter;
    for (CK_ULONG at = 0; mode("strict-iv") && at < gcm->iv_length; at++)
      if (gcm->iv[at] != 0) return 0x71;
    CK_RV rv = ((CK_RV (*)(CK_ULONG, unsigned char *, CK_ULONG))real->functions[GENERATE_RANDOM])(
        session, gcm->iv, gcm->iv_length);
    if (rv != 0) return rv;
    gcm->iv[0] = 0xee;
  }
  return ((CK_RV (*)(CK_ULONG, CK_MECHANISM *, CK_ULONG))real->functions[ENCRYPT_INIT])(session, mechanism, key);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
  void *library = dlopen(getenv("SHIM_TARGET"), RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return 5;
  CK_RV rv = ((CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList"))(&real);
  if (rv != 0) return rv;
  list = *real;
  list.functions[GET_TOKEN_INFO] = (void *)token_info;
  list.functions[GET_ATTRIBUTE_VALUE] = (void *)attributes;
  list.functions[ENCRYPT_INIT] = (void *)encrypt_init;
  *out = &list;
  return 0;
}
