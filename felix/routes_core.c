/* Prefixes: what is wanted, what the kernel has, and the queue of those that differ. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "felix/routes_impl.h"
#include "lib/arena.h"

struct rc *rc_new(const struct rc_env *env, void *arg)
{
	struct rc *c = xcalloc(1, sizeof(*c));

	c->env = env;
	c->arg = arg;
	c->nbuckets = 256;
	c->bucket = xcalloc(c->nbuckets, sizeof(*c->bucket));
	c->nent = 1;
	return c;
}

void rc_free(struct rc *c)
{
	if (!c)
		return;
	nh_free_all(c);
	free(c->ent);
	free(c->bucket);
	free(c->pods);
	free(c);
}

/* --- the slab and its table --- */

static struct prefix ent_prefix(const struct ent *e)
{
	struct prefix p = { .addr.fam = e->fam, .len = e->len };

	memcpy(p.addr.b, e->b, sizeof(e->b));
	return p;
}

static bool ent_is(const struct ent *e, const struct prefix *p)
{
	return e->len == p->len && e->fam == p->addr.fam &&
	       memcmp(e->b, p->addr.b, sizeof(e->b)) == 0;
}

static uint32_t ent_find(const struct rc *c, const struct prefix *p)
{
	uint32_t i = c->bucket[prefix_hash(p) & (c->nbuckets - 1)];

	while (i && !ent_is(&c->ent[i], p))
		i = c->ent[i].next;
	return i;
}

static void table_grow(struct rc *c)
{
	uint32_t n = c->nbuckets * 2, *bucket = xcalloc(n, sizeof(*bucket));

	for (uint32_t b = 0; b < c->nbuckets; b++) {
		for (uint32_t i = c->bucket[b], next; i; i = next) {
			struct prefix p = ent_prefix(&c->ent[i]);
			uint32_t *head = &bucket[prefix_hash(&p) & (n - 1)];

			next = c->ent[i].next;
			c->ent[i].next = *head;
			*head = i;
		}
	}
	free(c->bucket);
	c->bucket = bucket;
	c->nbuckets = n;
}

static uint32_t ent_get(struct rc *c, const struct prefix *p)
{
	uint32_t i = ent_find(c, p);

	if (i)
		return i;
	i = c->ent_free;
	if (i) {
		c->ent_free = c->ent[i].next;
	} else {
		i = c->nent++;
		if (i >= c->ent_cap) {
			c->ent_cap = c->ent_cap ? c->ent_cap + c->ent_cap / 2 : 256;
			c->ent = xrealloc(c->ent, c->ent_cap * sizeof(*c->ent));
		}
	}
	if (++c->live > c->nbuckets)
		table_grow(c);
	uint32_t *head = &c->bucket[prefix_hash(p) & (c->nbuckets - 1)];
	struct ent *e = &c->ent[i];
	*e = (struct ent){ .fam = p->addr.fam, .len = p->len, .next = *head };
	memcpy(e->b, p->addr.b, sizeof(e->b));
	*head = i;
	return i;
}

/* Forgets an entry that nobody wants and the kernel does not have. */
static void ent_settle(struct rc *c, uint32_t i)
{
	struct ent *e = &c->ent[i];

	if (e->pod || e->nhg || e->kind != RC_ABSENT || e->flags & (ENT_BLOCK | ENT_QUEUED))
		return;
	if (e->flags & ENT_FAILED)
		c->nfailed--;
	struct prefix p = ent_prefix(e);
	uint32_t *at = &c->bucket[prefix_hash(&p) & (c->nbuckets - 1)];
	while (*at != i)
		at = &c->ent[*at].next;
	*at = e->next;
	*e = (struct ent){ .next = c->ent_free };
	c->ent_free = i;
	c->live--;
}

/* --- wanted against actual --- */

/* A pod's own address wins over a block of that one address, and both over what is learned. */
static struct rc_what ent_wanted(const struct rc *c, const struct ent *e)
{
	if (e->flags & ENT_FAILED)
		return (struct rc_what){ RC_ABSENT, 0 };
	if (e->pod)
		return (struct rc_what){ RC_DEV, e->pod };
	if (e->flags & ENT_BLOCK)
		return (struct rc_what){ RC_BLACKHOLE, 0 };
	if (e->nhg) {
		if (nh_group_usable(&c->obj[e->nhg]))
			return (struct rc_what){ RC_NH, nh_id(e->nhg) };
		return (struct rc_what){ RC_ABSENT, 0 };
	}
	if (e->flags & ENT_STALE)
		return (struct rc_what){ e->kind, e->value };
	return (struct rc_what){ RC_ABSENT, 0 };
}

