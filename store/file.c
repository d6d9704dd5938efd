#include "config.h"

#include "store/file.h"

#include <stdlib.h>
#include <string.h>

#include "store/model.h"

struct reading {
	struct file_docs *out;
	const struct table *known;
	struct problems *lost; /* names of documents that do not say their kind */
};

static void push(struct file_docs *f, struct object *o)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 8;
		f->v = xrealloc(f->v, f->cap * sizeof(*f->v));
	}
	f->v[f->n++] = o;
}

static bool has(const struct file_docs *f, const struct object *o)
{
	const struct object_key key = object_key(o);

	for (unsigned i = 0; i < f->n; i++) {
		struct object_key k = object_key(f->v[i]);

		if (!object_key_cmp(&k, &key))
			return true;
	}
	return false;
}

static bool is_lost(const struct problems *lost, const char *name)
{
	for (unsigned i = 0; i < lost->n; i++)
		if (!strcmp(lost->text[i], name))
			return true;
	return false;
}

/* What was there before and is not named now: all of it, or (lost given) what has such a name. */
static void keep(struct file_docs *out, const struct file_docs *before, const struct problems *lost)
{
	for (unsigned i = 0; before && i < before->n; i++)
		if ((!lost || is_lost(lost, before->v[i]->name)) && !has(out, before->v[i]))
			push(out, object_ref(before->v[i]));
}

static void on_item(void *arg, const struct model_item *item)
{
	struct reading *r = arg;

	if (item->kind == KIND_COUNT) {
		problem_line(r->lost, item->name);
		return;
	}
	if (item->object) {
		push(r->out, item->object);
		return;
	}
	const struct object_key key = { item->kind, item->kind_text, item->group, item->namespace_,
					item->name };
	const struct object *good = table_find_key(r->known, &key);

	if (good)
		push(r->out, object_ref(good));
}

/* ---- documents in a text ---- */

/* "---" at a line's start always begins a document in YAML, whatever stands before it. That is what
 * lets one broken document be left out. */
static const char *next_separator(const char *p, const char *end)
{
	while (p < end) {
		if (end - p >= 3 && !memcmp(p, "---", 3) &&
		    (end - p == 3 || memchr(" \t\r\n", p[3], 4)))
			return p;
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if (!nl)
			break;
		p = nl + 1;
	}
	return end;
}

/* Nothing but blanks, comments and directives: what may stand before the first "---". */
static bool is_prelude(const char *p, const char *end)
{
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end, *q = p;

		while (q < stop && (*q == ' ' || *q == '\t' || *q == '\r'))
			q++;
		if (q < stop && *q != '#' && !(*q == '%' && q == p))
			return false;
		p = stop + 1;
	}
	return true;
}

static unsigned count_lines(const char *p, const char *end)
{
	unsigned n = 0;

	for (; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		n++;
	return n;
}

static void take_errors(struct file_docs *out, const struct problems *p, const char *name)
{
	unsigned n = p->n > FILE_MAX_ERRORS ? FILE_MAX_ERRORS : p->n;

	if (!n)
		return;
	out->errors = arena_array(&out->arena, n + 1, sizeof(*out->errors));
	for (unsigned i = 0; i < n; i++)
		out->errors[out->nerrors++] = arena_strdup(&out->arena, p->text[i]);
	if (p->n > n)
		out->errors[out->nerrors++] =
			arena_printf(&out->arena, "%s: and %u more errors", name, p->n - n);
}

void file_read(struct file_docs *out, const char *name, const char *text, size_t len,
	       const struct file_docs *before, const struct table *known)
{
	const char *end = text + len, *p = text;
	struct arena scratch = { 0 };
	struct problems problems = { .arena = &scratch };
	struct problems lost = { .arena = &scratch };
	struct reading r = { out, known, &lost };
	uint32_t position = 0;
	unsigned line = 1;
	bool anonymous = false;

	memset(out, 0, sizeof(*out));
	while (p < end) {
		const char *first = next_separator(p, end);
		const char *stop = first == p ? next_separator(p + 3, end) : first;
		struct arena arena = { 0 };
		struct doc *docs = NULL;
		struct err err;

		if (!(p == text && first != p && is_prelude(p, stop)) &&
		    yaml_parse_from(p, (size_t)(stop - p), name, line, &arena, &docs, &err)) {
			problem_line(&problems, err.text);
			anonymous = true;
		}
		for (const struct doc *d = docs; d; d = d->next)
			model_read(d->root, name, &position, on_item, &r, &problems, &anonymous);
		arena_free(&arena);
		line += count_lines(p, stop);
		p = stop;
	}
	if (anonymous || lost.n)
		keep(out, before, anonymous ? NULL : &lost);
	take_errors(out, &problems, name);
	arena_free(&scratch);
}

void file_unreadable(struct file_docs *out, const char *name, const char *why,
		     const struct file_docs *before)
{
	memset(out, 0, sizeof(*out));
	keep(out, before, NULL);
	out->errors = arena_array(&out->arena, 1, sizeof(*out->errors));
	out->errors[out->nerrors++] = arena_printf(&out->arena, "%s: %s", name, why);
}

void file_free(struct file_docs *f)
{
	for (unsigned i = 0; i < f->n; i++)
		object_unref(f->v[i]);
	free(f->v);
	arena_free(&f->arena);
	memset(f, 0, sizeof(*f));
}
