#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "felix/nft_impl.h"
#include "lib/arena.h"

enum { SLOT_HEAD = 8 }; /* the hash, 0 where the slot is free; and room up to alignment */

static uint32_t kmap_hash(const void *key, uint32_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (const uint8_t *p = key; n--; p++)
		h = (h ^ *p) * UINT64_C(0x100000001b3);
	h ^= h >> 29;
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 32) | 1;
}

static size_t slot_size(const struct kmap *m)
{
	return SLOT_HEAD + ((m->entry + 7u) & ~7u);
}

static uint8_t *slot_at(const struct kmap *m, uint32_t i)
{
	return m->v + i * slot_size(m);
}

static uint32_t slot_hash(const uint8_t *slot)
{
	uint32_t h;

	memcpy(&h, slot, sizeof(h));
	return h;
}

void kmap_init(struct kmap *m, uint32_t key, uint32_t entry)
{
	*m = (struct kmap){ .key = key, .entry = entry };
}

void kmap_free(struct kmap *m)
{
	free(m->v);
	kmap_init(m, m->key, m->entry);
}

/* The slot that has the key, or the free one where it belongs. */
static uint32_t kmap_find(const struct kmap *m, const void *key, uint32_t h)
{
	uint32_t i = h & (m->slots - 1);

	for (;; i = (i + 1) & (m->slots - 1)) {
		uint8_t *s = slot_at(m, i);
		uint32_t sh = slot_hash(s);

		if (!sh || (sh == h && memcmp(s + SLOT_HEAD, key, m->key) == 0))
			return i;
	}
}

static void kmap_resize(struct kmap *m, uint32_t slots)
{
	struct kmap old = *m;

	m->slots = slots;
	m->v = xcalloc(slots, slot_size(m));
	for (uint32_t i = 0; i < old.slots; i++) {
		uint8_t *s = slot_at(&old, i);

		if (slot_hash(s))
			memcpy(slot_at(m, kmap_find(m, s + SLOT_HEAD, slot_hash(s))), s,
			       slot_size(m));
	}
	free(old.v);
}

void *kmap_get(const struct kmap *m, const void *key)
{
	if (!m->n)
		return NULL;
	uint8_t *s = slot_at(m, kmap_find(m, key, kmap_hash(key, m->key)));
	return slot_hash(s) ? s + SLOT_HEAD : NULL;
}

void *kmap_put(struct kmap *m, const void *key)
{
	uint32_t h = kmap_hash(key, m->key);

	if (m->n * 4 >= m->slots * 3)
		kmap_resize(m, m->slots ? m->slots * 2 : 8);
	uint8_t *s = slot_at(m, kmap_find(m, key, h));
	if (!slot_hash(s)) {
		memset(s, 0, slot_size(m));
		memcpy(s, &h, sizeof(h));
		memcpy(s + SLOT_HEAD, key, m->key);
		m->n++;
	}
	return s + SLOT_HEAD;
}

bool kmap_del(struct kmap *m, const void *key)
{
	if (!m->n)
		return false;
	uint32_t i = kmap_find(m, key, kmap_hash(key, m->key)), mask = m->slots - 1;
	if (!slot_hash(slot_at(m, i)))
		return false;
	/* What follows moves up, so that no search stops at the gap. */
	for (uint32_t j = (i + 1) & mask;; j = (j + 1) & mask) {
		uint32_t h = slot_hash(slot_at(m, j));

		if (!h)
			break;
		if (((j - h) & mask) >= ((j - i) & mask)) {
			memcpy(slot_at(m, i), slot_at(m, j), slot_size(m));
			i = j;
		}
	}
	memset(slot_at(m, i), 0, slot_size(m));
	m->n--;
	return true;
}

void *kmap_next(const struct kmap *m, uint32_t *i)
{
	while (*i < m->slots) {
		uint8_t *s = slot_at(m, (*i)++);

		if (slot_hash(s))
			return s + SLOT_HEAD;
	}
	return NULL;
}
