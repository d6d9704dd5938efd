/* UPDATEs in: Adj-RIB-In, import policy, loop checks; prefixes become dirty. */
#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"

static const struct bgp_session_ctx canonical = { .as4 = true, .max_message = BGP_MAX_EXTENDED };

/* ---- attributes ---- */

static bool has_cluster(struct blob list, uint32_t id)
{
	uint8_t b[4];
	put_u32(b, id);
	for (unsigned k = 0; k + 4 <= list.len; k += 4)
		if (memcmp(list.p + k, b, 4) == 0)
			return true;
	return false;
}

uint8_t import_flags(const struct rib *rib, const struct rib_peer *peer, const struct attrs *a)
{
	const struct rib_global *g = &rib->global;
	const struct rib_peer_conf *c = &peer->conf;
	unsigned flags = 0, allowed = c->allowed_own_as;
	if (as_path_count(a->as_path, c->local_asn) > allowed ||
	    (g->asn != c->local_asn && as_path_count(a->as_path, g->asn) > allowed))
		flags |= ATTR_OWN_AS;
	if (a->has_originator && a->originator == g->router_id)
		flags |= ATTR_OWN_ORIGINATOR;
	if (g->cluster_id && has_cluster(a->cluster_list, g->cluster_id))
		flags |= ATTR_OWN_CLUSTER;
	if (g->require_policy && c->ebgp && !c->policy)
		flags |= ATTR_NO_POLICY;
	if (community_has(a->communities, (uint32_t)COMM_NO_EXPORT) ||
	    community_has(a->communities, (uint32_t)COMM_NO_EXPORT_SUBCONFED))
		flags |= ATTR_NO_EXPORT;
	if (community_has(a->communities, (uint32_t)COMM_NO_ADVERTISE))
		flags |= ATTR_NO_ADVERTISE;
	if (a->has_med)
		flags |= ATTR_HAS_MED;
	return (uint8_t)flags;
}

static uint32_t intern(struct rib *rib, struct rib_peer *peer, uint32_t nh, const struct attrs *a)
{
	uint8_t buf[BGP_MAX_EXTENDED];
	struct wr w = wr_over(buf, sizeof(buf));
	attrs_encode(&w, a, &canonical);
	struct attr as = {
		.nh = nh,
		.local_pref = a->has_local_pref ? a->local_pref : DEFAULT_LOCAL_PREF,
		.med = a->has_med ? a->med : 0,
		.neighbour_as = as_path_first(a->as_path),
		.router_id = a->has_originator ? a->originator : peer->conf.id,
		.peer = peer->id,
		.path_len = (uint16_t)as_path_length(a->as_path),
		.cluster_len =
			(uint8_t)(a->cluster_list.len / 4 > 255 ? 255 : a->cluster_list.len / 4),
		.origin = a->origin,
	};
	bool fresh;
	uint32_t i = attr_intern(&rib->attrs, &as, buf, (uint16_t)w.len, &fresh);
	if (fresh) {
		struct attr *made = attr_at(&rib->attrs, i);
		made->flags |= import_flags(rib, peer, a);
		if (nh)
			nexthop_at(&rib->nexthops, nh)->refs++;
		peer->holds++;
	}
	return i;
}

/* The peer itself on a shared link needs no resolving: it is reachable while the session is. */
static bool is_direct(const struct rib_peer_conf *c, const struct bgp_nexthop *nh)
{
	if (!c->connected || !c->ebgp)
		return false;
	return addr_eq(&nh->global, &c->address) ||
	       (nh->linklocal.fam && addr_eq(&nh->linklocal, &c->address));
}

static uint32_t get_nexthop(struct rib *rib, struct rib_peer *peer, const struct bgp_nexthop *nh)
{
	bool fresh, first;
	uint32_t i = nexthop_get(&rib->nexthops, nh, peer->conf.ifindex,
				 is_direct(&peer->conf, nh) ? peer->id : 0, &fresh, &first);
	struct nexthop *n = nexthop_at(&rib->nexthops, i);
	if (fresh) {
		n->own = peer_own_address(rib, &nh->global);
		if (n->direct)
			peer->holds++;
	}
	if (first) {
		struct addr via = n->via;
		rib->ops.nexthop_track(rib->arg, &via, n->ifindex, true);
	}
	return i;
}

