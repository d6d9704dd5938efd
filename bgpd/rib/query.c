/* What nodectl asks: routes as they are, as received, as sent, and why a path is not the best. */
#include "bgpd/rib/internal.h"

enum { LOOK_AT = 4096 };

static void add_communities(struct arena *arena, const struct attrs *a, struct m_ctl_path *out)
{
	unsigned n = a->communities.len / 4u, x = a->ext_communities.len / 8u;
	unsigned l = a->large_communities.len / 12u;
	out->communities.v = arena_array(arena, n + x + l + 1, sizeof(struct msg_text));
	char buf[64];
	for (unsigned k = 0; k < n; k++) {
		struct rd r = rd_over(a->communities.p + 4 * k, 4);
		out->communities.v[out->communities.n++].text =
			arena_strdup(arena, community_format(rd_u32(&r), buf, sizeof(buf)));
	}
	for (unsigned k = 0; k < x; k++)
		out->communities.v[out->communities.n++].text =
			arena_strdup(arena, ext_community_format(a->ext_communities.p + 8 * k, buf,
								 sizeof(buf)));
	for (unsigned k = 0; k < l; k++)
		out->communities.v[out->communities.n++].text =
			arena_strdup(arena, large_community_format(a->large_communities.p + 12 * k,
								   buf, sizeof(buf)));
}

static void add_as_path(struct arena *arena, struct blob path, struct m_ctl_path *out)
{
	size_t size = (size_t)path.len * 3 + 16;
	char *text = arena_alloc(arena, size);
	as_path_format(path, text, size);
	out->as_path_text = text;
	out->as_path.v = arena_array(arena, path.len / 4u + 1u, sizeof(struct msg_u32));
	struct rd r = rd_over(path.p, path.len);
	while (rd_left(&r)) {
		rd_u8(&r);
		for (unsigned n = rd_u8(&r); n && !r.bad; n--)
			out->as_path.v[out->as_path.n++].v = rd_u32(&r);
	}
}

static void fill_path(const struct rib *rib, const struct attr *a, const struct attrs *at,
		      const struct addr *nh, struct arena *arena, struct m_ctl_path *out)
{
	const char *name = rib->peers[a->peer]->conf.name;
	*out = (struct m_ctl_path){ .peer = arena_strdup(arena, name ? name : ""),
				    .local_pref =
					    at->has_local_pref ? at->local_pref : a->local_pref,
				    .med = at->med,
				    .has_med = at->has_med,
				    .origin = at->origin,
				    .reason = "" };
	if (nh)
		out->nexthop = *nh;
	add_as_path(arena, at->as_path, out);
	add_communities(arena, at, out);
}

static const struct addr *gateway(const struct rib *rib, const struct attr *a)
{
	return a->nh ? &nexthop_at(&rib->nexthops, a->nh)->addr.global : NULL;
}

static void explain(struct rib *rib, unsigned f, struct node *n)
{
	unsigned k = gather(rib, &rib->tab[f], n);
	if (k)
		decision_explain(rib->cand, k);
	for (unsigned c = k; c < rib->cand_cap; c++)
		rib->cand_path[c] = NULL;
}

static const struct candidate *candidate_of(const struct rib *rib, const struct path *p)
{
	for (unsigned c = 0; c < rib->cand_cap && rib->cand_path[c]; c++)
		if (rib->cand_path[c] == p)
			return &rib->cand[c];
	return NULL;
}

static unsigned count_paths(const struct table *t, struct node *n)
{
	struct path_walk w;
	unsigned k = 0;
	for (struct path *p = path_first(t, n, &w); p; p = path_next(t, &w))
		k++;
	return k;
}

static void add_paths(struct rib *rib, unsigned f, struct node *n, const struct rib_query *q,
		      struct arena *arena, struct m_ctl_route *out)
{
	const struct table *t = &rib->tab[f];
	struct path_walk w;
	explain(rib, f, n);
	out->paths.v = arena_array(arena, count_paths(t, n) + 1, sizeof(struct m_ctl_path));
	for (struct path *p = path_first(t, n, &w); p; p = path_next(t, &w)) {
		const struct rib_peer *peer = rib->peers[p->peer];
		const struct candidate *c = candidate_of(rib, p);
		bool best = c && c->lost == DECISION_BEST;
		if (peer->dead || (q->filter == CTL_ROUTE_IN && peer != q->peer) ||
		    (q->filter == CTL_ROUTE_BEST && !best))
			continue;
		const struct attr *a = attr_at(&rib->attrs, p->attr);
		struct attrs at;
		attrs_decode_own(attr_blob(a), a->len, &at);
		struct m_ctl_path *m = &out->paths.v[out->paths.n++];
		fill_path(rib, a, &at, gateway(rib, a), arena, m);
		m->best = best;
		m->multipath = c && c->multipath && p->peer != LOCAL_PEER;
		m->reason = decision_reason_text(c ? c->lost : path_reason(rib, p));
	}
}