static bool ent_differs(const struct rc *c, const struct ent *e)
{
	struct rc_what w = ent_wanted(c, e);

	if (w.kind != e->kind || w.value != e->value)
		return true;
	/* Unusable and not said so yet: the walk through the queue says it. */
	return e->nhg && w.kind == RC_ABSENT && !(e->flags & ENT_FAILED);
}

static void ent_enqueue(struct rc *c, uint32_t i)
{
	struct ent *e = &c->ent[i];

	if (e->flags & ENT_QUEUED || !ent_differs(c, e))
		return;
	e->flags |= ENT_QUEUED;
	/* A pod's route goes first: a CNI answer waits for it, and a new bgpd may just have put
	 * 200,000 others in line. */
	if (!c->qhead) {
		e->qnext = 0;
		c->qhead = c->qtail = i;
	} else if (e->pod || e->kind == RC_DEV) {
		e->qnext = c->qhead;
		c->qhead = i;
	} else {
		e->qnext = 0;
		c->ent[c->qtail].qnext = i;
		c->qtail = i;
	}
}

static void ent_unfail(struct rc *c, struct ent *e)
{
	if (e->flags & ENT_FAILED)
		c->nfailed--;
	e->flags &= (uint8_t)~ENT_FAILED;
}

static void ent_touch(struct rc *c, uint32_t i)
{
	ent_unfail(c, &c->ent[i]);
	ent_enqueue(c, i);
	ent_settle(c, i);
}

static void ent_set_actual(struct rc *c, struct ent *e, struct rc_what what)
{
	if (e->kind == RC_NH) {
		c->obj[e->value - NHID_BASE].routes--;
		c->objects_changed |= !c->obj[e->value - NHID_BASE].routes;
	}
	if (what.kind == RC_NH && !nh_index(c, what.value))
		what = (struct rc_what){ RC_OTHER, 0 };
	if (what.kind == RC_NH)
		c->obj[what.value - NHID_BASE].routes++;
	e->kind = what.kind;
	e->value = what.value;
}

static void ent_set_nhg(struct rc *c, struct ent *e, uint32_t nhg)
{
	if (e->nhg) {
		struct obj *old = &c->obj[e->nhg];

		if (!--old->grp.desired)
			c->objects_changed = true;
	}
	if (nhg)
		c->obj[nhg].grp.desired++;
	e->nhg = nhg;
}

/* --- desired state --- */

void rc_set_block(struct rc *c, const struct prefix *p, bool present)
{
	uint32_t i = present ? ent_get(c, p) : ent_find(c, p);

	if (!i)
		return;
	struct ent *e = &c->ent[i];
	e->flags = (uint8_t)(present ? e->flags | ENT_BLOCK : e->flags & ~ENT_BLOCK);
	e->flags &= (uint8_t)~ENT_STALE;
	ent_touch(c, i);
}

static void pods_drop(struct rc *c, uint32_t i)
{
	for (uint32_t k = 0; k < c->npods; k++) {
		if (c->pods[k] == i) {
			c->pods[k] = c->pods[--c->npods];
			return;
		}
	}
}

void rc_set_pod(struct rc *c, const struct prefix *p, uint32_t ifindex)
{
	uint32_t i = ifindex ? ent_get(c, p) : ent_find(c, p);

	if (!i)
		return;
	struct ent *e = &c->ent[i];
	if (ifindex && !e->pod) {
		c->pods = xrealloc(c->pods, (c->npods + 1) * sizeof(*c->pods));
		c->pods[c->npods++] = i;
	} else if (!ifindex && e->pod) {
		pods_drop(c, i);
	}
	e->pod = ifindex;
	e->flags &= (uint8_t)~ENT_STALE;
	ent_touch(c, i);
}

void rc_learned(struct rc *c, uint32_t nhg, const struct prefix *p)
{
	uint32_t i = nhg ? ent_get(c, p) : ent_find(c, p);

	if (!i)
		return;
	uint32_t group = nhg ? nh_group_of_bgp(c, nhg) : 0;
	struct ent *e = &c->ent[i];
	if (nhg && !group) {
		ent_set_nhg(c, e, 0);
		c->env->failed(c->arg, p, "all 65,535 next-hop numbers are taken");
	} else {
		ent_set_nhg(c, e, group);
	}
	e->flags &= (uint8_t)~ENT_STALE;
	ent_touch(c, i);
}

