/* The whole: making, configuration, what is originated, and the turns of work. */
#include "bgpd/rib/rib.h"

#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"

/* ---- references ---- */

void attr_ref(struct rib *rib, uint32_t i)
{
	attr_at(&rib->attrs, i)->refs++;
}

void attr_unref(struct rib *rib, uint32_t i)
{
	struct attr *a = attr_at(&rib->attrs, i);
	if (--a->refs)
		return;
	uint16_t peer = a->peer;
	uint32_t nh = a->nh;
	attr_delete(&rib->attrs, i);
	nexthop_release(rib, nh);
	peer_unhold(rib, peer);
}

void node_pin(struct node *n)
{
	if (n->pins < PINS_MAX)
		n->pins++;
}

void node_unpin(struct rib *rib, unsigned f, uint32_t i)
{
	struct node *n = table_node(&rib->tab[f], i);
	if (n->pins < PINS_MAX)
		n->pins--;
	if (!n->pins && !n->first.attr && !bits_has(&rib->dirty[f], i))
		table_del(&rib->tab[f], i);
}

void notify_add(struct rib *rib, struct rib_peer *p)
{
	p->has_out = true;
	if (p->notify)
		return;
	p->notify = true;
	if (rib->notify_n == rib->notify_cap) {
		rib->notify_cap = rib->notify_cap ? rib->notify_cap * 2 : 16;
		rib->notify = xrealloc(rib->notify, rib->notify_cap * sizeof(struct rib_peer *));
	}
	rib->notify[rib->notify_n++] = p;
}

void notify_output(struct rib *rib)
{
	while (rib->notify_n) {
		struct rib_peer *p = rib->notify[--rib->notify_n];
		if (!p)
			continue;
		p->notify = false;
		rib->ops.output(rib->arg, p);
	}
}

/* ---- making ---- */

static const struct rib_limits usual_limits = {
	.window_all = 32 << 20,
	.window_min = 64 << 10,
	.window_max = 2 << 20,
	.private_low = 32 << 10,
};

struct rib *rib_new(const struct rib_global *global, const struct rib_ops *ops, void *arg)
{
	struct rib *rib = xcalloc(1, sizeof(*rib));
	rib->global = *global;
	rib->ops = *ops;
	rib->arg = arg;
	rib->limits = usual_limits;
	/* Where the process lies in memory is not known to who chooses the prefixes. */
	rib->seed = hash_end((uint64_t)(uintptr_t)rib ^ (uint64_t)(uintptr_t)&rib_new);
	for (unsigned f = 0; f < NFAM; f++)
		table_init(&rib->tab[f], IX_FAM(f), rib->seed);
	attr_set_init(&rib->attrs, rib->seed);
	nexthop_set_init(&rib->nexthops, rib->seed);
	install_init(rib);
	rib->raw = xcalloc(RAW_CACHE, sizeof(*rib->raw));
	rib->enc = encoder_new();
	rib->peers_cap = 16;
	rib->peers = xcalloc(rib->peers_cap, sizeof(struct rib_peer *));
	rib->npeers = 1;
	rib->peers[LOCAL_PEER] = xcalloc(1, sizeof(struct rib_peer));
	rib->peers[LOCAL_PEER]->conf.name = "";
	for (unsigned k = 0; k < ORIGIN_KINDS; k++)
		rib->local_attr[k] = import_local_attr(rib, k);
	return rib;
}

static void free_peer(struct rib_peer *p)
{
	for (unsigned f = 0; f < NFAM; f++) {
		bits_clear(&p->regions[f]);
		bits_clear(&p->cu[f].todo);
	}
	reader_drop(&p->rd);
	reader_drop(&p->prd);
	outlog_clear(&p->priv);
	free(p);
}