static uint32_t make_attr(struct rib *rib, struct rib_peer *peer, const struct bgp_nexthop *addr,
			  const struct attrs *received)
{
	struct attrs a = *received;
	/* RFC 8326 section 4: what is about to go is the last choice. */
	if (community_has(a.communities, (uint32_t)COMM_GRACEFUL_SHUTDOWN)) {
		a.has_local_pref = true;
		a.local_pref = 0;
	}
	uint32_t nh = get_nexthop(rib, peer, addr);
	uint32_t i = intern(rib, peer, nh, &a);
	nexthop_release(rib, nh);
	return i;
}

static bool same_nexthop(const struct bgp_nexthop *a, const struct bgp_nexthop *b)
{
	return addr_eq(&a->global, &b->global) && addr_eq(&a->linklocal, &b->linklocal);
}

/* With one reference for the caller. A block that was seen lately needs no work at all. */
static uint32_t attr_of(struct rib *rib, struct rib_peer *peer, const struct bgp_update *u,
			const struct bgp_nexthop *nh)
{
	if (!u->raw.len || u->raw.len > RAW_MAX)
		return make_attr(rib, peer, nh, &u->attrs);
	uint64_t h = hash_bytes(peer->id, u->raw.p, u->raw.len);
	struct raw_entry *e = &rib->raw[(h >> 40) % RAW_CACHE];
	if (e->attr && e->peer == peer->id && e->len == u->raw.len &&
	    memcmp(e->raw, u->raw.p, e->len) == 0 && same_nexthop(&e->nh, nh)) {
		attr_ref(rib, e->attr);
		return e->attr;
	}
	uint32_t i = make_attr(rib, peer, nh, &u->attrs);
	attr_ref(rib, i);
	if (e->attr)
		attr_unref(rib, e->attr);
	e->attr = i;
	e->peer = peer->id;
	e->len = u->raw.len;
	e->nh = *nh;
	memcpy(e->raw, u->raw.p, e->len);
	return i;
}

void raw_cache_flush(struct rib *rib, const struct rib_peer *peer)
{
	for (unsigned k = 0; k < RAW_CACHE; k++) {
		struct raw_entry *e = &rib->raw[k];
		if (!e->attr || (peer && e->peer != peer->id))
			continue;
		uint32_t i = e->attr;
		e->attr = 0;
		attr_unref(rib, i);
	}
}

/* ---- paths ---- */

static bool accepted(const struct rib *rib, uint32_t attr)
{
	return !(attr_at(&rib->attrs, attr)->flags & ATTR_REJECTED);
}

void path_drop(struct rib *rib, unsigned f, const struct path *was)
{
	struct rib_peer *peer = rib->peers[was->peer];
	peer->received[f]--;
	peer->accepted[f] -= accepted(rib, was->attr);
	rib->paths--;
	attr_unref(rib, was->attr);
}

void path_remove(struct rib *rib, unsigned f, uint32_t i, struct path *p)
{
	struct node *n = table_node(&rib->tab[f], i);
	struct path was = *p;
	bool first = p == &n->first;
	path_del(&rib->tab[f], n, p);
	path_gone(rib, f, i, first);
	path_drop(rib, f, &was);
}

static void path_set(struct rib *rib, unsigned f, uint32_t i, struct rib_peer *peer,
		     uint32_t path_id, uint32_t attr)
{
	struct table *t = &rib->tab[f];
	struct node *n = table_node(t, i);
	/* A peer without a path in the region has none here: spares walking through many paths. */
	struct path *p = bits_has(&peer->regions[f], i >> REGION_SHIFT)
				 ? path_find(t, n, peer->id, path_id)
				 : NULL;
	uint32_t old = p ? p->attr : 0;
	if (old == attr)
		return;
	if (!p) {
		p = path_add(t, n);
		*p = (struct path){ .path_id = path_id, .peer = peer->id };
		peer->received[f]++;
		rib->paths++;
		bits_add(&peer->regions[f], i >> REGION_SHIFT);
	}
	p->attr = attr;
	peer->accepted[f] += (uint32_t)accepted(rib, attr) - (old && accepted(rib, old));
	attr_ref(rib, attr);
	uint32_t nh = attr_at(&rib->attrs, attr)->nh;
	if (nh)
		bits_add(&nexthop_at(&rib->nexthops, nh)->regions[f], i >> REGION_SHIFT);
	path_changed(rib, f, i, p, !old);
	if (old)
		attr_unref(rib, old);
}