void rc_reset_learned(struct rc *c)
{
	for (uint32_t i = 1; i < c->nent; i++) {
		struct ent *e = &c->ent[i];

		if (!e->nhg)
			continue;
		e->flags |= ENT_STALE;
		/* What is not in the kernel is not worth keeping for its sake. */
		if (e->kind != RC_NH && !(e->flags & ENT_QUEUED)) {
			ent_set_nhg(c, e, 0);
			e->flags &= (uint8_t)~ENT_STALE;
			ent_touch(c, i);
		}
	}
	memset(c->bgp_hash, 0, sizeof(c->bgp_hash));
	for (uint32_t i = 1; i < c->nobj; i++)
		if (c->obj[i].kind == OBJ_GROUP)
			c->obj[i].grp.bgp_id = 0;
	c->objects_changed = true;
}

void rc_sweep(struct rc *c)
{
	for (uint32_t i = 1; i < c->nent; i++) {
		struct ent *e = &c->ent[i];

		if (!(e->flags & ENT_STALE))
			continue;
		e->flags &= (uint8_t)~ENT_STALE;
		ent_set_nhg(c, e, 0);
		ent_touch(c, i);
	}
}

/* --- actual state --- */

void rc_dump_begin(struct rc *c)
{
	for (uint32_t i = 1; i < c->nent; i++)
		c->ent[i].flags &= (uint8_t)~ENT_SEEN;
	for (uint32_t i = 1; i < c->nobj; i++)
		c->obj[i].seen = false;
}

void rc_dump_route(struct rc *c, const struct prefix *p, struct rc_what what, bool adopt)
{
	uint32_t i = ent_get(c, p);
	struct ent *e = &c->ent[i];

	e->flags |= ENT_SEEN;
	ent_set_actual(c, e, what);
	if (!adopt || e->pod || e->nhg || e->flags & ENT_BLOCK)
		return;
	e->flags |= ENT_STALE;
	if (e->kind == RC_NH && c->obj[e->value - NHID_BASE].kind == OBJ_GROUP)
		ent_set_nhg(c, e, e->value - NHID_BASE);
}

void rc_dump_end(struct rc *c)
{
	nh_after_dump(c);
	for (uint32_t i = 1; i < c->nent; i++) {
		struct ent *e = &c->ent[i];

		if (!e->fam)
			continue;
		if (!(e->flags & ENT_SEEN))
			ent_set_actual(c, e, (struct rc_what){ RC_ABSENT, 0 });
		ent_unfail(c, e);
	}
	/* The groups are planned first: until then every learned route looks unusable. */
	c->rescan = true;
}

void rc_route_is(struct rc *c, const struct prefix *p, struct rc_what what)
{
	uint32_t i = what.kind == RC_ABSENT ? ent_find(c, p) : ent_get(c, p);

	if (!i)
		return;
	ent_set_actual(c, &c->ent[i], what);
	ent_enqueue(c, i);
	ent_settle(c, i);
}

void rc_link_restored(struct rc *c, uint32_t ifindex)
{
	for (uint32_t k = 0; k < c->npods; k++) {
		struct ent *e = &c->ent[c->pods[k]];

		if (e->pod != ifindex)
			continue;
		/* The kernel took it away without a word, or not; sending it again is cheap. */
		ent_set_actual(c, e, (struct rc_what){ RC_OTHER, 0 });
		ent_unfail(c, e);
		ent_enqueue(c, c->pods[k]);
	}
}

void rc_link_gone(struct rc *c, uint32_t ifindex)
{
	for (uint32_t k = c->npods; k-- > 0;) {
		uint32_t i = c->pods[k];
		struct ent *e = &c->ent[i];

		if (e->pod != ifindex)
			continue;
		c->pods[k] = c->pods[--c->npods];
		e->pod = 0;
		if (e->kind == RC_DEV && e->value == ifindex)
			ent_set_actual(c, e, (struct rc_what){ RC_ABSENT, 0 });
		ent_touch(c, i);
	}
}

/* --- requests --- */

