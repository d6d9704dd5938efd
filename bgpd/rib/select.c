/* The decision process: dirty prefixes in, best paths and marks for groups and kernel out. */
#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"

enum decision_reason path_reason(const struct rib *rib, const struct path *p)
{
	const struct attr *a = attr_at(&rib->attrs, p->attr);
	if (a->flags & ATTR_OWN_AS)
		return DECISION_OWN_AS;
	if (a->flags & ATTR_OWN_ORIGINATOR)
		return DECISION_OWN_ORIGINATOR;
	if (a->flags & ATTR_OWN_CLUSTER)
		return DECISION_OWN_CLUSTER;
	if (a->flags & ATTR_NO_POLICY)
		return DECISION_NO_POLICY;
	if (a->nh && nexthop_at(&rib->nexthops, a->nh)->own)
		return DECISION_OWN_NEXTHOP;
	if (a->nh && !nexthop_usable(nexthop_at(&rib->nexthops, a->nh)))
		return DECISION_NEXTHOP;
	return DECISION_BEST;
}

bool path_usable(const struct rib *rib, const struct path *p)
{
	const struct attr *a = attr_at(&rib->attrs, p->attr);
	return !(a->flags & ATTR_REJECTED) && !rib->peers[p->peer]->dead &&
	       (!a->nh || nexthop_usable(nexthop_at(&rib->nexthops, a->nh)));
}

static void fill(const struct rib *rib, const struct path *p, struct candidate *c)
{
	const struct attr *a = attr_at(&rib->attrs, p->attr);
	const struct rib_peer *peer = rib->peers[p->peer];
	*c = (struct candidate){
		.local = p->peer == LOCAL_PEER,
		.ebgp = peer->conf.ebgp,
		.origin = a->origin,
		.cluster_len = a->cluster_len,
		.path_len = a->path_len,
		.local_pref = a->local_pref,
		.med = a->med,
		.neighbour_as = a->neighbour_as,
		.metric = a->nh ? nexthop_at(&rib->nexthops, a->nh)->metric : 0,
		.router_id = a->router_id,
		.path_id = p->path_id,
		.peer = &peer->conf.address,
	};
}

unsigned gather(struct rib *rib, const struct table *t, struct node *node)
{
	unsigned n = 0;
	struct path_walk w;
	for (struct path *p = path_first(t, node, &w); p; p = path_next(t, &w)) {
		rib->looked++;
		if (!path_usable(rib, p))
			continue;
		if (n == rib->cand_cap) {
			rib->cand_cap = rib->cand_cap ? rib->cand_cap * 2 : 16;
			rib->cand = xrealloc(rib->cand, rib->cand_cap * sizeof(*rib->cand));
			rib->cand_path =
				xrealloc(rib->cand_path, rib->cand_cap * sizeof(*rib->cand_path));
		}
		fill(rib, p, &rib->cand[n]);
		rib->cand_path[n++] = p;
	}
	return n;
}

unsigned path_units(uint64_t looked)
{
	return 1 + (unsigned)(looked / 8);
}

/* Puts the best path first. true: there is one; *moved: it was not the first before. */
static bool find_best(struct rib *rib, const struct table *t, struct node *n, bool *moved)
{
	*moved = false;
	n->flags &= (uint8_t)~NODE_MED;
	if (!n->ext) {
		bool any = n->first.attr && path_usable(rib, &n->first);
		if (any && attr_at(&rib->attrs, n->first.attr)->med)
			n->flags |= NODE_MED;
		return any;
	}
	unsigned k = gather(rib, t, n);
	if (!k)
		return false;
	for (unsigned c = 0; c < k; c++)
		if (rib->cand[c].med)
			n->flags |= NODE_MED;
	struct path *best = rib->cand_path[k > 1 ? decision_best(rib->cand, k) : 0];
	if (best != &n->first) {
		struct path first = n->first;
		n->first = *best;
		*best = first;
		*moved = true;
	}
	return true;
}

void decide(struct rib *rib, unsigned f, uint32_t i)
{
	struct table *t = &rib->tab[f];
	struct node *n = table_node(t, i);
	bits_del(&rib->dirty[f], i);
	unsigned pool = rib->npools ? pool_flags(rib, t, n) : 0;
	bool moved, had = n->flags & NODE_BEST, touched = n->flags & NODE_TOUCHED;
	n->flags &= (uint8_t) ~(NODE_POOL | NODE_NO_POOL | NODE_BEST | NODE_TOUCHED);
	bool has = find_best(rib, t, n, &moved);
	n->flags = (uint8_t)(n->flags | pool | (has ? NODE_BEST : 0));
	if (touched || moved || has != had)
		groups_mark(rib, f, i);
	install_mark(rib, f, i);
	if (!n->first.attr && !n->pins)
		table_del(t, i);
}

/* The first path is the best one, and stays so unless another one beats it. */
static bool is_settled(const struct rib *rib, const struct node *n)
{
	return (n->flags & (NODE_BEST | NODE_TOUCHED | NODE_MED)) == NODE_BEST &&
	       path_usable(rib, &n->first);
}

static void mark_dirty(struct rib *rib, unsigned f, uint32_t i, bool first)
{
	struct node *n = table_node(&rib->tab[f], i);
	if (first && n->flags & NODE_BEST)
		n->flags |= NODE_TOUCHED;
	bits_add(&rib->dirty[f], i);
}

static void mark_multipath(struct rib *rib, unsigned f, uint32_t i)
{
	if (rib->global.max_paths > 1)
		install_mark(rib, f, i);
}

void path_changed(struct rib *rib, unsigned f, uint32_t i, const struct path *p, bool fresh)
{
	const struct node *n = table_node(&rib->tab[f], i);
	struct candidate now, best;
	enum decision_reason why;
	if (p == &n->first || !is_settled(rib, n) || attr_at(&rib->attrs, p->attr)->med) {
		mark_dirty(rib, f, i, p == &n->first);
		return;
	}
	if (path_usable(rib, p)) {
		fill(rib, p, &now);
		fill(rib, &n->first, &best);
		if (decision_compare(&now, &best, &why) < 0) {
			mark_dirty(rib, f, i, false);
			return;
		}
		if (why >= DECISION_ROUTER_ID)
			mark_multipath(rib, f, i);
	}
	if (!fresh)
		mark_multipath(rib, f, i);
}

void path_gone(struct rib *rib, unsigned f, uint32_t i, bool was_first)
{
	const struct node *n = table_node(&rib->tab[f], i);
	if (was_first || !is_settled(rib, n))
		mark_dirty(rib, f, i, was_first);
	else
		mark_multipath(rib, f, i);
}

unsigned decide_dirty(struct rib *rib, unsigned budget)
{
	unsigned done = 0;
	for (unsigned f = 0; f < NFAM; f++) {
		while (done < budget && rib->dirty[f].count) {
			uint32_t i = bits_next(&rib->dirty[f], rib->dirty_at[f]);
			if (i == BITS_NONE)
				i = bits_next(&rib->dirty[f], 0);
			rib->dirty_at[f] = i + 1;
			uint64_t looked = rib->looked;
			decide(rib, f, i);
			done += path_units(rib->looked - looked);
		}
	}
	return done;
}

uint32_t best_attr(struct rib *rib, unsigned f, uint32_t i)
{
	struct node *n = table_node(&rib->tab[f], i);
	bool lost = n->flags & NODE_BEST && !path_usable(rib, &n->first);
	if (lost)
		n->flags |= NODE_TOUCHED;
	if (lost || bits_has(&rib->dirty[f], i))
		decide(rib, f, i);
	return n->flags & NODE_BEST ? n->first.attr : 0;
}
