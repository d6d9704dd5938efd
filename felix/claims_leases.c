#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "felix/claims_impl.h"

struct gather {
	struct claims_told *to;
	unsigned cap;
};

static void gather_lease(void *arg, const struct ipam_lease *l)
{
	struct gather *g = arg;
	struct claims_told *t = g->to;
	char id[IPAMOBJ_NAME];

	ipamobj_handle_id(l->owner.network, l->owner.container_id, l->owner.ifname, id);
	const char *handle = arena_strdup(&t->arena, id);
	const char *pod = arena_strdup(&t->arena, l->owner.pod);
	const char *namespace_ = arena_strdup(&t->arena, l->owner.namespace_);

	for (unsigned i = 0; i < l->naddrs; i++) {
		if (t->n == g->cap) {
			g->cap = g->cap ? g->cap * 2 : 64;
			t->v = xrealloc(t->v, g->cap * sizeof(*t->v));
		}
		t->v[t->n++] =
			(struct sync_lease){ l->addrs[i], handle, pod, namespace_, l->since };
	}
}

static int by_addr(const void *a, const void *b)
{
	return addr_cmp(&((const struct sync_lease *)a)->addr,
			&((const struct sync_lease *)b)->addr);
}

/* ---- the pods' own annotations ---- */

static const struct sync_lease *find(const struct claims_told *t, const struct sync_lease *l)
{
	const struct sync_lease *at = t->n ? bsearch(l, t->v, t->n, sizeof(*t->v), by_addr) : NULL;

	return at && !strcmp(at->handle_id, l->handle_id) ? at : NULL;
}

struct noting {
	struct claims *c;
	const struct claims_told *was;
};

static void note_new(void *arg, const struct ipam_lease *l)
{
	const struct noting *n = arg;
	char id[IPAMOBJ_NAME];
	struct sync_lease key = { .handle_id =
					  ipamobj_handle_id(l->owner.network, l->owner.container_id,
							    l->owner.ifname, id) };

	if (l->naddrs == 0)
		return;
	key.addr = l->addrs[0];
	if (!find(n->was, &key))
		claims_note_pod(n->c, &l->owner, l->addrs, l->naddrs);
}

static bool has_pod(const struct claims_told *t, const struct sync_lease *l)
{
	for (unsigned i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].pod, l->pod) && !strcmp(t->v[i].namespace_, l->namespace_))
			return true;
	return false;
}

/* Of a lease's addresses the first speaks for all. */
static bool is_first(const struct claims_told *t, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (!strcmp(t->v[k].handle_id, t->v[i].handle_id))
			return false;
	return true;
}

/* A newer container of the pod has written its own. */
static void note_gone(struct claims *c, const struct claims_told *was, const struct claims_told *is)
{
	for (unsigned i = 0; i < was->n; i++) {
		const struct sync_lease *l = &was->v[i];
		const struct ipam_owner o = { "", NULL, "", l->namespace_, l->pod };

		if (*l->pod && !find(is, l) && !has_pod(is, l) && is_first(was, i))
			claims_note_pod(c, &o, NULL, 0);
	}
}

static void note_pods(struct claims *c, const struct claims_told *was, const struct claims_told *is)
{
	struct noting n = { c, was };

	/* What was there before this daemon was noted by the last one. */
	if (!c->noting)
		return;
	ipam_each(c->conf.ipam, note_new, &n);
	note_gone(c, was, is);
}

static bool same(const struct sync_lease *a, const struct sync_lease *b)
{
	return !strcmp(a->handle_id, b->handle_id) && a->since == b->since;
}

/* Both lists are sorted: one pass finds what went and what came. */
static void tell_difference(struct claims *c, const struct claims_told *was,
			    const struct claims_told *is)
{
	struct sync_now now = claims_now();
	unsigned i = 0, k = 0;

	while (i < was->n || k < is->n) {
		int cmp = i == was->n ? 1 : k == is->n ? -1 : by_addr(&was->v[i], &is->v[k]);

		if (cmp < 0) {
			sync_lease_del(c->sync, &was->v[i++].addr, now);
		} else if (cmp > 0) {
			sync_lease_add(c->sync, &is->v[k++], now);
		} else {
			if (!same(&was->v[i], &is->v[k])) {
				sync_lease_del(c->sync, &was->v[i].addr, now);
				sync_lease_add(c->sync, &is->v[k], now);
			}
			i++;
			k++;
		}
	}
}

static void tell_usage(struct claims *c)
{
	unsigned n = ipam_block_count(c->conf.ipam);
	struct ipam_block_use *u = xcalloc(n + 1, sizeof(*u));
	struct sync_now now = claims_now();

	for (unsigned i = 0; i < n; i++)
		ipam_block_use(c->conf.ipam, i, now.unix_ns / 1000000000u, &u[i]);
	sync_set_usage(c->sync, u, n, now);
	free(u);
}

void claims_tell_leases(struct claims *c)
{
	struct claims_told is = { 0 };
	struct gather g = { &is, 0 };

	ipam_each(c->conf.ipam, gather_lease, &g);
	if (is.n)
		qsort(is.v, is.n, sizeof(*is.v), by_addr);
	tell_difference(c, &c->told, &is);
	note_pods(c, &c->told, &is);
	c->noting = c->started;
	claims_told_free(c);
	c->told = is;
	tell_usage(c);
	claims_drive(c);
}

void claims_tell_voided(struct claims *c)
{
	const struct claims_told none = { 0 };
	struct gather g = { &c->told, 0 };

	ipam_each_voided(c->conf.ipam, gather_lease, &g);
	if (c->told.n)
		qsort(c->told.v, c->told.n, sizeof(*c->told.v), by_addr);
	tell_difference(c, &none, &c->told);
}

void claims_told_free(struct claims *c)
{
	free(c->told.v);
	arena_free(&c->told.arena);
	c->told = (struct claims_told){ 0 };
}
