/* Items of one size, named by 32-bit indices instead of pointers. Grows by chunks, so an item never
 * moves; a chunk whose items are all free goes back to the allocator. Index 0 is no item.
 */
#ifndef SELVAGE_BGPD_RIB_SLAB_H
#define SELVAGE_BGPD_RIB_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slab_chunk {
	uint8_t *mem;	    /* NULL: given back */
	uint32_t free_head; /* of freed items, by index; 0 ends the list */
	uint32_t fresh;	    /* items from here on were never used */
	uint32_t live;
	uint32_t next; /* of chunks that have room */
};

struct slab {
	uint32_t item, shift; /* bytes an item; a chunk has 1 << shift of them */
	struct slab_chunk *chunks;
	uint32_t nchunks, cap;
	uint32_t room;	/* first chunk with room, UINT32_MAX none */
	uint32_t empty; /* first chunk without memory, UINT32_MAX none */
	uint32_t live;	/* items in use */
	size_t bytes;	/* held */
};

/* item: bytes, at least 4, a multiple of 4. */
void slab_init(struct slab *s, uint32_t item);
void slab_fini(struct slab *s);
/* Content is undefined. Aborts when 2^32 items are passed. */
uint32_t slab_alloc(struct slab *s);
void slab_free(struct slab *s, uint32_t i);
/* Every index in use is below this. */
uint32_t slab_end(const struct slab *s);

/* false: never given out, or in a chunk that went back. */
static inline bool slab_touched(const struct slab *s, uint32_t i)
{
	uint32_t c = i >> s->shift;
	return c < s->nchunks && s->chunks[c].mem &&
	       (i & ((1u << s->shift) - 1)) < s->chunks[c].fresh && i;
}

static inline void *slab_at(const struct slab *s, uint32_t i)
{
	uint32_t in = i & ((1u << s->shift) - 1);
	return s->chunks[i >> s->shift].mem + (size_t)in * s->item;
}

#endif
