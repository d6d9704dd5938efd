#include "config.h"

#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/utf8.h"

enum { LINE_MAX_BYTES = 2048, SUBS_MAX = 32, SUB_NAME = 24, VALUE_PLAIN = 128 };

static struct {
	const char *proc;
	enum log_level level;
	unsigned nsubs;
	struct {
		char name[SUB_NAME];
		enum log_level level;
	} subs[SUBS_MAX];
} state = { "selvage", LOG_INFO, 0, { { "", LOG_INFO } } };

static const char *const names[] = { "error", "warn", "info", "debug" };

void log_init(const char *proc, enum log_level level)
{
	state.proc = proc;
	state.level = level;
}

void log_set_level(const char *sub, enum log_level level)
{
	if (!sub || !*sub) {
		state.level = level;
		state.nsubs = 0;
		return;
	}
	for (unsigned i = 0; i < state.nsubs; i++) {
		if (!strcmp(state.subs[i].name, sub)) {
			state.subs[i].level = level;
			return;
		}
	}
	if (state.nsubs == SUBS_MAX || strlen(sub) >= SUB_NAME)
		return;
	strcpy(state.subs[state.nsubs].name, sub);
	state.subs[state.nsubs++].level = level;
}

int log_level_parse(const char *text)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (!strcmp(text, names[i]))
			return i;
	return -1;
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level <= LOG_DEBUG ? names[level] : "?";
}

bool log_enabled(enum log_level level, const char *sub)
{
	for (unsigned i = 0; sub && i < state.nsubs; i++)
		if (!strcmp(state.subs[i].name, sub))
			return level <= state.subs[i].level;
	return level <= state.level;
}

/* A line being made. Room for a closing `..."` and newline is kept aside. */
struct line {
	char buf[LINE_MAX_BYTES];
	size_t len, limit;
	bool cut;
};

static void put(struct line *l, const char *text, size_t n)
{
	if (l->cut || l->len + n > l->limit) {
		l->cut = true;
		return;
	}
	memcpy(l->buf + l->len, text, n);
	l->len += n;
}

static void put_text(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

static bool needs_quotes(const char *v)
{
	if (!*v || strlen(v) > VALUE_PLAIN)
		return true;
	for (; *v; v++)
		if ((unsigned char)*v <= ' ' || *v == '"' || *v == '=' || *v == '\\' ||
		    (unsigned char)*v >= 0x7f)
			return true;
	return false;
}

/* Quoted as JSON quotes, which is what logfmt parsers undo. */
static void put_quoted(struct line *l, const char *v)
{
	char esc[8];
	size_t n;

	put(l, "\"", 1);
	for (; *v && !l->cut; v += n ? n : 1) {
		n = utf8_len(v);
		if (!n) {
			put(l, "\xef\xbf\xbd", 3);
		} else if (*v == '"' || *v == '\\') {
			put(l, "\\", 1);
			put(l, v, 1);
		} else if (*v == '\n') {
			put(l, "\\n", 2);
		} else if (utf8_is_control(v)) {
			snprintf(esc, sizeof(esc), "\\u%04x", (unsigned char)v[n - 1]);
			put_text(l, esc);
		} else {
			put(l, v, n);
		}
	}
	if (l->cut) {
		memcpy(l->buf + l->len, "...", 3);
		l->len += 3;
	}
	l->buf[l->len++] = '"';
	l->cut = false;
}

static void put_value(struct line *l, const char *v)
{
	if (needs_quotes(v))
		put_quoted(l, v);
	else
		put_text(l, v);
}

static void put_time(struct line *l)
{
	struct timespec now;
	struct tm tm;
	char text[48];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, sizeof(text), "time=%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
	put_text(l, text);
}

static void put_pair(struct line *l, const char *key, const char *value)
{
	put(l, " ", 1);
	put_text(l, key);
	put(l, "=", 1);
	put_value(l, value);
}

static void __attribute__((format(printf, 5, 0)))
emit(enum log_level level, const char *sub, const char *key, const char *value, const char *fmt,
     va_list ap)
{
	int saved = errno;
	char text[LINE_MAX_BYTES];
	struct line l;

	l.len = 0;
	l.cut = false;
	/* A very long value must not take the message's place. */
	l.limit = sizeof(l.buf) / 2;
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	put_time(&l);
	put_pair(&l, "level", log_level_name(level));
	put_pair(&l, "proc", state.proc);
	if (sub && *sub)
		put_pair(&l, "sub", sub);
	if (key)
		put_pair(&l, key, value ? value : "");
	l.limit = sizeof(l.buf) - 8;
	put(&l, " msg=", 5);
	put_quoted(&l, text);
	l.buf[l.len++] = '\n';
	/* One write a line, so that lines of several processes do not mix; a log that cannot be
	 * written has nowhere to complain. */
	while (write(STDERR_FILENO, l.buf, l.len) < 0 && errno == EINTR)
		;
	errno = saved;
}

void log_msg(enum log_level level, const char *sub, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level, sub))
		return;
	va_start(ap, fmt);
	emit(level, sub, NULL, NULL, fmt, ap);
	va_end(ap);
}

void log_obj(enum log_level level, const char *sub, const char *key, const char *value,
	     const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level, sub))
		return;
	va_start(ap, fmt);
	emit(level, sub, key, value, fmt, ap);
	va_end(ap);
}