void rib_free(struct rib *rib)
{
	if (!rib)
		return;
	for (uint32_t k = 0; k < rib->npeers; k++)
		if (rib->peers[k])
			free_peer(rib->peers[k]);
	for (uint32_t k = 0; k < rib->ngroups; k++)
		group_free(rib->groups[k]);
	install_fini(rib);
	for (unsigned f = 0; f < NFAM; f++) {
		table_fini(&rib->tab[f]);
		bits_clear(&rib->dirty[f]);
	}
	attr_set_fini(&rib->attrs);
	nexthop_set_fini(&rib->nexthops);
	encoder_free(rib->enc);
	for (unsigned k = 0; k < ORIGIN_KINDS; k++)
		free(rib->origin[k].v);
	free(rib->pools);
	free(rib->keep_out);
	free(rib->raw);
	free(rib->peers);
	free(rib->dead.v);
	free(rib->nh_changed);
	free(rib->groups);
	free(rib->notify);
	free(rib->cand);
	free(rib->cand_path);
	free(rib->kept);
	free(rib);
}

/* ---- configuration ---- */

void sweep_all(struct rib *rib)
{
	rib->all = (struct sweep){ .on = true };
}

static unsigned run_sweep_all(struct rib *rib, unsigned budget)
{
	unsigned done = 0;
	while (rib->all.on && done < budget) {
		unsigned f = rib->all.f;
		uint32_t i = rib->all.at++;
		if (i >= table_end(&rib->tab[f])) {
			rib->all.at = 0;
			rib->all.on = ++rib->all.f < NFAM;
			continue;
		}
		done++;
		struct node *n = table_live(&rib->tab[f], i);
		if (!n || !n->first.attr)
			continue;
		if (n->flags & NODE_BEST)
			n->flags |= NODE_TOUCHED;
		bits_add(&rib->dirty[f], i);
	}
	return done;
}

static void renew_flags(void *arg, uint32_t i, struct attr *a)
{
	struct rib *rib = arg;
	struct attrs at;
	(void)i;
	attrs_decode_own(attr_blob(a), a->len, &at);
	a->flags = (uint8_t)((a->flags & ATTR_BIG) |
			     (a->peer == LOCAL_PEER ? 0
						    : import_flags(rib, rib->peers[a->peer], &at)));
}

static void recount_accepted(struct rib *rib)
{
	for (uint32_t k = 1; k < rib->npeers; k++)
		if (rib->peers[k])
			memset(rib->peers[k]->accepted, 0, sizeof(rib->peers[k]->accepted));
	for (unsigned f = 0; f < NFAM; f++)
		for (uint32_t i = 0; i < table_end(&rib->tab[f]); i++) {
			struct node *n = table_live(&rib->tab[f], i);
			struct path_walk w;
			struct path *p = n ? path_first(&rib->tab[f], n, &w) : NULL;
			for (; p; p = path_next(&rib->tab[f], &w))
				rib->peers[p->peer]->accepted[f] +=
					!(attr_at(&rib->attrs, p->attr)->flags & ATTR_REJECTED);
		}
}

static void renew_local(struct rib *rib)
{
	for (unsigned k = 0; k < ORIGIN_KINDS; k++) {
		uint32_t old = rib->local_attr[k];
		rib->local_attr[k] = import_local_attr(rib, k);
		for (uint32_t i = 0; i < rib->origin[k].n; i++)
			import_local(rib, &rib->origin[k].v[i], k, true);
		attr_unref(rib, old);
	}
}

static bool same_global(const struct rib_global *a, const struct rib_global *b)
{
	return a->asn == b->asn && a->router_id == b->router_id && a->cluster_id == b->cluster_id &&
	       a->export_mode == b->export_mode && a->install == b->install &&
	       a->require_policy == b->require_policy && a->max_paths == b->max_paths;
}

void rib_set_global(struct rib *rib, const struct rib_global *global)
{
	struct rib_global old = rib->global;
	/* A configuration comes with every change of a service's endpoints. */
	if (same_global(&old, global))
		return;
	rib->global = *global;
	if (old.asn != global->asn || old.router_id != global->router_id ||
	    old.cluster_id != global->cluster_id || old.require_policy != global->require_policy) {
		attr_each(&rib->attrs, renew_flags, rib);
		recount_accepted(rib);
	}
	if (old.export_mode != global->export_mode)
		renew_local(rib);
	if (old.cluster_id != global->cluster_id)
		groups_restart(rib);
	sweep_all(rib);
}

static bool same_pools(const struct rib *rib, const struct m_bgp_pool *pools, unsigned n)
{
	if (n != rib->npools)
		return false;
	for (unsigned k = 0; k < n; k++)
		if (!prefix_eq(&rib->pools[k].cidr, &pools[k].cidr) ||
		    rib->pools[k].disable_export != pools[k].disable_export)
			return false;
	return true;
}

