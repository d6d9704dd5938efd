/* A bump allocator: many small pieces, one free. Decoded messages and parsed documents live in one.
 * Memory comes zeroed. Running out of memory ends the process with a line in the log: no caller
 * could do better, and noded starts it again.
 */
#ifndef SELVAGE_LIB_ARENA_H
#define SELVAGE_LIB_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
	struct arena_chunk *head;
	size_t used; /* bytes in the head chunk */
};

void *arena_alloc(struct arena *a, size_t size); /* aligned to 16 */
void *arena_array(struct arena *a, size_t n, size_t size); /* checks n * size */
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Empties it but keeps one chunk for the next use. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

/* malloc and friends that end the process instead of returning NULL, for the same reason. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);

#endif
