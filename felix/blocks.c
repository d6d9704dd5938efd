#include "config.h"

#include "felix/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "ipam/ipam.h"
#include "lib/selector.h"

struct finder {
	const struct store *store;
	const char *node;
	const struct field_kvs *labels;
	struct arena *arena;
	struct node_blocks *out;
	unsigned cap;
	struct problems *problems;
};

#define SAY(p, o, ...)                                                                             \
	problem_line((p),                                                                          \
		     arena_printf((p)->arena, "%s: %s \"%s\": %s", (o)->origin, (o)->kind_text,    \
				  (o)->name, arena_printf((p)->arena, __VA_ARGS__)))

const struct field_kvs *node_labels(const struct store *store, const char *node)
{
	static const struct field_kvs none = { 0 };
	const struct object *o = store_find(store, KIND_NODE, "", node);

	return o ? &o->labels : &none;
}

bool selector_takes(const struct object *owner, const char *key, const char *selector,
		    const struct field_kvs *labels, struct problems *problems)
{
	struct arena scratch = { 0 };
	struct err err;
	const struct selector *s = selector_parse(selector, &scratch, &err);
	bool takes = s && selector_matches(s, labels);

	if (!s)
		SAY(problems, owner, "spec.%s: %s", key, err.text);
	arena_free(&scratch);
	return takes;
}

static int by_order(const void *a, const void *b)
{
	return object_order(*(const struct object *const *)a, *(const struct object *const *)b);
}

const struct object **nodes_in_order(const struct store *store, struct arena *arena, unsigned *n)
{
	const struct object *const *list = store_list(store, KIND_NODE, n);
	const struct object **v = arena_array(arena, *n + 1, sizeof(*v));

	if (*n) {
		memcpy(v, list, *n * sizeof(*v));
		qsort(v, *n, sizeof(*v), by_order);
	}
	return v;
}

static bool for_workloads(const struct spec_ippool *p)
{
	for (uint32_t i = 0; i < p->allowed_uses.n; i++)
		if (!strcmp(((const char *const *)p->allowed_uses.v)[i], "Workload"))
			return true;
	return !p->allowed_uses.n;
}

static bool may_allocate(const struct finder *f, const struct object *pool)
{
	const struct spec_ippool *p = pool->spec;

	return !p->disabled && p->assignment_mode == 0 && for_workloads(p) &&
	       selector_takes(pool, "nodeSelector", p->node_selector, f->labels, f->problems);
}

static void add(struct finder *f, const struct node_block *block)
{
	struct node_blocks *b = f->out;

	if (b->n == f->cap) {
		unsigned cap = f->cap ? f->cap * 2 : 8;
		struct node_block *v = arena_array(f->arena, cap, sizeof(*v));

		if (b->n)
			memcpy(v, b->v, b->n * sizeof(*v));
		b->v = v;
		f->cap = cap;
	}
	b->v[b->n++] = *block;
}

static void add_of_pool(struct finder *f, const struct prefix *cidr, const struct object *pool,
			bool allocate)
{
	const struct spec_ippool *p = pool->spec;

	add(f, &(struct node_block){ *cidr, p->cidr, allocate, !p->disable_bgp_export, false });
}

static int by_cidr(const void *a, const void *b)
{
	return prefix_cmp(&((const struct node_block *)a)->cidr,
			  &((const struct node_block *)b)->cidr);
}

/* The node's own affinities in this pool. true: the pool has affinity documents of any kind. */
static bool take_affinities(struct finder *f, const struct object *pool, bool allocate)
{
	const struct spec_ippool *p = pool->spec;
	unsigned n, first = f->out->n, kept;
	const struct object *const *v = store_list(f->store, KIND_BLOCKAFFINITY, &n);
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		const struct spec_blockaffinity *a = v[i]->spec;

		if (!prefix_covers(&p->cidr, &a->cidr))
			continue;
		any = true;
		if (!a->deleted && a->state == AFFINITY_CONFIRMED && !strcmp(a->type, "host") &&
		    !strcmp(a->node, f->node))
			add_of_pool(f, &a->cidr, pool, allocate);
	}
	if (f->out->n == first)
		return any;
	/* Two documents for one block, or one inside another, are one block: the outer one. */
	struct node_block *b = f->out->v + first;

	qsort(b, f->out->n - first, sizeof(*b), by_cidr);
	kept = 1;
	for (unsigned i = 1; i < f->out->n - first; i++)
		if (!prefix_covers(&b[kept - 1].cidr, &b[i].cidr))
			b[kept++] = b[i];
	f->out->n = first + kept;
	return any;
}

static void compute(struct finder *f, const struct object *pool)
{
	const struct spec_ippool *p = pool->spec;
	const struct blocks_pool bp = { p->cidr, p->block_size };
	struct arena scratch = { 0 };
	unsigned n, chosen = 0, own = UINT32_MAX;
	const struct object **nodes = nodes_in_order(f->store, &scratch, &n);
	const char **names = arena_array(&scratch, n + 1, sizeof(*names));

	for (unsigned i = 0; i < n; i++) {
		if (!selector_takes(pool, "nodeSelector", p->node_selector, &nodes[i]->labels,
				    f->problems))
			continue;
		if (!strcmp(nodes[i]->name, f->node))
			own = chosen;
		names[chosen++] = nodes[i]->name;
	}
	if (!n) {
		own = 0;
		names[chosen++] = f->node;
	}
	if (own == UINT32_MAX) {
		SAY(f->problems, pool,
		    "no block for this node: the folder has Node documents, but none named \"%s\"; "
		    "add "
		    "one (or a BlockAffinity)",
		    f->node);
		arena_free(&scratch);
		return;
	}
	struct prefix *blocks = arena_array(&scratch, chosen, sizeof(*blocks));

	blocks_compute(&bp, names, chosen, NULL, 0, blocks);
	if (blocks[own].len)
		add_of_pool(f, &blocks[own], pool, true);
	else
		SAY(f->problems, pool,
		    "no block is left for this node; use a wider cidr or smaller blocks");
	arena_free(&scratch);
}

static void take_claims(struct finder *f, const struct node_claims *claims,
			const struct object *const *pools, unsigned npools)
{
	for (unsigned i = 0; i < claims->n; i++) {
		const struct node_claim *c = &claims->v[i];
		bool export_ = c->advertise;

		for (unsigned k = 0; k < npools; k++) {
			const struct spec_ippool *p = pools[k]->spec;

			if (p->disable_bgp_export && prefix_covers(&p->cidr, &c->cidr))
				export_ = false;
		}
		add(f, &(struct node_block){ c->cidr, c->pool, c->allocate, export_, c->closed });
	}
}

void node_blocks_find(const struct store *store, const char *node, const struct node_claims *claims,
		      struct arena *arena, struct node_blocks *out, struct problems *problems)
{
	struct finder f = { store, node, node_labels(store, node), arena, out, 0, problems };
	unsigned n;
	const struct object *const *pools = store_list(store, KIND_IPPOOL, &n);

	*out = (struct node_blocks){ 0 };
	if (claims) {
		take_claims(&f, claims, pools, n);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		bool allocate = may_allocate(&f, pools[i]);

		if (!take_affinities(&f, pools[i], allocate) && allocate)
			compute(&f, pools[i]);
	}
}
