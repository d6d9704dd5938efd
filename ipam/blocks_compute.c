#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ipam/ipam.h"
#include "lib/arena.h"

/* Blocks are numbered from the pool's start. A /48 of /122s has 2^74 of them: the first 2^32 are
 * more than any cluster has nodes. */
enum { MAX_INDEX_BITS = 32 };

struct range {
	uint64_t first, last;
};

/* Numbers that are in use: sorted, disjoint, never adjacent. */
struct busy {
	struct range *v;
	unsigned n;
};

/* The first range that ends at or behind i - 1, so that touching ranges are found too. */
static unsigned busy_find(const struct busy *b, uint64_t i)
{
	unsigned lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (b->v[mid].last + 1 < i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void busy_add(struct busy *b, uint64_t first, uint64_t last)
{
	unsigned at = busy_find(b, first), end = at;

	while (end < b->n && b->v[end].first <= last + 1) {
		if (b->v[end].first < first)
			first = b->v[end].first;
		if (b->v[end].last > last)
			last = b->v[end].last;
		end++;
	}
	memmove(b->v + at + 1, b->v + end, (b->n - end) * sizeof(*b->v));
	b->v[at] = (struct range){ first, last };
	b->n = b->n - (end - at) + 1;
}

/* The first free number from i on, round the end once; n where there is none. */
static uint64_t busy_next_free(const struct busy *b, uint64_t i, uint64_t n)
{
	for (int round = 0; round < 2; round++) {
		unsigned at = busy_find(b, i);

		if (at < b->n && b->v[at].last < i)
			at++;
		if (at < b->n && b->v[at].first <= i)
			i = b->v[at].last + 1;
		if (i < n)
			return i;
		i = 0;
	}
	return n;
}

static uint32_t fnv1a(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

static void mark_taken(struct busy *b, const struct prefix *pool, unsigned shift, uint64_t nblocks,
		       const struct prefix *taken)
{
	if (prefix_covers(taken, pool)) {
		busy_add(b, 0, nblocks - 1);
		return;
	}
	if (!prefix_covers(pool, taken))
		return;
	uint64_t off = prefix_offset(pool, &taken->addr);
	uint64_t size = prefix_size(taken);
	if (off == UINT64_MAX) /* further behind than any number reaches */
		return;
	uint64_t first = off >> shift;
	uint64_t last = size > UINT64_MAX - off ? UINT64_MAX >> shift : (off + size - 1) >> shift;
	if (first >= nblocks)
		return;
	busy_add(b, first, last < nblocks ? last : nblocks - 1);
}

void blocks_compute(const struct blocks_pool *pool, const char *const *nodes, unsigned n_nodes,
		    const struct prefix *taken, unsigned n_taken, struct prefix *out)
{
	struct prefix net = prefix_mask(&pool->cidr);
	unsigned bits = family_bits(net.addr.fam);

	memset(out, 0, n_nodes * sizeof(*out));
	/* A block of 2^48 addresses or more would not leave room for the arithmetic. */
	if (pool->block_size < net.len || pool->block_size > bits || bits - pool->block_size >= 32)
		return;

	unsigned shift = bits - pool->block_size;
	unsigned index_bits = pool->block_size - net.len;
	uint64_t nblocks = UINT64_C(1)
			   << (index_bits < MAX_INDEX_BITS ? index_bits : MAX_INDEX_BITS);
	struct busy busy = { xcalloc((size_t)n_nodes + n_taken + 1, sizeof(*busy.v)), 0 };

	for (unsigned i = 0; i < n_taken; i++) {
		struct prefix t = prefix_mask(&taken[i]);

		mark_taken(&busy, &net, shift, nblocks, &t);
	}
	for (unsigned i = 0; i < n_nodes; i++) {
		/* A start that depends on the name alone spreads nodes, so that a node that comes
		 * or goes in the middle of the list seldom meets another one. */
		uint64_t at = busy_next_free(&busy, fnv1a(nodes[i]) % nblocks, nblocks);

		if (at == nblocks)
			break;
		busy_add(&busy, at, at);
		out[i].addr = addr_add(&net.addr, at << shift);
		out[i].len = (uint8_t)pool->block_size;
	}
	free(busy.v);
}
