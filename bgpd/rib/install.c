/* Best paths to the kernel's routes: shared groups of next hops, routes in batches. */
#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"

enum { MAX_MEMBERS = 256 };

void install_init(struct rib *rib)
{
	hidx_init(&rib->inst.index, 0);
	rib->inst.batch = xmalloc(INSTALL_BATCH * sizeof(struct prefix));
}

void install_fini(struct rib *rib)
{
	struct install *in = &rib->inst;
	for (unsigned f = 0; f < NFAM; f++) {
		map32_clear(&in->group[f]);
		bits_clear(&in->pending[f]);
	}
	for (uint32_t k = 0; k < in->cap; k++)
		free(in->nhgs[k]);
	free(in->nhgs);
	free(in->batch);
	hidx_fini(&in->index);
}

void install_mark(struct rib *rib, unsigned f, uint32_t i)
{
	if (!rib->global.install && !map32_get(&rib->inst.group[f], i))
		return;
	if (bits_add(&rib->inst.pending[f], i))
		node_pin(table_node(&rib->tab[f], i));
}

/* ---- groups of next hops ---- */

struct nhg_key {
	const struct install *in;
	const uint32_t *nh;
	unsigned n;
};

static bool nhg_eq(const void *ctx, uint32_t item)
{
	const struct nhg_key *k = ctx;
	const struct nhg *g = k->in->nhgs[item];
	return g->n == k->n && memcmp(g->nh, k->nh, k->n * sizeof(*k->nh)) == 0;
}

static bool alive(const struct rib *rib, uint32_t nh)
{
	const struct nexthop *n = nexthop_at(&rib->nexthops, nh);
	return nexthop_usable(n) && (!n->direct || !rib->peers[n->direct]->dead);
}

/* Tells the members that work; all of them where none does, for the routes are about to go. */
static void tell_group(struct rib *rib, struct nhg *g)
{
	struct rib_nexthop out[MAX_MEMBERS];
	unsigned n = 0, lost = 0;
	for (unsigned k = 0; k < g->n; k++)
		lost += !alive(rib, g->nh[k]);
	bool all = lost == g->n;
	for (unsigned k = 0; k < g->n; k++) {
		const struct nexthop *h = nexthop_at(&rib->nexthops, g->nh[k]);
		if (all || alive(rib, g->nh[k]))
			out[n++] = (struct rib_nexthop){ h->via, h->ifindex, 1 };
	}
	g->told = true;
	g->reduced = lost && !all;
	rib->ops.group_set(rib->arg, g->id, out, n);
}

static uint32_t nhg_add(struct rib *rib, const uint32_t *nh, unsigned n, uint64_t hash)
{
	struct install *in = &rib->inst;
	uint32_t id = 1;
	while (id < in->cap && in->nhgs[id])
		id++;
	if (id >= in->cap) {
		uint32_t cap = in->cap ? in->cap * 2 : 8;
		in->nhgs = xrealloc(in->nhgs, cap * sizeof(*in->nhgs));
		memset(in->nhgs + in->cap, 0, (cap - in->cap) * sizeof(*in->nhgs));
		in->cap = cap;
	}
	struct nhg *g = xcalloc(1, sizeof(*g) + n * sizeof(*nh));
	g->id = id;
	g->n = (uint16_t)n;
	memcpy(g->nh, nh, n * sizeof(*nh));
	for (unsigned k = 0; k < n; k++)
		nexthop_at(&rib->nexthops, nh[k])->refs++;
	in->nhgs[id] = g;
	in->count++;
	hidx_add(&in->index, hash, id);
	return id;
}

/* The group of these, known to the kernel's side and complete. */
static uint32_t nhg_get(struct rib *rib, const uint32_t *nh, unsigned n)
{
	struct nhg_key key = { &rib->inst, nh, n };
	uint64_t hash = hash_bytes(rib->seed, nh, n * sizeof(*nh));
	uint32_t id = hidx_find(&rib->inst.index, hash, nhg_eq, &key);
	if (!id)
		id = nhg_add(rib, nh, n, hash);
	struct nhg *g = rib->inst.nhgs[id];
	if (!g->told || g->reduced)
		tell_group(rib, g);
	return id;
}

