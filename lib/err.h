/* The one error contract.
 *
 * A function that can fail returns 0 (or a useful value >= 0, or a pointer) on success and -1 (or
 * NULL) on failure, takes `struct err *err` as its last parameter, never NULL, and fills it once
 * where the failure happens. Callers add what they were doing on the way up with err_ctx():
 * "peer tor1: OPEN: hold time 2 s is not allowed". The text is for a person: what, where, why and
 * what to do, one line, no trailing full stop or newline.
 */
#ifndef SELVAGE_LIB_ERR_H
#define SELVAGE_LIB_ERR_H

struct err {
	int code;       /* an errno value, or 0 where no system call was the cause */
	char text[512]; /* always terminated; cut with "..." when too long */
};

/* Says the failure; returns -1 so that `return err_set(err, ...)` works. */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, for a system call: appends ": " and the text of errnum and keeps it as err->code. */
int err_sys(struct err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "<fmt>: " before what is already said; returns -1. */
int err_ctx(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
