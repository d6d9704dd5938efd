#include "config.h"

#include "cni/error.h"

#include <stdarg.h>
#include <stdio.h>

int cni_fail(struct cni_error *e, unsigned code, const char *fmt, ...)
{
	va_list ap;
	e->code = code;
	e->details[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return -1;
}