enum { AHEAD = 16 };

/* Looks up several prefixes at once, so that the waits for memory overlap. */
struct looked_up {
	struct prefix p[AHEAD];
	uint32_t path_id[AHEAD];
	uint64_t hash[AHEAD];
	unsigned n;
};

static bool look_ahead(const struct table *t, struct nlri *nlri, struct looked_up *l)
{
	for (l->n = 0; l->n < AHEAD; l->n++) {
		unsigned k = l->n;
		if (!nlri_next(nlri, &l->p[k], &l->path_id[k]))
			break;
		l->hash[k] = table_hash(t, &l->p[k]);
		hidx_prefetch(&t->index, l->hash[k]);
	}
	return l->n;
}

static void withdraw_all(struct rib *rib, struct rib_peer *peer, struct nlri nlri)
{
	if (!nlri.len)
		return;
	unsigned f = FAM_IX(nlri.fam);
	struct table *t = &rib->tab[f];
	struct looked_up l;
	while (look_ahead(t, &nlri, &l))
		for (unsigned k = 0; k < l.n; k++) {
			uint32_t i = table_find(t, &l.p[k], l.hash[k]);
			struct path *p =
				i ? path_find(t, table_node(t, i), peer->id, l.path_id[k]) : NULL;
			if (p)
				path_remove(rib, f, i, p);
		}
}

static void announce_all(struct rib *rib, struct rib_peer *peer, struct nlri nlri, uint32_t attr)
{
	unsigned f = FAM_IX(nlri.fam);
	struct table *t = &rib->tab[f];
	struct looked_up l;
	while (look_ahead(t, &nlri, &l))
		for (unsigned k = 0; k < l.n; k++) {
			uint32_t i = table_find(t, &l.p[k], l.hash[k]);
			if (!i)
				i = table_add(t, &l.p[k], l.hash[k]);
			path_set(rib, f, i, peer, l.path_id[k], attr);
		}
}

enum rib_verdict rib_update(struct rib *rib, struct rib_peer *peer, const struct bgp_update *u)
{
	if (peer->dead)
		return RIB_OK;
	for (unsigned k = 0; k < 2; k++)
		withdraw_all(rib, peer, u->withdrawn[k]);
	for (unsigned k = 0; k < 2; k++) {
		if (!u->reach[k].len)
			continue;
		if (u->outcome >= UPDATE_WITHDRAW) {
			withdraw_all(rib, peer, u->reach[k]);
			continue;
		}
		uint32_t attr = attr_of(rib, peer, u, &u->nexthop[k]);
		announce_all(rib, peer, u->reach[k], attr);
		attr_unref(rib, attr);
	}
	uint32_t max = peer->conf.max_prefixes;
	return max && peer->received[0] + peer->received[1] > max ? RIB_MAX_PREFIXES : RIB_OK;
}

/* ---- what this node originates ---- */

/* LOCAL_PREF as Calico's nodes send it, so that a mesh shared with them chooses evenly:
 * 2147483647 - the kernel's metric, which is 1024 for what has none. */
enum { CALICO_LOCAL_PREF = 2147483647 - 1024 };

uint32_t import_local_attr(struct rib *rib, enum origin_kind kind)
{
	(void)kind;
	struct attrs a = { .origin = ORIGIN_IGP, .has_local_pref = true };
	a.local_pref = rib->global.export_mode == EXPORT_ALL ? DEFAULT_LOCAL_PREF
							     : (uint32_t)CALICO_LOCAL_PREF;
	return intern(rib, rib->peers[LOCAL_PEER], 0, &a);
}

