/* An error as CNI's specification (section 5) wants it: on stdout, as JSON.
 */
#ifndef SELVAGE_CNI_ERROR_H
#define SELVAGE_CNI_ERROR_H

enum cni_code {
	CNI_E_VERSION = 1,
	CNI_E_FIELD = 2,
	CNI_E_CONTAINER = 3,
	CNI_E_ENV = 4,
	CNI_E_IO = 5,
	CNI_E_DECODE = 6,
	CNI_E_CONFIG = 7,
	CNI_E_AGAIN = 11,
	CNI_E_OURS = 100,
};

struct cni_error {
	unsigned code;
	char msg[512];
	char details[512]; /* "" none */
};

/* Returns -1, so that `return cni_fail(e, ...)` works. */
int cni_fail(struct cni_error *e, unsigned code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
