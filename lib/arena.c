#include "config.h"

#include "lib/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

enum { CHUNK_FIRST = 512, CHUNK_MAX = 64 * 1024, KEEP_MAX = 256 * 1024, ALIGN = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t cap;
	_Alignas(ALIGN) uint8_t data[];
};

static void __attribute__((noreturn)) out_of_memory(size_t size)
{
	log_error("memory", "out of memory: %zu bytes were refused; the process ends", size);
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory(size);
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory(n * size);
	return p;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		out_of_memory(size);
	return p;
}

char *xstrdup(const char *text)
{
	size_t n = strlen(text) + 1;

	return memcpy(xmalloc(n), text, n);
}

static struct arena_chunk *chunk_new(size_t cap)
{
	struct arena_chunk *c = xmalloc(sizeof(*c) + cap);

	c->next = NULL;
	c->cap = cap;
	return c;
}

/* A piece too big for the usual chunk gets one of its own behind the head, whose room stays in
 * use. */
static void *alloc_apart(struct arena *a, size_t size)
{
	struct arena_chunk *c = chunk_new(size);

	c->next = a->head->next;
	a->head->next = c;
	return memset(c->data, 0, size);
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *head = a->head;
	size_t cap;
	void *p;

	if (size > SIZE_MAX / 2)
		out_of_memory(size);
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!head || head->cap - a->used < size) {
		cap = head ? head->cap * 2 : CHUNK_FIRST;
		if (head && size > CHUNK_MAX / 4)
			return alloc_apart(a, size);
		while (cap < 2 * size)
			cap *= 2;
		if (cap > CHUNK_MAX)
			cap = size > CHUNK_MAX ? size : CHUNK_MAX;
		head = chunk_new(cap);
		head->next = a->head;
		a->head = head;
		a->used = 0;
	}
	p = head->data + a->used;
	a->used += size;
	return memset(p, 0, size);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		out_of_memory(SIZE_MAX);
	return arena_alloc(a, n * size);
}

char *arena_strndup(struct arena *a, const char *text, size_t n)
{
	size_t len = strnlen(text, n);
	char *p = arena_alloc(a, len + 1);

	memcpy(p, text, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *text)
{
	return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p, none[1];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(none, sizeof(none), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = NULL, *c, *next;

	for (c = a->head; c; c = next) {
		next = c->next;
		if (c->cap <= KEEP_MAX && (!keep || c->cap > keep->cap)) {
			free(keep);
			keep = c;
		} else {
			free(c);
		}
	}
	if (keep)
		keep->next = NULL;
	a->head = keep;
	a->used = 0;
}

void arena_free(struct arena *a)
{
	struct arena_chunk *c, *next;

	for (c = a->head; c; c = next) {
		next = c->next;
		free(c);
	}
	a->head = NULL;
	a->used = 0;
}
