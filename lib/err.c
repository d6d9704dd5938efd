#include "config.h"

#include "lib/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text that was cut says so. */
static void mark_cut(struct err *err, int wanted)
{
	if (wanted >= (int)sizeof(err->text))
		memcpy(err->text + sizeof(err->text) - 4, "...", 4);
}

/* Through a buffer of its own: the arguments may point into err->text. */
static void __attribute__((format(printf, 2, 0)))
set_text(struct err *err, const char *fmt, va_list ap)
{
	char text[sizeof(err->text)];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		text[0] = '\0';
	memcpy(err->text, text, sizeof(text));
	mark_cut(err, n);
}

int err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	err->code = 0;
	return -1;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t len;
	int n;

	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	n = snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(errnum));
	mark_cut(err, (int)len + n);
	err->code = errnum;
	return -1;
}

int err_ctx(struct err *err, const char *fmt, ...)
{
	char said[sizeof(err->text)];
	va_list ap;
	size_t len;
	int n;

	memcpy(said, err->text, sizeof(said));
	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	n = snprintf(err->text + len, sizeof(err->text) - len, ": %s", said);
	mark_cut(err, (int)len + n);
	return -1;
}
