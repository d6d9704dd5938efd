#include "bgpd/rib/slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/arena.h"
#include "lib/log.h"

enum { CHUNK_BYTES = 64 * 1024, NO_CHUNK = UINT32_MAX };

void slab_init(struct slab *s, uint32_t item)
{
	uint32_t shift = 0;
	while ((size_t)item << (shift + 1) <= CHUNK_BYTES)
		shift++;
	*s = (struct slab){ .item = item, .shift = shift, .room = NO_CHUNK, .empty = NO_CHUNK };
}

/* Straight from the kernel: what is given back really goes back, and pages that no item has
 * reached yet cost nothing. */
static void *chunk_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		log_error("rib", "out of memory: %zu bytes: %s", bytes, strerror(errno));
		abort();
	}
	return p;
}

static size_t chunk_bytes(const struct slab *s)
{
	return (size_t)s->item << s->shift;
}

void slab_fini(struct slab *s)
{
	for (uint32_t i = 0; i < s->nchunks; i++)
		if (s->chunks[i].mem)
			munmap(s->chunks[i].mem, chunk_bytes(s));
	free(s->chunks);
	slab_init(s, s->item);
}

static uint32_t new_chunk_slot(struct slab *s)
{
	uint32_t c = s->empty;
	if (c != NO_CHUNK) {
		s->empty = s->chunks[c].next;
		return c;
	}
	if (s->nchunks >= UINT32_MAX >> s->shift) {
		log_error("rib", "the table is full: 2^32 items of %u bytes", s->item);
		abort();
	}
	if (s->nchunks == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4;
		s->chunks = xrealloc(s->chunks, s->cap * sizeof(*s->chunks));
	}
	return s->nchunks++;
}

static void add_chunk(struct slab *s)
{
	uint32_t c = new_chunk_slot(s);
	/* Item 0 of chunk 0 is index 0, which means "none": it is never given out. */
	uint32_t taken = c == 0 ? 1 : 0;
	s->chunks[c] = (struct slab_chunk){
		.mem = chunk_map(chunk_bytes(s)), .fresh = taken, .live = taken, .next = s->room
	};
	s->room = c;
	s->bytes += chunk_bytes(s);
}

uint32_t slab_alloc(struct slab *s)
{
	if (s->room == NO_CHUNK)
		add_chunk(s);
	uint32_t c = s->room;
	struct slab_chunk *k = &s->chunks[c];
	uint32_t i;
	if (k->free_head) {
		i = k->free_head;
		memcpy(&k->free_head, slab_at(s, i), sizeof(k->free_head));
	} else {
		i = (c << s->shift) + k->fresh++;
	}
	k->live++;
	s->live++;
	if (k->live == 1u << s->shift)
		s->room = k->next;
	return i;
}

static void release_chunk(struct slab *s, uint32_t c)
{
	uint32_t *at = &s->room;
	while (*at != c)
		at = &s->chunks[*at].next;
	*at = s->chunks[c].next;
	munmap(s->chunks[c].mem, chunk_bytes(s));
	s->bytes -= chunk_bytes(s);
	s->chunks[c] = (struct slab_chunk){ .next = s->empty };
	s->empty = c;
}

void slab_free(struct slab *s, uint32_t i)
{
	uint32_t c = i >> s->shift;
	struct slab_chunk *k = &s->chunks[c];
	memcpy(slab_at(s, i), &k->free_head, sizeof(k->free_head));
	k->free_head = i;
	if (k->live == 1u << s->shift) {
		k->next = s->room;
		s->room = c;
	}
	k->live--;
	s->live--;
	if (k->live == 0)
		release_chunk(s, c);
}

uint32_t slab_end(const struct slab *s)
{
	return s->nchunks << s->shift;
}
