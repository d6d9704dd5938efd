/* Peers: ids, coming and going, and the sweep of what a dead one left. */
#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"

void peer_list_add(struct peer_list *l, struct rib_peer *p)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 4;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	p->slot = l->n;
	l->v[l->n++] = p;
}

void peer_list_del(struct peer_list *l, struct rib_peer *p)
{
	struct rib_peer *last = l->v[--l->n];
	l->v[p->slot] = last;
	last->slot = p->slot;
}

static bool is_own(const struct rib_peer *p, const struct addr *a)
{
	return !p->dead && (addr_eq(&p->conf.local, a) || addr_eq(&p->conf.local4, a) ||
			    addr_eq(&p->conf.local6, a));
}

bool peer_own_address(const struct rib *rib, const struct addr *a)
{
	for (uint32_t k = 1; k < rib->npeers; k++)
		if (rib->peers[k] && is_own(rib->peers[k], a))
			return true;
	return false;
}

struct own_ctx {
	struct rib *rib;
	const struct rib_peer *peer;
};

/* One of our addresses was learned of, or is no longer known: next hops that are it change. */
static void check_own(void *arg, uint32_t i, struct nexthop *n)
{
	const struct own_ctx *c = arg;
	const struct rib_peer_conf *k = &c->peer->conf;
	const struct addr *a = &n->addr.global;
	if (!addr_eq(&k->local, a) && !addr_eq(&k->local4, a) && !addr_eq(&k->local6, a))
		return;
	bool own = peer_own_address(c->rib, a);
	if (own != n->own) {
		n->own = own;
		nexthop_changed(c->rib, i);
	}
}

static uint32_t free_id(struct rib *rib)
{
	for (uint32_t k = 1; k < rib->npeers; k++)
		if (!rib->peers[k])
			return k;
	if (rib->npeers > UINT16_MAX)
		return 0;
	if (rib->npeers == rib->peers_cap) {
		rib->peers_cap = rib->peers_cap ? rib->peers_cap * 2 : 16;
		rib->peers = xrealloc(rib->peers, rib->peers_cap * sizeof(struct rib_peer *));
	}
	return rib->npeers++;
}

struct rib_peer *rib_peer_up(struct rib *rib, const struct rib_peer_conf *conf)
{
	uint32_t id = free_id(rib);
	if (!id)
		return NULL;
	struct rib_peer *p = xcalloc(1, sizeof(*p));
	p->id = (uint16_t)id;
	p->conf = *conf;
	rib->peers[id] = p;
	struct own_ctx ctx = { rib, p };
	nexthop_each(&rib->nexthops, check_own, &ctx);
	group_join(rib, p);
	return p;
}

static void nexthop_of_dead(void *arg, uint32_t i, struct nexthop *n)
{
	const struct own_ctx *c = arg;
	if (n->direct == c->peer->id)
		install_nexthop_lost(c->rib, i);
}

void rib_peer_down(struct rib *rib, struct rib_peer *p)
{
	p->dead = true;
	if (p->notify) {
		for (uint32_t k = 0; k < rib->notify_n; k++)
			if (rib->notify[k] == p)
				rib->notify[k] = NULL;
		p->notify = false;
	}
	group_leave(rib, p);
	raw_cache_flush(rib, p);
	p->conf.owner = NULL;
	p->conf.name = "";
	struct own_ctx ctx = { rib, p };
	nexthop_each(&rib->nexthops, nexthop_of_dead, &ctx);
	nexthop_each(&rib->nexthops, check_own, &ctx);
	peer_list_add(&rib->dead, p);
}

void peer_release(struct rib *rib, struct rib_peer *p)
{
	if (!p->dead || !p->swept || p->holds)
		return;
	rib->peers[p->id] = NULL;
	for (unsigned f = 0; f < NFAM; f++)
		bits_clear(&p->regions[f]);
	free(p);
}

void peer_unhold(struct rib *rib, uint16_t id)
{
	struct rib_peer *p = rib->peers[id];
	if (--p->holds == 0)
		peer_release(rib, p);
}

static void keep(struct rib *rib, uint32_t n, struct path p)
{
	if (n == rib->kept_cap) {
		rib->kept_cap = n ? n * 2 : 16;
		rib->kept = xrealloc(rib->kept, rib->kept_cap * sizeof(*rib->kept));
	}
	rib->kept[n] = p;
}

static bool has_dead(struct rib *rib, const struct table *t, struct node *n)
{
	struct path_walk w;
	bool any = false;
	for (struct path *p = path_first(t, n, &w); p && !any; p = path_next(t, &w)) {
		rib->looked++;
		any = rib->peers[p->peer]->dead;
	}
	return any;
}

/* Removes the paths of dead peers from one prefix, in one pass however many they are. */
static void sweep_node(struct rib *rib, unsigned f, uint32_t i)
{
	struct table *t = &rib->tab[f];
	struct node *n = table_live(t, i);
	if (!n || !has_dead(rib, t, n))
		return;
	uint32_t kept = 0;
	while (n->ext) {
		struct path p = path_pop(t, n);
		rib->looked++;
		if (rib->peers[p.peer]->dead) {
			path_drop(rib, f, &p);
			path_gone(rib, f, i, false);
		} else {
			keep(rib, kept++, p);
		}
	}
	while (kept)
		*path_add(t, n) = rib->kept[--kept];
	if (rib->peers[n->first.peer]->dead)
		path_remove(rib, f, i, &n->first);
}

unsigned peers_sweep(struct rib *rib, unsigned budget)
{
	unsigned done = 0;
	while (done < budget && rib->dead.n) {
		uint64_t looked = rib->looked;
		struct rib_peer *p = rib->dead.v[rib->dead.n - 1];
		unsigned f = p->regions[0].count ? 0 : 1;
		uint32_t r = bits_next(&p->regions[f], p->sweep_at);
		if (r == BITS_NONE) {
			rib->dead.n--;
			p->swept = true;
			peer_release(rib, p);
			continue;
		}
		bits_del(&p->regions[f], r);
		p->sweep_at = p->regions[f].count ? r : 0;
		for (uint32_t i = r << REGION_SHIFT; i < (r + 1) << REGION_SHIFT; i++)
			sweep_node(rib, f, i);
		done += path_units(rib->looked - looked);
	}
	return done;
}

void *rib_peer_owner(const struct rib_peer *peer)
{
	return peer->conf.owner;
}

void rib_refresh(struct rib *rib, struct rib_peer *p, uint8_t fam)
{
	if (p->dead || (fam != FAM_V4 && fam != FAM_V6))
		return;
	if (p->attached)
		member_detach(p);
	member_restart(rib, p, FAM_IX(fam), true);
}

void rib_peer_counts(const struct rib *rib, const struct rib_peer *p, struct rib_peer_counts *out)
{
	(void)rib;
	*out = (struct rib_peer_counts){ .updates_out = p->updates_out };
	for (unsigned f = 0; f < NFAM; f++) {
		out->received += p->received[f];
		out->accepted += p->accepted[f];
		if (p->group)
			out->advertised += p->group->out[f].count - p->mine[f];
	}
}
