#include "bgpd/rib/attr.h"

#include <stdlib.h>

#include "lib/arena.h"

enum { CLASSES = 24, BIG = CLASSES - 1, SEGMENT_BITS = 8 };

/* Bytes of header and blob. Small steps where attribute sets are: half of all have 60 to 120. */
static const uint16_t class_size[CLASSES] = { 48,  56,	64,  72,  80,  88,  96,	 104,
					      112, 120, 128, 144, 160, 176, 192, 208,
					      224, 256, 288, 320, 384, 448, 512, 48 };

void attr_set_init(struct attr_set *s, uint64_t seed)
{
	*s = (struct attr_set){ .seed = seed };
	s->classes = xcalloc(CLASSES, sizeof(*s->classes));
	for (unsigned c = 0; c < CLASSES; c++)
		slab_init(&s->classes[c], class_size[c]);
	hidx_init(&s->index, SEGMENT_BITS);
}

static void free_big(void *arg, uint32_t i, struct attr *a)
{
	(void)arg;
	(void)i;
	if (a->flags & ATTR_BIG)
		free((void *)(uintptr_t)attr_blob(a));
}

void attr_set_fini(struct attr_set *s)
{
	attr_each(s, free_big, NULL);
	for (unsigned c = 0; c < CLASSES; c++)
		slab_fini(&s->classes[c]);
	free(s->classes);
	hidx_fini(&s->index);
}

size_t attr_set_bytes(const struct attr_set *s)
{
	size_t sum = hidx_bytes(&s->index) + s->big_bytes;
	for (unsigned c = 0; c < CLASSES; c++)
		sum += s->classes[c].bytes;
	return sum;
}

static unsigned class_of(size_t size)
{
	for (unsigned c = 0; c < BIG; c++)
		if (size <= class_size[c])
			return c;
	return BIG;
}

static uint64_t hash_of(const struct attr_set *s, const struct attr *a, const uint8_t *blob,
			uint16_t len)
{
	return hash_bytes(hash_mix(s->seed, (uint64_t)a->nh << 16 | a->peer), blob, len);
}

struct attr_key {
	const struct attr_set *s;
	const struct attr *as;
	const uint8_t *blob;
	uint16_t len;
};

static inline bool attr_eq(const void *ctx, uint32_t item)
{
	const struct attr_key *k = ctx;
	const struct attr *a = attr_at(k->s, item);
	return a->peer == k->as->peer && a->nh == k->as->nh && a->len == k->len &&
	       memcmp(attr_blob(a), k->blob, k->len) == 0;
}

uint32_t attr_intern(struct attr_set *s, const struct attr *as, const uint8_t *blob, uint16_t len,
		     bool *fresh)
{
	uint64_t hash = hash_of(s, as, blob, len);
	struct attr_key key = { s, as, blob, len };
	uint32_t i = hidx_find(&s->index, hash, attr_eq, &key);
	*fresh = !i;
	if (i) {
		attr_at(s, i)->refs++;
		return i;
	}
	unsigned c = class_of(offsetof(struct attr, blob) + len);
	i = slab_alloc(&s->classes[c]) | c << ATTR_INDEX_BITS;
	struct attr *a = attr_at(s, i);
	memcpy(a, as, offsetof(struct attr, blob));
	a->refs = 1;
	a->len = len;
	if (c == BIG) {
		uint8_t *out = xmalloc(len);
		memcpy(out, blob, len);
		memcpy(a->blob, &out, sizeof(out));
		a->flags |= ATTR_BIG;
		s->big_bytes += len;
	} else {
		memcpy(a->blob, blob, len);
		a->flags &= (uint8_t)~ATTR_BIG;
	}
	hidx_add(&s->index, hash, i);
	s->count++;
	return i;
}

void attr_delete(struct attr_set *s, uint32_t i)
{
	struct attr *a = attr_at(s, i);
	hidx_del(&s->index, hash_of(s, a, attr_blob(a), a->len), i);
	if (a->flags & ATTR_BIG) {
		s->big_bytes -= a->len;
		free((void *)(uintptr_t)attr_blob(a));
	}
	slab_free(&s->classes[i >> ATTR_INDEX_BITS], i & ((1u << ATTR_INDEX_BITS) - 1));
	s->count--;
}

void attr_each(const struct attr_set *s, attr_fn fn, void *arg)
{
	const struct hidx *h = &s->index;
	for (size_t seg = 0; seg < (size_t)1 << h->bits; seg++)
		for (uint32_t k = 0; k < h->segs[seg].cap; k++) {
			uint32_t i = h->segs[seg].slots[k].item;
			if (i)
				fn(arg, i, attr_at(s, i));
		}
}
