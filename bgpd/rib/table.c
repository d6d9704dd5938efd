#include "bgpd/rib/table.h"

#include <string.h>

enum { SEGMENT_BITS = 9, FIVE = 5 };

/* A block's number: its index in `one`, or in `five` with this bit set. */
#define IS_FIVE 0x80000000u

struct block_one {
	struct path p;
	uint32_t next;
};

struct block_five {
	struct path p[FIVE];
	uint32_t next;
};

_Static_assert(sizeof(struct path) == 12 && sizeof(struct node) == 20, "layout");
_Static_assert(sizeof(struct block_one) == 16 && sizeof(struct block_five) == 64, "layout");

void table_init(struct table *t, uint8_t fam, uint64_t seed)
{
	t->fam = fam;
	t->seed = seed;
	hidx_init(&t->index, SEGMENT_BITS);
	slab_init(&t->nodes, (uint32_t)sizeof(struct node) + family_bytes(fam));
	slab_init(&t->one, sizeof(struct block_one));
	slab_init(&t->five, sizeof(struct block_five));
}

void table_fini(struct table *t)
{
	hidx_fini(&t->index);
	slab_fini(&t->nodes);
	slab_fini(&t->one);
	slab_fini(&t->five);
}

static uint64_t key_hash(const struct table *t, const uint8_t *key, uint8_t len)
{
	if (t->fam == FAM_V4) {
		uint32_t k;
		memcpy(&k, key, 4);
		return hash_end(hash_mix(t->seed, (uint64_t)k << 8 | len));
	}
	uint64_t a, b;
	memcpy(&a, key, 8);
	memcpy(&b, key + 8, 8);
	return hash_end(hash_mix(hash_mix(t->seed ^ len, a), b));
}

uint64_t table_hash(const struct table *t, const struct prefix *p)
{
	return key_hash(t, p->addr.b, p->len);
}

struct key_ctx {
	const struct table *t;
	const struct prefix *p;
};

static inline bool key_eq(const void *ctx, uint32_t item)
{
	const struct key_ctx *k = ctx;
	const struct node *n = table_node(k->t, item);
	if (n->len != k->p->len)
		return false;
	return k->t->fam == FAM_V4 ? memcmp(n->key, k->p->addr.b, 4) == 0
				   : memcmp(n->key, k->p->addr.b, 16) == 0;
}

uint32_t table_find(const struct table *t, const struct prefix *p, uint64_t hash)
{
	struct key_ctx ctx = { t, p };
	return hidx_find(&t->index, hash, key_eq, &ctx);
}

uint32_t table_add(struct table *t, const struct prefix *p, uint64_t hash)
{
	uint32_t i = slab_alloc(&t->nodes);
	struct node *n = table_node(t, i);
	memset(n, 0, sizeof(*n));
	n->len = p->len;
	memcpy(n->key, p->addr.b, family_bytes(t->fam));
	hidx_add(&t->index, hash, i);
	return i;
}

void table_del(struct table *t, uint32_t i)
{
	struct node *n = table_node(t, i);
	hidx_del(&t->index, key_hash(t, n->key, n->len), i);
	n->len = NODE_FREE;
	slab_free(&t->nodes, i);
}

void table_del_soon(const struct table *t, uint32_t i)
{
	const struct node *n = table_node(t, i);
	hidx_prefetch(&t->index, key_hash(t, n->key, n->len));
}

size_t table_bytes(const struct table *t)
{
	return hidx_bytes(&t->index) + t->nodes.bytes + t->one.bytes + t->five.bytes;
}

void table_prefix(const struct table *t, const struct node *n, struct prefix *out)
{
	memset(out, 0, sizeof(*out));
	out->addr.fam = t->fam;
	memcpy(out->addr.b, n->key, family_bytes(t->fam));
	out->len = n->len;
}

static inline struct block_five *five_at(const struct table *t, uint32_t block)
{
	return slab_at(&t->five, block & ~IS_FIVE);
}

struct path *path_add(struct table *t, struct node *n)
{
	if (!n->first.attr)
		return &n->first;
	if (!n->ext) {
		n->ext = slab_alloc(&t->one);
		struct block_one *b = slab_at(&t->one, n->ext);
		b->next = 0;
		return &b->p;
	}
	if (n->ext & IS_FIVE) {
		struct block_five *b = five_at(t, n->ext);
		for (unsigned k = 0; k < FIVE; k++)
			if (!b->p[k].attr)
				return &b->p[k];
	}
	uint32_t i = slab_alloc(&t->five);
	struct block_five *b = slab_at(&t->five, i);
	memset(b, 0, sizeof(*b));
	b->next = n->ext;
	n->ext = i | IS_FIVE;
	return &b->p[0];
}

/* Out of the newest block, which goes when that was its only one. */
struct path path_pop(struct table *t, struct node *n)
{
	if (!(n->ext & IS_FIVE)) {
		struct block_one *b = slab_at(&t->one, n->ext);
		struct path last = b->p;
		uint32_t next = b->next;
		slab_free(&t->one, n->ext);
		n->ext = next;
		return last;
	}
	struct block_five *b = five_at(t, n->ext);
	unsigned k = FIVE - 1;
	while (!b->p[k].attr)
		k--;
	struct path last = b->p[k];
	b->p[k].attr = 0;
	if (k == 0) {
		uint32_t next = b->next;
		slab_free(&t->five, n->ext & ~IS_FIVE);
		n->ext = next;
	}
	return last;
}

static struct path *last_path(const struct table *t, struct node *n)
{
	if (!n->ext)
		return &n->first;
	if (!(n->ext & IS_FIVE))
		return &((struct block_one *)slab_at(&t->one, n->ext))->p;
	struct block_five *b = five_at(t, n->ext);
	unsigned k = FIVE - 1;
	while (!b->p[k].attr)
		k--;
	return &b->p[k];
}

void path_del(struct table *t, struct node *n, struct path *p)
{
	if (!n->ext) {
		n->first = (struct path){ 0 };
		return;
	}
	if (p == last_path(t, n))
		path_pop(t, n);
	else
		*p = path_pop(t, n);
}

struct path *path_first(const struct table *t, struct node *n, struct path_walk *w)
{
	(void)t;
	*w = (struct path_walk){ .block = n->ext };
	return n->first.attr ? &n->first : NULL;
}

struct path *path_next(const struct table *t, struct path_walk *w)
{
	while (w->block) {
		if (!(w->block & IS_FIVE)) {
			struct block_one *b = slab_at(&t->one, w->block);
			w->block = b->next;
			w->k = 0;
			return &b->p;
		}
		struct block_five *b = five_at(t, w->block);
		if (w->k < FIVE && b->p[w->k].attr)
			return &b->p[w->k++];
		w->block = b->next;
		w->k = 0;
	}
	return NULL;
}

static inline bool is_path(const struct path *p, uint16_t peer, uint32_t path_id)
{
	return p->peer == peer && p->path_id == path_id && p->attr;
}

struct path *path_find(const struct table *t, struct node *n, uint16_t peer, uint32_t path_id)
{
	if (is_path(&n->first, peer, path_id))
		return &n->first;
	uint32_t block = n->ext;
	while (block & IS_FIVE) {
		struct block_five *b = five_at(t, block);
		for (unsigned k = 0; k < FIVE; k++)
			if (is_path(&b->p[k], peer, path_id))
				return &b->p[k];
		block = b->next;
	}
	if (!block)
		return NULL;
	/* The oldest block is the one of one path. */
	struct block_one *b = slab_at(&t->one, block);
	return is_path(&b->p, peer, path_id) ? &b->p : NULL;
}
