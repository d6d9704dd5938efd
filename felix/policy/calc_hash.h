/* A hash set of items that begin with their uint32_t hash. Open addressing; a removal moves what
 * follows, so there are no tombstones. The set does not own its items.
 */
#ifndef SELVAGE_FELIX_POLICY_CALC_HASH_H
#define SELVAGE_FELIX_POLICY_CALC_HASH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

struct hset {
	void **v;
	uint32_t slots, n; /* slots: a power of two, or 0 */
};

typedef bool (*hset_eq)(const void *item, const void *key);

static inline uint32_t hset_hash_of(const void *item)
{
	uint32_t h;

	memcpy(&h, item, sizeof(h));
	return h;
}

static inline uint32_t hash_bytes(uint32_t h, const void *data, size_t n)
{
	for (const unsigned char *p = data; n--; p++)
		h = (h ^ *p) * UINT32_C(16777619);
	return h;
}

static inline uint32_t hash_text(uint32_t h, const char *s)
{
	return hash_bytes(h, s, strlen(s) + 1);
}

/* FNV leaves its low bits poor on short keys. */
static inline uint32_t hash_end(uint32_t h)
{
	h ^= h >> 16;
	h *= UINT32_C(0x7feb352d);
	return h ^ h >> 15;
}

static inline uint32_t hash_u64(uint32_t h, uint64_t v)
{
	v = (v ^ h) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(v ^ v >> 32);
}

enum { HASH_SEED = 0x811c9dc5 };

void *hset_find(const struct hset *s, uint32_t hash, hset_eq eq, const void *key);
void hset_add(struct hset *s, void *item);
void hset_remove(struct hset *s, const void *item);
void hset_free(struct hset *s);

#define HSET_EACH(set, type, item)                                                                 \
	for (uint32_t item##_i = 0; item##_i < (set)->slots; item##_i++)                           \
		for (type *item = (set)->v[item##_i]; item; item = NULL)

/* A vector of pointers. */
struct pvec {
	void **v;
	uint32_t n, cap;
};

static inline void pvec_add(struct pvec *p, void *item)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 8;
		p->v = xrealloc(p->v, p->cap * sizeof(*p->v));
	}
	p->v[p->n++] = item;
}

/* The order of the others is lost. */
static inline bool pvec_remove(struct pvec *p, const void *item)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->v[i] == item) {
			p->v[i] = p->v[--p->n];
			return true;
		}
	return false;
}

static inline void pvec_free(struct pvec *p)
{
	free(p->v);
	*p = (struct pvec){ 0 };
}

#endif
