#include "config.h"

#include "ipam/block.h"

#include <stdlib.h>

#include "lib/arena.h"

enum { NIL = UINT32_MAX };

struct slot {
	uint32_t prev, next; /* in the free queue */
	bool held, reserved, foreign;
	uint64_t freed_at; /* 0: never used */
};

struct block {
	struct prefix cidr;
	uint32_t size, head, tail;
	struct slot *slots;
};

static void unlink_slot(struct block *b, uint32_t i)
{
	struct slot *s = &b->slots[i];

	if (s->prev == NIL)
		b->head = s->next;
	else
		b->slots[s->prev].next = s->next;
	if (s->next == NIL)
		b->tail = s->prev;
	else
		b->slots[s->next].prev = s->prev;
}

static void append_slot(struct block *b, uint32_t i)
{
	struct slot *s = &b->slots[i];

	s->prev = b->tail;
	s->next = NIL;
	if (b->tail == NIL)
		b->head = i;
	else
		b->slots[b->tail].next = i;
	b->tail = i;
}

struct block *block_new(const struct prefix *cidr)
{
	if (family_bits(cidr->addr.fam) - cidr->len > BLOCK_MAX_BITS)
		return NULL;

	struct block *b = xcalloc(1, sizeof(*b));
	b->cidr = prefix_mask(cidr);
	b->size = (uint32_t)prefix_size(cidr);
	b->head = b->tail = NIL;
	b->slots = xcalloc(b->size, sizeof(*b->slots));
	for (uint32_t i = 0; i < b->size; i++)
		append_slot(b, i);
	return b;
}

void block_free(struct block *b)
{
	if (b)
		free(b->slots);
	free(b);
}

static struct addr addr_of(const struct block *b, uint32_t i)
{
	return addr_add(&b->cidr.addr, i);
}

static bool ordinal_of(const struct block *b, const struct addr *a, uint32_t *i)
{
	if (!prefix_contains(&b->cidr, a))
		return false;
	*i = (uint32_t)prefix_offset(&b->cidr, a);
	return true;
}

void block_reserve(struct block *b, const struct prefix *p, unsigned n)
{
	for (uint32_t i = 0; i < b->size; i++) {
		struct addr a = addr_of(b, i);

		b->slots[i].reserved = false;
		for (unsigned k = 0; k < n && !b->slots[i].reserved; k++)
			b->slots[i].reserved = prefix_contains(&p[k], &a);
	}
}

void block_set_foreign(struct block *b, const struct addr *a, bool foreign)
{
	uint32_t i;

	if (!ordinal_of(b, a, &i) || b->slots[i].foreign == foreign)
		return;
	b->slots[i].foreign = foreign;
	if (foreign || b->slots[i].held)
		return;
	unlink_slot(b, i);
	append_slot(b, i);
}

bool block_foreign(const struct block *b, const struct addr *a)
{
	uint32_t i;

	return ordinal_of(b, a, &i) && b->slots[i].foreign;
}

/* What was freed "in the future" (the clock was set back) is cooling; block_next() counts it as
 * freed now, so that it is neither given at once nor kept away for years. */
static bool is_cooling(const struct slot *s, unsigned cooldown, uint64_t now)
{
	return s->freed_at != 0 && now < s->freed_at + cooldown;
}

bool block_next(struct block *b, unsigned cooldown, uint64_t now, struct addr *out)
{
	for (uint32_t i = b->head; i != NIL; i = b->slots[i].next) {
		struct slot *s = &b->slots[i];

		if (s->freed_at > now)
			s->freed_at = now;
		if (s->reserved || s->foreign || is_cooling(s, cooldown, now))
			continue;
		*out = addr_of(b, i);
		return true;
	}
	return false;
}

bool block_take(struct block *b, const struct addr *a)
{
	uint32_t i;

	if (!ordinal_of(b, a, &i) || b->slots[i].held)
		return false;
	unlink_slot(b, i);
	b->slots[i].held = true;
	return true;
}

void block_give(struct block *b, const struct addr *a, uint64_t now)
{
	uint32_t i;

	if (!ordinal_of(b, a, &i))
		return;
	if (!b->slots[i].held)
		unlink_slot(b, i);
	b->slots[i].held = false;
	b->slots[i].freed_at = now ? now : 1;
	append_slot(b, i);
}

bool block_held(const struct block *b, const struct addr *a)
{
	uint32_t i;

	return ordinal_of(b, a, &i) && b->slots[i].held;
}

void block_count(const struct block *b, unsigned cooldown, uint64_t now, struct block_count *out)
{
	*out = (struct block_count){ .size = b->size };
	for (uint32_t i = 0; i < b->size; i++) {
		const struct slot *s = &b->slots[i];

		if (s->held)
			out->held++;
		else if (s->foreign)
			out->foreign++;
		else if (s->reserved)
			out->reserved++;
		else if (is_cooling(s, cooldown, now))
			out->cooling++;
		else
			out->free++;
	}
}

void block_each_freed(const struct block *b,
		      void (*cb)(void *arg, const struct addr *a, uint64_t freed_at), void *arg)
{
	for (uint32_t i = b->head; i != NIL; i = b->slots[i].next) {
		struct addr a = addr_of(b, i);

		if (b->slots[i].freed_at)
			cb(arg, &a, b->slots[i].freed_at);
	}
}