void rib_set_pools(struct rib *rib, const struct m_bgp_pool *pools, unsigned n)
{
	if (same_pools(rib, pools, n))
		return;
	free(rib->pools);
	rib->pools = n ? xmalloc(n * sizeof(*pools)) : NULL;
	if (n)
		memcpy(rib->pools, pools, n * sizeof(*pools));
	rib->npools = n;
	sweep_all(rib);
}

void rib_keep_out(struct rib *rib, const struct prefix *p, unsigned n)
{
	bool same = n == rib->nkeep_out;
	for (unsigned k = 0; k < n && same; k++)
		same = prefix_eq(&rib->keep_out[k], &p[k]);
	if (same)
		return;
	free(rib->keep_out);
	rib->keep_out = n ? xmalloc(n * sizeof(*p)) : NULL;
	if (n)
		memcpy(rib->keep_out, p, n * sizeof(*p));
	rib->nkeep_out = n;
	sweep_all(rib);
}

static int cmp_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

void rib_originate(struct rib *rib, enum origin_kind kind, const struct prefix *p, unsigned n)
{
	struct origin_set *old = &rib->origin[kind];
	struct origin_set now = { n ? xmalloc(n * sizeof(*p)) : NULL, 0 };
	for (unsigned k = 0; k < n; k++)
		if (p[k].addr.fam == FAM_V4 || p[k].addr.fam == FAM_V6)
			now.v[now.n++] = prefix_mask(&p[k]);
	if (now.n)
		qsort(now.v, now.n, sizeof(*now.v), cmp_prefix);
	uint32_t a = 0, b = 0;
	while (a < old->n || b < now.n) {
		int d = a == old->n ? 1 : b == now.n ? -1 : prefix_cmp(&old->v[a], &now.v[b]);
		if (d < 0)
			import_local(rib, &old->v[a++], kind, false);
		else if (d > 0)
			import_local(rib, &now.v[b++], kind, true);
		else
			a++, b++;
	}
	free(old->v);
	*old = now;
}

/* ---- turns ---- */

static bool more_work(struct rib *rib)
{
	if (rib->all.on || rib->dead.n || rib->nh_n || rib->dirty[0].count || rib->dirty[1].count)
		return true;
	if (!rib_install_done(rib))
		return true;
	for (uint32_t k = 0; k < rib->ngroups; k++)
		if (group_work(rib, rib->groups[k]))
			return true;
	return false;
}

bool rib_run(struct rib *rib, unsigned budget)
{
	unsigned progress;
	do {
		unsigned share = budget < BATCH ? budget : BATCH;
		progress = peers_sweep(rib, share);
		progress += nexthops_sweep(rib, share);
		progress += run_sweep_all(rib, share);
		progress += decide_dirty(rib, share);
		progress += install_run(rib, share);
		progress += groups_run(rib, share);
		budget -= progress < budget ? progress : budget;
	} while (progress && budget);
	notify_output(rib);
	return more_work(rib);
}

void rib_stats(const struct rib *rib, struct rib_stats *out)
{
	*out = (struct rib_stats){ .paths = rib->paths,
				   .attrs = rib->attrs.count,
				   .nexthops = rib->nexthops.slab.live,
				   .groups = rib->ngroups };
	out->bytes = attr_set_bytes(&rib->attrs) + nexthop_set_bytes(&rib->nexthops);
	for (unsigned f = 0; f < NFAM; f++) {
		out->prefixes += rib->tab[f].nodes.live;
		out->bytes += table_bytes(&rib->tab[f]) + bits_bytes(&rib->dirty[f]) +
			      map32_bytes(&rib->inst.group[f]) + bits_bytes(&rib->inst.pending[f]);
		for (uint32_t k = 0; k < rib->ngroups; k++)
			out->bytes += map32_bytes(&rib->groups[k]->out[f]) +
				      bits_bytes(&rib->groups[k]->pending[f]);
		for (uint32_t k = 0; k < rib->npeers; k++)
			if (rib->peers[k])
				out->bytes += bits_bytes(&rib->peers[k]->regions[f]) +
					      bits_bytes(&rib->peers[k]->cu[f].todo);
	}
}
