/* A hash index: 64-bit hash to 32-bit number, open addressing, no tombstones.
 *
 * It is cut into segments by the hash's top bits. Each grows by itself, by a quarter at a time once
 * it is large, so that no insertion ever moves more than one segment (1/512 of a table) and the
 * load stays between 0.64 and 0.8. A slot keeps 32 bits of the hash: growing and deleting touch no
 * item, and looking up touches, but for one case in millions, only the item that is looked for.
 */
#ifndef SELVAGE_BGPD_RIB_HIDX_H
#define SELVAGE_BGPD_RIB_HIDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hidx_slot {
	uint32_t hash, item; /* item 0: free */
};

struct hidx_seg {
	struct hidx_slot *slots;
	uint32_t cap, n;
};

struct hidx {
	struct hidx_seg *segs;
	uint32_t bits; /* log2 of the number of segments */
	uint32_t count;
};

/* bits: 0 .. 16. */
void hidx_init(struct hidx *h, unsigned bits);
void hidx_fini(struct hidx *h);
/* The caller has made sure that item is not in it. */
void hidx_add(struct hidx *h, uint64_t hash, uint32_t item);
/* The pair must be in it. */
void hidx_del(struct hidx *h, uint64_t hash, uint32_t item);
size_t hidx_bytes(const struct hidx *h);

static inline struct hidx_seg *hidx_seg(const struct hidx *h, uint64_t hash)
{
	return &h->segs[h->bits ? hash >> (64 - h->bits) : 0];
}

static inline uint32_t hidx_home(const struct hidx_seg *s, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * s->cap >> 32);
}

static inline void hidx_prefetch(const struct hidx *h, uint64_t hash)
{
	const struct hidx_seg *s = hidx_seg(h, hash);
	if (s->cap)
		__builtin_prefetch(&s->slots[hidx_home(s, (uint32_t)hash)]);
}

typedef bool (*hidx_eq)(const void *ctx, uint32_t item);

/* The item with that hash for which eq() holds, or 0. eq is meant to be inlined. */
static inline uint32_t hidx_find(const struct hidx *h, uint64_t hash, hidx_eq eq, const void *ctx)
{
	const struct hidx_seg *s = hidx_seg(h, hash);
	if (!s->cap)
		return 0;
	uint32_t low = (uint32_t)hash, i = hidx_home(s, low);
	for (; s->slots[i].item; i = i + 1 == s->cap ? 0 : i + 1)
		if (s->slots[i].hash == low && eq(ctx, s->slots[i].item))
			return s->slots[i].item;
	return 0;
}

/* ---- hashing ---- */

static inline uint64_t hash_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
	return h ^ (h >> 29);
}

static inline uint64_t hash_end(uint64_t h)
{
	h *= 0xD6E8FEB86659FD93ULL;
	return h ^ (h >> 32);
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len);

#endif