/* One pass for all groups that changed, however many. */
static void rescan(struct rc *c)
{
	for (uint32_t i = 1; i < c->nent; i++) {
		struct ent *e = &c->ent[i];

		if (!e->fam)
			continue;
		if (e->kind == RC_NH && !c->obj[e->value - NHID_BASE].present)
			ent_set_actual(c, e, (struct rc_what){ RC_ABSENT, 0 });
		if (e->flags & ENT_FAILED && e->nhg && c->obj[e->nhg].changed)
			ent_unfail(c, e);
		ent_enqueue(c, i);
		ent_settle(c, i);
	}
	for (uint32_t i = 1; i < c->nobj; i++)
		c->obj[i].changed = false;
}

void rc_plan(struct rc *c)
{
	nh_plan(c);
	if (c->rescan) {
		c->rescan = false;
		rescan(c);
	}
}

static void ent_fail(struct rc *c, struct ent *e, const char *why)
{
	struct prefix p = ent_prefix(e);
	bool learned = e->nhg && !e->pod && !(e->flags & ENT_BLOCK);

	if (!(e->flags & ENT_FAILED))
		c->nfailed++;
	e->flags |= ENT_FAILED;
	if (learned)
		c->env->failed(c->arg, &p, why);
}

/* Learned, but with no next hop to go by. Where only links are down, bgpd knows it already. */
static void ent_explain(struct rc *c, struct ent *e)
{
	char buf[128];
	const char *why;

	if (!e->nhg || e->pod || e->flags & (ENT_BLOCK | ENT_FAILED))
		return;
	const struct obj *g = &c->obj[e->nhg];
	if (nh_group_usable(g) && g->present)
		return;
	why = nh_group_usable(g) ? "the kernel lost its next-hop group"
				 : nh_group_why(c, g, buf, sizeof(buf));
	if (why)
		ent_fail(c, e, why);
}

bool rc_next_route(struct rc *c, struct rc_op *op)
{
	while (c->qhead) {
		uint32_t i = c->qhead;
		struct ent *e = &c->ent[i];

		c->qhead = e->qnext;
		if (!c->qhead)
			c->qtail = 0;
		e->flags &= (uint8_t)~ENT_QUEUED;
		ent_explain(c, e);
		struct rc_what w = ent_wanted(c, e);
		if (w.kind == e->kind && w.value == e->value) {
			ent_settle(c, i);
			continue;
		}
		*op = (struct rc_op){ .type = w.kind == RC_ABSENT ? RC_OP_ROUTE_DEL : RC_OP_ROUTE,
				      .id = i,
				      .prefix = ent_prefix(e),
				      .what = w };
		ent_set_actual(c, e, w);
		ent_settle(c, i);
		return true;
	}
	return false;
}

void rc_route_failed(struct rc *c, uint32_t i, const char *why, bool gone)
{
	struct ent *e = &c->ent[i];

	/* What the refused request should have replaced may still stand: it is deleted. */
	ent_set_actual(c, e, (struct rc_what){ RC_OTHER, 0 });
	if (gone && e->pod) {
		pods_drop(c, i);
		e->pod = 0;
		ent_touch(c, i);
		return;
	}
	ent_fail(c, e, why);
	ent_enqueue(c, i);
}

bool rc_pending(const struct rc *c)
{
	return c->qhead || c->reevaluate || c->replan || c->rescan || c->objects_changed ||
	       c->look_for_unused;
}

void rc_stats(const struct rc *c, struct routes_stats *out)
{
	*out = (struct routes_stats){ .failed = c->nfailed };
	for (uint32_t i = 1; i < c->nent; i++) {
		const struct ent *e = &c->ent[i];

		if (e->kind == RC_NH)
			out->learned++;
		else if (e->kind == RC_DEV || e->kind == RC_BLACKHOLE)
			out->local++;
		if (e->flags & ENT_STALE)
			out->stale++;
	}
	for (uint32_t i = 1; i < c->nobj; i++)
		out->groups += c->obj[i].kind == OBJ_GROUP && c->obj[i].present;
}

struct rc_what rc_wanted(const struct rc *c, const struct prefix *p)
{
	uint32_t i = ent_find(c, p);

	return i ? ent_wanted(c, &c->ent[i]) : (struct rc_what){ RC_ABSENT, 0 };
}

struct rc_what rc_actual(const struct rc *c, const struct prefix *p)
{
	uint32_t i = ent_find(c, p);

	return i ? (struct rc_what){ c->ent[i].kind, c->ent[i].value }
		 : (struct rc_what){ RC_ABSENT, 0 };
}
