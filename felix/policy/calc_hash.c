#include "config.h"

#include "felix/policy/calc_hash.h"

static void insert(struct hset *s, void *item)
{
	uint32_t i = hset_hash_of(item) & (s->slots - 1);

	while (s->v[i])
		i = (i + 1) & (s->slots - 1);
	s->v[i] = item;
}

static void resize(struct hset *s, uint32_t slots)
{
	struct hset old = *s;

	s->slots = slots;
	s->v = xcalloc(slots, sizeof(*s->v));
	for (uint32_t i = 0; i < old.slots; i++)
		if (old.v[i])
			insert(s, old.v[i]);
	free(old.v);
}

void *hset_find(const struct hset *s, uint32_t hash, hset_eq eq, const void *key)
{
	if (!s->slots)
		return NULL;
	for (uint32_t i = hash & (s->slots - 1); s->v[i]; i = (i + 1) & (s->slots - 1))
		if (hset_hash_of(s->v[i]) == hash && eq(s->v[i], key))
			return s->v[i];
	return NULL;
}

void hset_add(struct hset *s, void *item)
{
	if ((s->n + 1) * 4 > s->slots * 3)
		resize(s, s->slots ? s->slots * 2 : 16);
	insert(s, item);
	s->n++;
}

void hset_remove(struct hset *s, const void *item)
{
	uint32_t mask = s->slots - 1, i = hset_hash_of(item) & mask, hole;

	while (s->v[i] != item)
		i = (i + 1) & mask;
	hole = i;
	for (;;) {
		i = (i + 1) & mask;
		if (!s->v[i])
			break;
		uint32_t home = hset_hash_of(s->v[i]) & mask;

		/* It may move into the hole unless its home lies between the hole and it. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			s->v[hole] = s->v[i];
			hole = i;
		}
	}
	s->v[hole] = NULL;
	s->n--;
	if (s->slots > 64 && s->n * 8 < s->slots)
		resize(s, s->slots / 2);
}

void hset_free(struct hset *s)
{
	free(s->v);
	*s = (struct hset){ 0 };
}
