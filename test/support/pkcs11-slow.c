/* SoftHSM behind a library that hangs on demand, fails once, and counts what is tried: an HSM on a bad day, for the tests. */
#include <dlfcn.h>
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

typedef unsigned long CK_RV;
typedef struct { unsigned char major, minor; void *functions[68]; } CK_FUNCTION_LIST;
typedef CK_RV (*get_list)(CK_FUNCTION_LIST **);
typedef CK_RV (*init_op)(unsigned long, void *, unsigned long);
typedef CK_RV (*login)(unsigned long, unsigned long, void *, unsigned long);

enum { LOGIN = 18, ENCRYPT_INIT = 29, DECRYPT_INIT = 33 };
static CK_FUNCTION_LIST real, list;

/* Hangs for as long as the file is there. */
static void hang(void) {
  const char *file = getenv("SLOW_WHILE");
  while (file != NULL && access(file, F_OK) == 0) usleep(10000);
}

/* Fails, once, when the file is there (CKR_DEVICE_ERROR). */
static int failed(void) {
  const char *file = getenv("SLOW_FAIL");
  return file != NULL && unlink(file) == 0;
}

static CK_RV slow_encrypt(unsigned long s, void *m, unsigned long k) { hang(); if (failed()) return 0x30; return ((init_op)real.functions[ENCRYPT_INIT])(s, m, k); }
static CK_RV slow_decrypt(unsigned long s, void *m, unsigned long k) { hang(); return ((init_op)real.functions[DECRYPT_INIT])(s, m, k); }

static CK_RV counted_login(unsigned long s, unsigned long u, void *p, unsigned long n) {
  const char *file = getenv("SLOW_LOGINS");
  FILE *log = file == NULL ? NULL : fopen(file, "a");
  if (log != NULL) { fputc('x', log); fclose(log); }
  return ((login)real.functions[LOGIN])(s, u, p, n);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
  void *library = dlopen(getenv("SLOW_REAL"), RTLD_NOW | RTLD_LOCAL);
  CK_FUNCTION_LIST *found;
  if (library == NULL || ((get_list)dlsym(library, "C_GetFunctionList"))(&found) != 0) return 5;
  real = *found;
  list = real;
  list.functions[LOGIN] = (void *)counted_login;
  list.functions[ENCRYPT_INIT] = (void *)slow_encrypt;
  list.functions[DECRYPT_INIT] = (void *)slow_decrypt;
  *out = &list;
  return 0;
}