static void nhg_put(struct rib *rib, uint32_t id)
{
	struct nhg *g = id ? rib->inst.nhgs[id] : NULL;
	if (!g || --g->refs)
		return;
	if (g->told)
		rib->ops.group_del(rib->arg, id);
	hidx_del(&rib->inst.index, hash_bytes(rib->seed, g->nh, g->n * sizeof(*g->nh)), id);
	for (unsigned k = 0; k < g->n; k++)
		nexthop_release(rib, g->nh[k]);
	rib->inst.nhgs[id] = NULL;
	rib->inst.count--;
	free(g);
}

void install_nexthop_lost(struct rib *rib, uint32_t nh)
{
	for (uint32_t id = 1; id < rib->inst.cap; id++) {
		struct nhg *g = rib->inst.nhgs[id];
		bool in = false, other = false;
		for (unsigned k = 0; g && k < g->n; k++) {
			in |= g->nh[k] == nh;
			other |= alive(rib, g->nh[k]);
		}
		if (in && other && g->told)
			tell_group(rib, g);
	}
}

/* ---- choosing ---- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static bool contains(const uint32_t *v, unsigned n, uint32_t x)
{
	for (unsigned k = 0; k < n; k++)
		if (v[k] == x)
			return true;
	return false;
}

static int by_via(const struct rib *rib, uint32_t a, uint32_t b)
{
	const struct nexthop *x = nexthop_at(&rib->nexthops, a);
	const struct nexthop *y = nexthop_at(&rib->nexthops, b);
	int d = addr_cmp(&x->via, &y->via);
	return d ? d : by_number(&x->ifindex, &y->ifindex);
}

/* Keeps nh[0], the best path's, and the lowest others in the order of their addresses. */
static void insert(const struct rib *rib, uint32_t *nh, unsigned *n, unsigned max, uint32_t x)
{
	unsigned at = *n;
	while (at > 1 && by_via(rib, x, nh[at - 1]) < 0)
		at--;
	if (at >= max)
		return;
	unsigned move = *n - at;
	if (*n == max)
		move--;
	else
		++*n;
	memmove(&nh[at + 1], &nh[at], move * sizeof(*nh));
	nh[at] = x;
}

static bool same_gateway(const struct rib *rib, const uint32_t *nh, unsigned n, uint32_t x)
{
	for (unsigned k = 0; k < n; k++)
		if (by_via(rib, nh[k], x) == 0)
			return true;
	return false;
}

static bool kept_out(const struct rib *rib, unsigned f, const struct node *node)
{
	struct prefix p;
	if (!rib->nkeep_out)
		return false;
	table_prefix(&rib->tab[f], node, &p);
	for (uint32_t k = 0; k < rib->nkeep_out; k++)
		if (prefix_covers(&rib->keep_out[k], &p))
			return true;
	return false;
}

/* The group that this prefix should have in the kernel; 0: none. */
static uint32_t choose(struct rib *rib, unsigned f, uint32_t i)
{
	uint32_t nh[MAX_MEMBERS];
	uint32_t best = best_attr(rib, f, i);
	if (!best || !rib->global.install)
		return 0;
	struct node *node = table_node(&rib->tab[f], i);
	nh[0] = attr_at(&rib->attrs, best)->nh;
	if (!nh[0] || kept_out(rib, f, node))
		return 0;
	unsigned n = 1, max = rib->global.max_paths;
	max = max < 1 ? 1 : max > MAX_MEMBERS ? MAX_MEMBERS : max;
	if (node->ext && max > 1) {
		unsigned k = gather(rib, &rib->tab[f], node);
		decision_best(rib->cand, k);
		for (unsigned c = 0; c < k; c++) {
			uint32_t x = attr_at(&rib->attrs, rib->cand_path[c]->attr)->nh;
			if (rib->cand[c].multipath && !contains(nh, n, x) &&
			    !same_gateway(rib, nh, n, x))
				insert(rib, nh, &n, max, x);
		}
		qsort(nh, n, sizeof(*nh), by_number);
	}
	return nhg_get(rib, nh, n);
}

/* ---- telling ---- */

struct told {
	uint32_t group, node;
};

static int by_group(const void *a, const void *b)
{
	return by_number(&((const struct told *)a)->group, &((const struct told *)b)->group);
}

