#include "bgpd/rib/bits.h"

#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

/* Makes room for chunk number c in an array of pointers. */
static void *grow(void *array, uint32_t *n, uint32_t c)
{
	uint32_t want = *n ? *n : 1;
	while (want <= c)
		want *= 2;
	void **p = xrealloc(array, want * sizeof(void *));
	memset(p + *n, 0, (want - *n) * sizeof(void *));
	*n = want;
	return p;
}

bool bits_add(struct bits *b, uint32_t i)
{
	uint32_t c = i / BITS_CHUNK;
	if (c >= b->n)
		b->c = grow(b->c, &b->n, c);
	if (!b->c[c])
		b->c[c] = xcalloc(1, sizeof(struct bits_chunk));
	uint64_t *w = &b->c[c]->w[i % BITS_CHUNK / 64], bit = 1ULL << (i % 64);
	if (*w & bit)
		return false;
	*w |= bit;
	b->c[c]->count++;
	b->count++;
	return true;
}

bool bits_del(struct bits *b, uint32_t i)
{
	if (!bits_has(b, i))
		return false;
	uint32_t c = i / BITS_CHUNK;
	b->c[c]->w[i % BITS_CHUNK / 64] &= ~(1ULL << (i % 64));
	b->count--;
	if (--b->c[c]->count == 0) {
		free(b->c[c]);
		b->c[c] = NULL;
	}
	return true;
}

uint32_t bits_next(const struct bits *b, uint32_t from)
{
	for (uint32_t c = from / BITS_CHUNK; c < b->n; c++, from = c * BITS_CHUNK) {
		if (!b->c[c])
			continue;
		uint32_t k = from % BITS_CHUNK / 64;
		uint64_t w = b->c[c]->w[k] & (~0ULL << (from % 64));
		for (;;) {
			if (w)
				return c * BITS_CHUNK + k * 64 + (uint32_t)__builtin_ctzll(w);
			if (++k == BITS_CHUNK / 64)
				break;
			w = b->c[c]->w[k];
		}
	}
	return BITS_NONE;
}

void bits_clear(struct bits *b)
{
	for (uint32_t c = 0; c < b->n; c++)
		free(b->c[c]);
	free(b->c);
	*b = (struct bits){ 0 };
}

size_t bits_bytes(const struct bits *b)
{
	size_t sum = b->n * sizeof(void *);
	for (uint32_t c = 0; c < b->n; c++)
		sum += b->c[c] ? sizeof(struct bits_chunk) : 0;
	return sum;
}

void map32_set(struct map32 *m, uint32_t i, uint32_t v)
{
	uint32_t c = i / MAP_CHUNK;
	if (c >= m->n || !m->c[c]) {
		if (!v)
			return;
		if (c >= m->n)
			m->c = grow(m->c, &m->n, c);
		m->c[c] = xcalloc(1, sizeof(struct map32_chunk));
	}
	uint32_t *at = &m->c[c]->v[i % MAP_CHUNK];
	uint32_t delta = (uint32_t)(v != 0) - (uint32_t)(*at != 0);
	*at = v;
	m->count += delta;
	m->c[c]->count += delta;
	if (m->c[c]->count == 0) {
		free(m->c[c]);
		m->c[c] = NULL;
	}
}

uint32_t map32_next(const struct map32 *m, uint32_t from)
{
	for (uint32_t c = from / MAP_CHUNK; c < m->n; c++, from = c * MAP_CHUNK) {
		if (!m->c[c])
			continue;
		for (uint32_t k = from % MAP_CHUNK; k < MAP_CHUNK; k++)
			if (m->c[c]->v[k])
				return c * MAP_CHUNK + k;
	}
	return BITS_NONE;
}

void map32_clear(struct map32 *m)
{
	for (uint32_t c = 0; c < m->n; c++)
		free(m->c[c]);
	free(m->c);
	*m = (struct map32){ 0 };
}

size_t map32_bytes(const struct map32 *m)
{
	size_t sum = m->n * sizeof(void *);
	for (uint32_t c = 0; c < m->n; c++)
		sum += m->c[c] ? sizeof(struct map32_chunk) : 0;
	return sum;
}
