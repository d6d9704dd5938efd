#include "config.h"

#include "nodectl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/utf8.h"

static const char *const codes[] = {
	[PLAIN] = "",	    [GOOD] = "\x1b[32m", [WARN] = "\x1b[33m",
	[BAD] = "\x1b[31m", [BOLD] = "\x1b[1m",	 [DIM] = "\x1b[2m",
};

struct out out_to(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	bool plain = (no && *no) || (term && !strcmp(term, "dumb"));

	return (struct out){ f, !plain && isatty(fileno(f)) };
}

/* In place; newlines of our own formats stay. */
static void make_harmless(char *text, bool keep_newline)
{
	char *to = text;
	size_t n;

	for (; *text; text += n ? n : 1) {
		n = utf8_len(text);
		if (!n || (utf8_is_control(text) && !(keep_newline && *text == '\n')))
			*to++ = '?';
		else
			to = (char *)memmove(to, text, n) + n;
	}
	*to = '\0';
}

static void put(const struct out *to, enum colour colour, const char *text)
{
	bool coloured = to->colour && colour != PLAIN;

	fprintf(to->f, "%s%s%s", coloured ? codes[colour] : "", text, coloured ? "\x1b[0m" : "");
}

void say(const struct out *to, enum colour colour, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_harmless(text, true);
	put(to, colour, text);
}

struct table *table_new(const struct out *to, const struct column *columns, unsigned indent)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->to = to;
	t->columns = columns;
	t->indent = indent;
	for (; columns[t->ncolumns].head; t->ncolumns++)
		t->width[t->ncolumns] = (unsigned)strlen(columns[t->ncolumns].head);
	return t;
}

static unsigned width_of(const char *text)
{
	unsigned n = 0;

	for (; *text; text += utf8_len(text))
		n++;
	return n;
}

/* gap: blanks that are owed; they come before the next text, so that no line ends in blanks. */
static void put_cell(const struct table *t, unsigned col, const char *text, enum colour colour,
		     unsigned *gap)
{
	unsigned pad = t->width[col] - width_of(text);

	if (t->columns[col].right)
		*gap += pad;
	if (*text) {
		fprintf(t->to->f, "%*s", (int)*gap, "");
		put(t->to, colour, text);
		*gap = 0;
	}
	if (!t->columns[col].right)
		*gap += pad;
	*gap += 2;
}

static void flush_rows(struct table *t)
{
	unsigned gap = t->indent;

	for (unsigned i = 0; !t->head_printed && i < t->ncolumns; i++)
		put_cell(t, i, t->columns[i].head, DIM, &gap);
	if (!t->head_printed)
		putc('\n', t->to->f);
	t->head_printed = true;
	for (unsigned r = 0; r < t->nrows; r++) {
		gap = t->indent;
		for (unsigned i = 0; i < t->ncolumns; i++)
			put_cell(t, i, t->cells[r][i].text, t->cells[r][i].colour, &gap);
		putc('\n', t->to->f);
	}
	t->nrows = 0;
	arena_reset(&t->arena);
}

void cell(struct table *t, enum colour colour, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	unsigned n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_harmless(text, false);
	n = width_of(text);
	if (n > t->width[t->next])
		t->width[t->next] = n;
	t->cells[t->nrows][t->next].text = arena_strdup(&t->arena, text);
	t->cells[t->nrows][t->next].colour = colour;
	if (++t->next < t->ncolumns)
		return;
	t->next = 0;
	if (++t->nrows == TABLE_ROWS)
		flush_rows(t);
}

void table_end(struct table *t)
{
	if (t->nrows || !t->head_printed)
		flush_rows(t);
	arena_free(&t->arena);
	free(t);
}

const char *age(char buf[WORD], time_t now, uint64_t then)
{
	uint64_t s = (uint64_t)now > then ? (uint64_t)now - then : 0;

	if (!then)
		snprintf(buf, WORD, "-");
	else if (s < 60)
		snprintf(buf, WORD, "%us", (unsigned)s);
	else if (s < 3600)
		snprintf(buf, WORD, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(buf, WORD, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(buf, WORD, "%lud%02uh", (unsigned long)(s / 86400),
			 (unsigned)(s / 3600 % 24));
	return buf;
}

const char *bytes_text(char buf[WORD], uint64_t n)
{
	if (!n)
		snprintf(buf, WORD, "-");
	else if (n < 1 << 20)
		snprintf(buf, WORD, "%.0f KiB", (double)n / 1024);
	else
		snprintf(buf, WORD, "%.1f MiB", (double)n / (1 << 20));
	return buf;
}

const char *size_text(char buf[WORD], const struct prefix *net, uint64_t size)
{
	unsigned bits = family_bits(net->addr.fam) - net->len;

	if (bits > 32)
		snprintf(buf, WORD, "2^%u", bits);
	else
		snprintf(buf, WORD, "%llu", (unsigned long long)size);
	return buf;
}

const char *addr_text(char buf[WORD], const struct addr *a)
{
	return addr_format(a, buf, WORD);
}

const char *prefix_text(char buf[WORD], const struct prefix *p)
{
	return prefix_format(p, buf, WORD);
}

const char *host_text(char buf[WORD], const struct prefix *p)
{
	if (p->len == family_bits(p->addr.fam))
		return addr_text(buf, &p->addr);
	return prefix_text(buf, p);
}

const char *or_dash(const char *text)
{
	return *text ? text : "-";
}