static void tell_routes(struct rib *rib, unsigned f, struct told *v, unsigned n)
{
	if (n)
		qsort(v, n, sizeof(*v), by_group);
	for (unsigned k = 0; k < n;) {
		uint32_t id = v[k].group;
		unsigned m = 0;
		for (; k < n && v[k].group == id; k++)
			table_prefix(&rib->tab[f], table_node(&rib->tab[f], v[k].node),
				     &rib->inst.batch[m++]);
		if (id && !rib->inst.nhgs[id]->told)
			tell_group(rib, rib->inst.nhgs[id]);
		rib->ops.routes(rib->arg, id, rib->inst.batch, m);
	}
}

static unsigned run_pending(struct rib *rib, unsigned f, unsigned budget)
{
	struct install *in = &rib->inst;
	struct told told[INSTALL_BATCH];
	uint32_t seen[INSTALL_BATCH], old[INSTALL_BATCH];
	unsigned n = 0, m = 0, units = 0;
	while (units < budget && n < INSTALL_BATCH && in->pending[f].count) {
		uint64_t looked = rib->looked;
		uint32_t i = bits_next(&in->pending[f], in->at[f]);
		if (i == BITS_NONE)
			i = bits_next(&in->pending[f], 0);
		in->at[f] = i + 1;
		uint32_t now = choose(rib, f, i);
		bits_del(&in->pending[f], i);
		seen[n] = i;
		old[n] = map32_get(&in->group[f], i);
		if (now != old[n]) {
			struct node *node = table_node(&rib->tab[f], i);
			node->flags &= (uint8_t)~NODE_FAILED;
			map32_set(&in->group[f], i, now);
			if (now)
				in->nhgs[now]->refs++;
			if (!old[n])
				node_pin(node);
			told[m++] = (struct told){ now, i };
		} else {
			old[n] = 0;
		}
		n++;
		units += path_units(rib->looked - looked);
	}
	tell_routes(rib, f, told, m);
	/* Only now nothing points at the old groups and the prefixes are told. */
	for (unsigned k = 0; k < n; k++) {
		nhg_put(rib, old[k]);
		if (old[k] && !map32_get(&in->group[f], seen[k]))
			node_unpin(rib, f, seen[k]);
		node_unpin(rib, f, seen[k]);
	}
	return units;
}

static unsigned run_resend(struct rib *rib, unsigned budget)
{
	struct install *in = &rib->inst;
	struct told told[INSTALL_BATCH];
	unsigned n = 0, f = in->resend.f;
	while (n < budget && n < INSTALL_BATCH) {
		uint32_t i = map32_next(&in->group[f], in->resend.at);
		if (i == BITS_NONE)
			break;
		told[n++] = (struct told){ map32_get(&in->group[f], i), i };
		in->resend.at = i + 1;
	}
	tell_routes(rib, f, told, n);
	if (n)
		return n;
	in->resend.at = 0;
	if (++in->resend.f == NFAM)
		in->resend.on = false;
	return 1;
}

bool rib_install_done(const struct rib *rib)
{
	const struct install *in = &rib->inst;
	return !in->pending[0].count && !in->pending[1].count && !in->resend.on;
}

unsigned install_run(struct rib *rib, unsigned budget)
{
	unsigned done = 0;
	for (unsigned f = 0; f < NFAM; f++)
		while (done < budget && rib->inst.pending[f].count &&
		       rib->ops.may_install(rib->arg))
			done += run_pending(rib, f, budget - done);
	while (done < budget && rib->inst.resend.on && rib->ops.may_install(rib->arg))
		done += run_resend(rib, budget - done);
	return done;
}

void rib_resend(struct rib *rib)
{
	for (uint32_t id = 1; id < rib->inst.cap; id++)
		if (rib->inst.nhgs[id])
			rib->inst.nhgs[id]->told = false;
	rib->inst.resend = (struct sweep){ .on = true };
}

void rib_install_failed(struct rib *rib, const struct prefix *p, unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		if (p[k].addr.fam != FAM_V4 && p[k].addr.fam != FAM_V6)
			continue;
		struct table *t = &rib->tab[FAM_IX(p[k].addr.fam)];
		uint32_t i = table_find(t, &p[k], table_hash(t, &p[k]));
		if (i)
			table_node(t, i)->flags |= NODE_FAILED;
	}
}
