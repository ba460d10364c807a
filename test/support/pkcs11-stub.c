/* A library with the entry point of PKCS#11, whose C_GetInfo hangs or crashes: a broken HSM for the tests. */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

typedef unsigned long CK_RV;
typedef struct { unsigned char major, minor; void *functions[68]; } CK_FUNCTION_LIST;

static CK_FUNCTION_LIST list;

static CK_RV ok(void) { return 0; }
static CK_RV unsupported(void) { return 0x54; }
static CK_RV broken(void) {
  const char *how = getenv("STUB_HOW");
  if (how != NULL && how[0] == 'c') abort();
  for (;;) pause();
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
  list.major = 2;
  list.minor = 40;
  for (int at = 0; at < 68; at++) list.functions[at] = (void *)unsupported;
  list.functions[0] = (void *)ok;     /* C_Initialize */
  list.functions[1] = (void *)ok;     /* C_Finalize */
  list.functions[2] = (void *)broken; /* C_GetInfo */
  *out = &list;
  return 0;
}
