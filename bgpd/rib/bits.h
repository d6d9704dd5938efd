/* Sets and maps over indices of a slab, in chunks that exist only where something is in them.
 * A set costs one bit an index, so "every prefix that ..." needs no list in the prefix itself.
 */
#ifndef SELVAGE_BGPD_RIB_BITS_H
#define SELVAGE_BGPD_RIB_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BITS_CHUNK = 4096, MAP_CHUNK = 1024 };
#define BITS_NONE UINT32_MAX

struct bits_chunk {
	uint32_t count;
	uint64_t w[BITS_CHUNK / 64];
};

/* All zero is the empty set. */
struct bits {
	struct bits_chunk **c;
	uint32_t n;	/* chunks the array has room for */
	uint32_t count; /* members */
};

static inline bool bits_has(const struct bits *b, uint32_t i)
{
	uint32_t c = i / BITS_CHUNK;
	return c < b->n && b->c[c] && (b->c[c]->w[i % BITS_CHUNK / 64] >> (i % 64) & 1);
}

bool bits_add(struct bits *b, uint32_t i); /* true: it was not in it */
bool bits_del(struct bits *b, uint32_t i); /* true: it was in it */
/* The first member >= from, or BITS_NONE. */
uint32_t bits_next(const struct bits *b, uint32_t from);
void bits_clear(struct bits *b); /* empties it and frees its memory */
size_t bits_bytes(const struct bits *b);

struct map32_chunk {
	uint32_t count;
	uint32_t v[MAP_CHUNK];
};

/* Index to a number; what was never set is 0. All zero is the empty map. */
struct map32 {
	struct map32_chunk **c;
	uint32_t n;
	uint32_t count; /* entries that are not 0 */
};

static inline uint32_t map32_get(const struct map32 *m, uint32_t i)
{
	uint32_t c = i / MAP_CHUNK;
	return c < m->n && m->c[c] ? m->c[c]->v[i % MAP_CHUNK] : 0;
}

void map32_set(struct map32 *m, uint32_t i, uint32_t v);
/* The first index >= from whose entry is not 0, or BITS_NONE. */
uint32_t map32_next(const struct map32 *m, uint32_t from);
void map32_clear(struct map32 *m);
size_t map32_bytes(const struct map32 *m);

#endif