void import_local(struct rib *rib, const struct prefix *p, enum origin_kind kind, bool on)
{
	unsigned f = FAM_IX(p->addr.fam);
	struct table *t = &rib->tab[f];
	uint64_t hash = table_hash(t, p);
	uint32_t i = table_find(t, p, hash);
	if (on) {
		i = i ? i : table_add(t, p, hash);
		path_set(rib, f, i, rib->peers[LOCAL_PEER], kind + 1u, rib->local_attr[kind]);
		return;
	}
	struct path *old = i ? path_find(t, table_node(t, i), LOCAL_PEER, kind + 1u) : NULL;
	if (old)
		path_remove(rib, f, i, old);
}

/* ---- next hops ---- */

void nexthop_changed(struct rib *rib, uint32_t i)
{
	struct nexthop *n = nexthop_at(&rib->nexthops, i);
	n->sweep_f = 0;
	n->sweep_at = 0;
	if (n->changed)
		return;
	if (rib->nh_n == rib->nh_cap) {
		rib->nh_cap = rib->nh_cap ? rib->nh_cap * 2 : 8;
		rib->nh_changed = xrealloc(rib->nh_changed, rib->nh_cap * sizeof(uint32_t));
	}
	n->changed = true;
	n->refs++;
	rib->nh_changed[rib->nh_n++] = i;
}

void nexthop_release(struct rib *rib, uint32_t i)
{
	struct nexthop gone;
	if (!i || !nexthop_put(&rib->nexthops, i, &gone))
		return;
	if (gone.direct)
		peer_unhold(rib, gone.direct);
	else if (!nexthop_same(&rib->nexthops, &gone.via, gone.ifindex, 0))
		rib->ops.nexthop_track(rib->arg, &gone.via, gone.ifindex, false);
}

void rib_nexthop_state(struct rib *rib, const struct addr *via, uint32_t ifindex, bool reachable,
		       uint32_t metric)
{
	if (!addr_is_linklocal(via))
		ifindex = 0;
	uint32_t i = 0;
	while ((i = nexthop_same(&rib->nexthops, via, ifindex, i))) {
		struct nexthop *n = nexthop_at(&rib->nexthops, i);
		if (n->reachable == reachable && n->metric == metric)
			continue;
		bool lost = n->reachable && !reachable;
		n->reachable = reachable;
		n->metric = metric;
		nexthop_changed(rib, i);
		if (lost)
			install_nexthop_lost(rib, i);
	}
}

/* Marks the prefixes of one region that have a path through nh. false: none has. */
static bool mark_region(struct rib *rib, unsigned f, uint32_t r, uint32_t nh)
{
	struct table *t = &rib->tab[f];
	bool any = false;
	for (uint32_t i = r << REGION_SHIFT; i < (r + 1) << REGION_SHIFT; i++) {
		struct node *n = table_live(t, i);
		struct path_walk w;
		struct path *p = n ? path_first(t, n, &w) : NULL;
		for (; p; rib->looked++, p = path_next(t, &w))
			if (attr_at(&rib->attrs, p->attr)->nh == nh) {
				any = true;
				bits_add(&rib->dirty[f], i);
				break;
			}
	}
	return any;
}

unsigned nexthops_sweep(struct rib *rib, unsigned budget)
{
	unsigned done = 0;
	while (done < budget && rib->nh_n) {
		uint64_t looked = rib->looked;
		uint32_t nh = rib->nh_changed[rib->nh_n - 1];
		struct nexthop *n = nexthop_at(&rib->nexthops, nh);
		unsigned f = n->sweep_f;
		uint32_t r = bits_next(&n->regions[f], n->sweep_at);
		n->sweep_at = r == BITS_NONE ? 0 : r + 1;
		if (r != BITS_NONE) {
			if (!mark_region(rib, f, r, nh))
				bits_del(&n->regions[f], r);
			done += path_units(rib->looked - looked);
		} else if (f + 1 < NFAM) {
			n->sweep_f++;
		} else {
			rib->nh_n--;
			n->changed = false;
			nexthop_release(rib, nh);
		}
	}
	return done;
}