static void add_sent(struct rib *rib, unsigned f, uint32_t i, const struct rib_peer *peer,
		     struct arena *arena, struct m_ctl_route *out)
{
	uint32_t k = peer->group ? map32_get(&peer->group->out[f], i) : 0;
	if (!k || attr_at(&rib->attrs, k)->peer == peer->id)
		return;
	const struct attr *a = attr_at(&rib->attrs, k);
	struct attrs at;
	struct bgp_nexthop nh;
	if (!export_nexthop(rib, peer->group, f, a, &nh) ||
	    !export_attrs(rib, peer->group, a, arena_alloc(arena, EXPORT_SCRATCH), &at))
		return;
	out->paths.v = arena_array(arena, 1, sizeof(struct m_ctl_path));
	out->paths.n = 1;
	fill_path(rib, a, &at, &nh.global, arena, out->paths.v);
	out->paths.v[0].best = true;
}

static void add_told(struct rib *rib, unsigned f, uint32_t i, struct arena *arena,
		     struct m_ctl_route *out)
{
	out->advertised_to.v = arena_array(arena, rib->npeers, sizeof(struct msg_text));
	for (uint32_t k = 1; k < rib->npeers; k++) {
		const struct rib_peer *p = rib->peers[k];
		uint32_t a = p && p->group ? map32_get(&p->group->out[f], i) : 0;
		if (a && attr_at(&rib->attrs, a)->peer != p->id)
			out->advertised_to.v[out->advertised_to.n++].text =
				arena_strdup(arena, p->conf.name ? p->conf.name : "");
	}
}

/* false: nothing of this prefix is selected. */
static bool fill_route(struct rib *rib, unsigned f, uint32_t i, const struct rib_query *q,
		       struct arena *arena, struct m_ctl_route *out)
{
	struct node *n = table_live(&rib->tab[f], i);
	memset(out, 0, sizeof(*out));
	if (!n || (!n->first.attr && q->filter != CTL_ROUTE_OUT))
		return false;
	if (q->filter == CTL_ROUTE_OUT) {
		if (!q->peer || !q->peer->group || !map32_get(&q->peer->group->out[f], i))
			return false;
		add_sent(rib, f, i, q->peer, arena, out);
	} else {
		add_paths(rib, f, n, q, arena, out);
	}
	if (!out->paths.n)
		return false;
	table_prefix(&rib->tab[f], n, &out->prefix);
	out->installed = map32_get(&rib->inst.group[f], i) && !(n->flags & NODE_FAILED);
	add_told(rib, f, i, arena, out);
	return true;
}

/* The prefix itself, else the longest one that covers it. */
static bool find_one(struct rib *rib, const struct rib_query *q, struct arena *arena,
		     struct m_ctl_route *out)
{
	struct prefix p = prefix_mask(&q->prefix);
	struct table *t = &rib->tab[FAM_IX(p.addr.fam)];
	for (;;) {
		uint32_t i = table_find(t, &p, table_hash(t, &p));
		if (i && fill_route(rib, FAM_IX(p.addr.fam), i, q, arena, out))
			return true;
		if (p.len == 0)
			return false;
		p.len--;
		p = prefix_mask(&p);
	}
}

bool rib_query_next(struct rib *rib, const struct rib_query *q, struct rib_cursor *c,
		    struct arena *arena, struct m_ctl_route *out, bool *again)
{
	*again = false;
	if (q->prefix.addr.fam == FAM_V4 || q->prefix.addr.fam == FAM_V6) {
		if (c->fam)
			return false;
		c->fam = FAM_V6;
		c->slot = UINT32_MAX;
		return find_one(rib, q, arena, out);
	}
	if (!c->fam)
		*c = (struct rib_cursor){ .fam = FAM_V4 };
	for (unsigned looked = 0; looked < LOOK_AT; looked++) {
		unsigned f = FAM_IX(c->fam);
		if (c->slot >= table_end(&rib->tab[f])) {
			if (c->fam == FAM_V6)
				return false;
			*c = (struct rib_cursor){ .fam = FAM_V6 };
			continue;
		}
		if (fill_route(rib, f, c->slot++, q, arena, out))
			return true;
	}
	*again = true;
	return false;
}
