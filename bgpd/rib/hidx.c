#include "bgpd/rib/hidx.h"

#include <stdlib.h>

#include "lib/arena.h"

enum { MIN_CAP = 4, QUARTER_FROM = 64 };

void hidx_init(struct hidx *h, unsigned bits)
{
	*h = (struct hidx){ .bits = bits };
	h->segs = xcalloc((size_t)1 << bits, sizeof(*h->segs));
}

void hidx_fini(struct hidx *h)
{
	for (size_t i = 0; h->segs && i < (size_t)1 << h->bits; i++)
		free(h->segs[i].slots);
	free(h->segs);
	*h = (struct hidx){ 0 };
}

static void put(struct hidx_seg *s, uint32_t hash, uint32_t item)
{
	uint32_t i = hidx_home(s, hash);
	while (s->slots[i].item)
		i = i + 1 == s->cap ? 0 : i + 1;
	s->slots[i] = (struct hidx_slot){ hash, item };
}

static void resize(struct hidx_seg *s, uint32_t cap)
{
	struct hidx_seg old = *s;
	s->slots = xcalloc(cap, sizeof(*s->slots));
	s->cap = cap;
	for (uint32_t i = 0; i < old.cap; i++)
		if (old.slots[i].item)
			put(s, old.slots[i].hash, old.slots[i].item);
	free(old.slots);
}

void hidx_add(struct hidx *h, uint64_t hash, uint32_t item)
{
	struct hidx_seg *s = hidx_seg(h, hash);
	if ((uint64_t)(s->n + 1) * 5 > (uint64_t)s->cap * 4) {
		uint32_t more = s->cap < QUARTER_FROM ? s->cap : s->cap / 4;
		resize(s, s->cap ? s->cap + more : MIN_CAP);
	}
	put(s, (uint32_t)hash, item);
	s->n++;
	h->count++;
}

/* Fills the hole at i with a later entry of the same run where that keeps it findable. */
static void close_hole(struct hidx_seg *s, uint32_t i)
{
	uint32_t j = i;
	for (;;) {
		j = j + 1 == s->cap ? 0 : j + 1;
		if (!s->slots[j].item)
			break;
		uint32_t home = hidx_home(s, s->slots[j].hash);
		/* How far the entry lies from its home, and how far the hole lies before it. */
		uint32_t far = j >= home ? j - home : j + s->cap - home;
		uint32_t gap = j >= i ? j - i : j + s->cap - i;
		if (far >= gap) {
			s->slots[i] = s->slots[j];
			i = j;
		}
	}
	s->slots[i].item = 0;
}

void hidx_del(struct hidx *h, uint64_t hash, uint32_t item)
{
	struct hidx_seg *s = hidx_seg(h, hash);
	uint32_t i = hidx_home(s, (uint32_t)hash);
	while (s->slots[i].item != item)
		i = i + 1 == s->cap ? 0 : i + 1;
	close_hole(s, i);
	s->n--;
	h->count--;
	if (s->n == 0) {
		free(s->slots);
		*s = (struct hidx_seg){ 0 };
	} else if (s->cap > QUARTER_FROM && s->n < s->cap / 4) {
		resize(s, s->cap / 2);
	}
}

size_t hidx_bytes(const struct hidx *h)
{
	size_t sum = sizeof(*h->segs) << h->bits;
	for (size_t i = 0; i < (size_t)1 << h->bits; i++)
		sum += h->segs[i].cap * sizeof(struct hidx_slot);
	return sum;
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = hash_mix(seed, len), v;
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&v, p, 8);
		h = hash_mix(h, v);
	}
	if (len) {
		v = 0;
		memcpy(&v, p, len);
		h = hash_mix(h, v);
	}
	return hash_end(h);
}
