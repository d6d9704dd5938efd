/* Next hops: what bgpd names (targets), what the kernel gets (objects), and the way between. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "felix/routes_impl.h"
#include "lib/arena.h"

uint32_t nh_index(const struct rc *c, uint32_t id)
{
	uint32_t n = id - NHID_BASE;

	return id > NHID_BASE && n < c->nobj && c->obj[n].kind != OBJ_FREE ? n : 0;
}

/* --- objects --- */

static void obj_reserve(struct rc *c, uint32_t n)
{
	if (n >= c->obj_cap) {
		uint32_t cap = c->obj_cap ? c->obj_cap : 16;

		while (cap <= n)
			cap *= 2;
		c->obj = xrealloc(c->obj, cap * sizeof(*c->obj));
		memset(c->obj + c->obj_cap, 0, (cap - c->obj_cap) * sizeof(*c->obj));
		c->obj_cap = cap;
	}
	if (n >= c->nobj)
		c->nobj = n + 1;
}

/* The lowest free number, so that the table stays small; 0 when all 65,535 are taken. */
static uint32_t obj_new(struct rc *c, enum obj_kind kind)
{
	uint32_t n = 1;

	while (n < c->nobj && c->obj[n].kind != OBJ_FREE)
		n++;
	if (n >= OBJ_MAX)
		return 0;
	obj_reserve(c, n);
	c->obj[n] = (struct obj){ .kind = kind };
	c->objects_changed = true;
	return n;
}

static uint32_t addr_bucket(const struct addr *a, uint32_t ifindex)
{
	return (addr_hash(a) ^ ifindex * 0x9e3779b1u) & (NH_BUCKETS - 1);
}

static bool hop_eq(const struct rc_hop *a, const struct rc_hop *b)
{
	return a->ifindex == b->ifindex && a->onlink == b->onlink &&
	       addr_eq(&a->gateway, &b->gateway);
}

static void hop_link(struct rc *c, uint32_t n)
{
	const struct rc_hop *key = &c->obj[n].hop.key;
	uint32_t *head = &c->hop_hash[addr_bucket(&key->gateway, key->ifindex)];

	c->obj[n].hop.next = *head;
	*head = n;
}

static void hop_unlink(struct rc *c, uint32_t n)
{
	const struct rc_hop *key = &c->obj[n].hop.key;
	uint32_t *at = &c->hop_hash[addr_bucket(&key->gateway, key->ifindex)];

	while (*at != n)
		at = &c->obj[*at].hop.next;
	*at = c->obj[n].hop.next;
}

static uint32_t hop_find(const struct rc *c, const struct rc_hop *key)
{
	uint32_t n = c->hop_hash[addr_bucket(&key->gateway, key->ifindex)];

	while (n && !hop_eq(&c->obj[n].hop.key, key))
		n = c->obj[n].hop.next;
	return n;
}

static uint32_t hop_get(struct rc *c, const struct rc_hop *key)
{
	uint32_t n = hop_find(c, key);

	if (n)
		return n;
	n = obj_new(c, OBJ_HOP);
	if (n) {
		c->obj[n].hop.key = *key;
		hop_link(c, n);
	}
	return n;
}

/* --- targets --- */

static void target_point(struct rc *c, struct target *t, uint32_t hop)
{
	if (t->hop == hop)
		return;
	if (t->hop) {
		c->obj[t->hop].hop.targets--;
		c->objects_changed = true;
	}
	t->hop = hop;
	if (hop)
		c->obj[hop].hop.targets++;
}

static void target_evaluate(struct rc *c, uint32_t i)
{
	struct target t = c->target[i];
	struct rc_hop key = { .gateway = t.gateway, .ifindex = t.ifindex, .onlink = t.onlink };
	bool found = t.ifindex || c->env->resolve(c->arg, &t.gateway, &key.gateway, &key.ifindex);

	target_point(c, &t, found ? hop_get(c, &key) : 0);
	t.up = t.hop && c->env->link_up(c->arg, key.ifindex);
	c->target[i] = t;
}

static uint32_t target_get(struct rc *c, const struct addr *gw, uint32_t ifindex, bool onlink)
{
	uint32_t *head = &c->target_hash[addr_bucket(gw, ifindex)], i;

	for (i = *head; i; i = c->target[i].next)
		if (c->target[i].ifindex == ifindex && c->target[i].onlink == onlink &&
		    addr_eq(&c->target[i].gateway, gw))
			break;
	if (!i) {
		i = c->target_free;
		if (i) {
			c->target_free = c->target[i].next;
		} else {
			i = c->ntarget ? c->ntarget : 1;
			c->ntarget = i + 1;
			c->target = xrealloc(c->target, c->ntarget * sizeof(*c->target));
		}
		c->target[i] = (struct target){
			.gateway = *gw, .ifindex = ifindex, .onlink = onlink, .next = *head
		};
		*head = i;
		target_evaluate(c, i);
	}
	c->target[i].refs++;
	return i;
}

static void target_put(struct rc *c, uint32_t i)
{
	struct target *t = &c->target[i];

	if (--t->refs)
		return;
	uint32_t *at = &c->target_hash[addr_bucket(&t->gateway, t->ifindex)];
	while (*at != i)
		at = &c->target[*at].next;
	*at = t->next;
	target_point(c, t, 0);
	t->next = c->target_free;
	c->target_free = i;
}

/* --- groups --- */

static void group_set_want(struct rc *c, uint32_t n, struct want *want, unsigned nwant)
{
	struct want *old = c->obj[n].grp.want;
	unsigned nold = c->obj[n].grp.nwant;

	c->obj[n].grp.want = want;
	c->obj[n].grp.nwant = nwant;
	c->obj[n].replan = true;
	c->replan = true;
	for (unsigned i = 0; i < nold; i++)
		target_put(c, old[i].target);
	free(old);
}

static void group_set_have(struct rc *c, struct obj *g, const struct rc_member *m, unsigned n)
{
	struct rc_member *copy = n ? xmalloc(n * sizeof(*copy)) : NULL;

	/* The new ones are held before the old ones are let go, for m may be the old list. */
	for (unsigned i = 0; i < n; i++) {
		uint32_t hop = nh_index(c, m[i].id);

		copy[i] = m[i];
		if (hop && c->obj[hop].kind == OBJ_HOP)
			c->obj[hop].hop.held++;
	}
	for (unsigned i = 0; i < g->grp.nhave; i++) {
		uint32_t hop = nh_index(c, g->grp.have[i].id);

		if (hop && c->obj[hop].kind == OBJ_HOP && c->obj[hop].hop.held)
			c->obj[hop].hop.held--;
	}
	free(g->grp.have);
	g->grp.have = copy;
	g->grp.nhave = n;
	c->objects_changed = true;
}

static bool members_eq(const struct rc_member *a, unsigned na, const struct rc_member *b,
		       unsigned nb)
{
	if (na != nb)
		return false;
	for (unsigned i = 0; i < na; i++)
		if (a[i].id != b[i].id || a[i].weight != b[i].weight)
			return false;
	return true;
}

static int member_cmp(const void *a, const void *b)
{
	uint32_t x = ((const struct rc_member *)a)->id, y = ((const struct rc_member *)b)->id;

	return x < y ? -1 : x > y;
}

/* The members that can carry traffic now, sorted; two targets behind one gateway add up. */
static unsigned plan_members(const struct rc *c, const struct want *want, unsigned nwant,
			     struct rc_member *out)
{
	unsigned n = 0, i;

	for (unsigned w = 0; w < nwant; w++) {
		const struct target *t = &c->target[want[w].target];

		if (!t->hop || !t->up || c->obj[t->hop].failed)
			continue;
		for (i = 0; i < n && out[i].id != nh_id(t->hop); i++)
			;
		unsigned weight = want[w].weight ? want[w].weight : 1;
		if (i == n)
			out[n++] = (struct rc_member){ nh_id(t->hop), 0 };
		weight += out[i].weight;
		out[i].weight = (uint16_t)(weight > 256 ? 256 : weight); /* the kernel's most */
	}
	qsort(out, n, sizeof(*out), member_cmp);
	return n;
}

static void group_set_plan(struct rc *c, struct obj *g, const struct rc_member *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		c->obj[m[i].id - NHID_BASE].hop.users++;
	for (unsigned i = 0; i < g->grp.nplan; i++)
		c->obj[g->grp.plan[i].id - NHID_BASE].hop.users--;
	free(g->grp.plan);
	g->grp.plan = NULL;
	g->grp.nplan = n;
	if (n) {
		g->grp.plan = xmalloc(n * sizeof(*m));
		memcpy(g->grp.plan, m, n * sizeof(*m));
	}
	c->objects_changed = true;
}

static void group_plan(struct rc *c, struct obj *g)
{
	struct rc_member m[RC_MAX_MEMBERS];
	bool was_usable = nh_group_usable(g);
	unsigned n = plan_members(c, g->grp.want, g->grp.nwant, m);

	g->replan = false;
	if (members_eq(m, n, g->grp.plan, g->grp.nplan)) {
		/* Still nothing to go by: the routes' owner wants to hear it. */
		if (!n && g->grp.desired)
			c->rescan = true;
		return;
	}
	group_set_plan(c, g, m, n);
	g->failed = false;
	g->changed = true;
	if (was_usable != nh_group_usable(g) || c->nfailed)
		c->rescan = true;
}

bool nh_group_usable(const struct obj *g)
{
	return g->grp.nplan > 0 && !g->failed;
}

const char *nh_group_why(const struct rc *c, const struct obj *g, char *buf, size_t size)
{
	char text[ADDR_STRLEN];

	if (g->failed)
		return "the kernel refused its next-hop group";
	for (unsigned i = 0; i < g->grp.nwant; i++) {
		const struct target *t = &c->target[g->grp.want[i].target];

		addr_format(&t->gateway, text, sizeof(text));
		if (!t->hop)
			snprintf(buf, size, "next hop %s cannot be reached from this node", text);
		else if (c->obj[t->hop].failed)
			snprintf(buf, size, "the kernel refused next hop %s", text);
		else
			continue;
		return buf;
	}
	return NULL;
}

static uint32_t *bgp_bucket(struct rc *c, uint32_t bgp_id)
{
	return &c->bgp_hash[bgp_id & (NH_BUCKETS - 1)];
}

static uint32_t bgp_find(struct rc *c, uint32_t bgp_id)
{
	uint32_t n = *bgp_bucket(c, bgp_id);

	while (n && c->obj[n].grp.bgp_id != bgp_id)
		n = c->obj[n].grp.next;
	return n;
}

static void bgp_bind(struct rc *c, uint32_t n, uint32_t bgp_id)
{
	uint32_t *head = bgp_bucket(c, bgp_id);

	c->obj[n].grp.bgp_id = bgp_id;
	c->obj[n].grp.next = *head;
	*head = n;
}

static void bgp_unbind(struct rc *c, uint32_t n)
{
	uint32_t *at = bgp_bucket(c, c->obj[n].grp.bgp_id);

	while (*at != n)
		at = &c->obj[*at].grp.next;
	*at = c->obj[n].grp.next;
	c->obj[n].grp.bgp_id = 0;
	c->objects_changed = true;
}

uint32_t nh_group_of_bgp(struct rc *c, uint32_t bgp_id)
{
	uint32_t n = bgp_find(c, bgp_id);

	/* Routes for a group that is not defined yet wait for its definition. */
	if (!n) {
		n = obj_new(c, OBJ_GROUP);
		if (n)
			bgp_bind(c, n, bgp_id);
	}
	return n;
}

/* A group without an owner that already has just these members. */
static uint32_t find_unbound(const struct rc *c, const struct rc_member *m, unsigned n)
{
	for (uint32_t i = 1; n && i < c->nobj; i++) {
		const struct obj *o = &c->obj[i];

		if (o->kind == OBJ_GROUP && !o->grp.bgp_id &&
		    members_eq(m, n, o->grp.plan, o->grp.nplan))
			return i;
	}
	return 0;
}

void rc_nhg(struct rc *c, const struct m_nhg *g)
{
	unsigned n = g->nexthops.n < RC_MAX_MEMBERS ? g->nexthops.n : RC_MAX_MEMBERS;
	struct want *want = n ? xcalloc(n, sizeof(*want)) : NULL;
	struct rc_member m[RC_MAX_MEMBERS];

	for (unsigned i = 0; i < n; i++) {
		const struct m_nexthop *h = &g->nexthops.v[i];

		want[i].target = target_get(c, &h->gateway, h->ifindex, h->ifindex != 0);
		want[i].weight = h->weight;
	}
	uint32_t at = bgp_find(c, g->id);
	if (!at) {
		at = find_unbound(c, m, plan_members(c, want, n, m));
		if (at)
			bgp_bind(c, at, g->id);
		else
			at = nh_group_of_bgp(c, g->id);
	}
	if (at) {
		group_set_want(c, at, want, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		target_put(c, want[i].target);
	free(want);
}

void rc_nhg_del(struct rc *c, uint32_t id)
{
	uint32_t n = bgp_find(c, id);

	if (n)
		bgp_unbind(c, n);
}

void rc_reevaluate(struct rc *c)
{
	c->reevaluate = true;
}

/* --- what the kernel has --- */

void rc_dump_hop(struct rc *c, uint32_t id, const struct rc_hop *hop)
{
	uint32_t n = id - NHID_BASE;

	if (id <= NHID_BASE || n >= OBJ_MAX)
		return;
	obj_reserve(c, n);
	struct obj *o = &c->obj[n];
	if (o->kind == OBJ_FREE) {
		*o = (struct obj){ .kind = OBJ_HOP, .hop.key = *hop };
		/* Of two alike the first is used, the other found unused and deleted. */
		hop_link(c, n);
	} else if (o->kind != OBJ_HOP) {
		return;
	}
	o->seen = true;
	o->present = hop_eq(&o->hop.key, hop);
	c->objects_changed = true;
}

void rc_dump_group(struct rc *c, uint32_t id, const struct rc_member *m, unsigned n)
{
	uint32_t at = id - NHID_BASE;

	if (id <= NHID_BASE || at >= OBJ_MAX || n > RC_MAX_MEMBERS)
		return;
	obj_reserve(c, at);
	if (c->obj[at].kind == OBJ_FREE)
		c->obj[at] = (struct obj){ .kind = OBJ_GROUP };
	if (c->obj[at].kind != OBJ_GROUP)
		return;
	c->obj[at].seen = true;
	rc_group_is(c, id, m, n);
}

void rc_group_is(struct rc *c, uint32_t id, const struct rc_member *m, unsigned n)
{
	uint32_t at = nh_index(c, id);
	struct rc_member sorted[RC_MAX_MEMBERS];

	if (!at || c->obj[at].kind != OBJ_GROUP || n > RC_MAX_MEMBERS)
		return;
	memcpy(sorted, m, n * sizeof(*m));
	qsort(sorted, n, sizeof(*sorted), member_cmp);
	group_set_have(c, &c->obj[at], sorted, n);
	c->obj[at].present = true;
}

static void group_lost(struct rc *c, struct obj *g)
{
	g->present = false;
	group_set_have(c, g, NULL, 0);
	c->rescan = true; /* its routes went with it */
}

/* The kernel takes a next hop out of its groups, and an empty group away. */
static void hop_lost(struct rc *c, uint32_t id)
{
	for (uint32_t i = 1; i < c->nobj; i++) {
		struct obj *g = &c->obj[i];
		struct rc_member left[RC_MAX_MEMBERS];
		unsigned n = 0;

		if (g->kind != OBJ_GROUP || !g->present)
			continue;
		for (unsigned k = 0; k < g->grp.nhave; k++)
			if (g->grp.have[k].id != id)
				left[n++] = g->grp.have[k];
		if (n == g->grp.nhave)
			continue;
		if (n)
			group_set_have(c, g, left, n);
		else
			group_lost(c, g);
	}
}

void rc_nh_lost(struct rc *c, uint32_t id)
{
	uint32_t n = nh_index(c, id);

	if (!n)
		return;
	c->objects_changed = true;
	if (c->obj[n].kind == OBJ_GROUP) {
		group_lost(c, &c->obj[n]);
		return;
	}
	c->obj[n].present = false;
	if (c->obj[n].routes)
		c->rescan = true;
	hop_lost(c, id);
}

/* A group that a former process left: it is kept up like any other until the sweep. Hops come
 * after groups in a dump, so holds are counted and targets made at its end. */
static void adopt_group(struct rc *c, uint32_t n)
{
	unsigned have = c->obj[n].grp.nhave, nwant = 0;
	struct want *want = xcalloc(have + 1, sizeof(*want));

	for (unsigned i = 0; i < have; i++) {
		struct rc_member m = c->obj[n].grp.have[i];
		uint32_t hop = nh_index(c, m.id);

		if (!hop || c->obj[hop].kind != OBJ_HOP)
			continue;
		struct rc_hop key = c->obj[hop].hop.key;
		want[nwant].target = target_get(c, &key.gateway, key.ifindex, key.onlink);
		want[nwant++].weight = m.weight;
	}
	group_set_want(c, n, want, nwant);
}

void nh_after_dump(struct rc *c)
{
	for (uint32_t i = 1; i < c->nobj; i++) {
		struct obj *o = &c->obj[i];

		if (o->kind != OBJ_FREE && o->present && !o->seen)
			rc_nh_lost(c, nh_id(i));
		if (o->kind == OBJ_HOP)
			o->hop.held = 0;
		o->failed = false;
	}
	for (uint32_t i = 1; i < c->nobj; i++) {
		struct obj *g = &c->obj[i];

		for (unsigned k = 0; g->kind == OBJ_GROUP && k < g->grp.nhave; k++) {
			uint32_t hop = nh_index(c, g->grp.have[k].id);

			if (hop && c->obj[hop].kind == OBJ_HOP)
				c->obj[hop].hop.held++;
		}
	}
	for (uint32_t i = 1; i < c->nobj; i++)
		if (c->obj[i].kind == OBJ_GROUP && !c->obj[i].grp.bgp_id && !c->obj[i].grp.nwant &&
		    c->obj[i].grp.nhave)
			adopt_group(c, i);
	c->reevaluate = true;
	c->objects_changed = true;
}

/* --- plan and requests --- */

void nh_plan(struct rc *c)
{
	if (c->reevaluate) {
		for (uint32_t i = 1; i < c->nobj; i++) {
			if (c->obj[i].kind == OBJ_GROUP && c->obj[i].failed) {
				c->obj[i].changed = true;
				c->rescan = true;
			}
			c->obj[i].failed = false;
		}
		for (uint32_t i = 1; i < c->ntarget; i++)
			if (c->target[i].refs)
				target_evaluate(c, i);
	}
	for (uint32_t i = 1; (c->reevaluate || c->replan) && i < c->nobj; i++)
		if (c->obj[i].kind == OBJ_GROUP && (c->reevaluate || c->obj[i].replan))
			group_plan(c, &c->obj[i]);
	c->reevaluate = false;
	c->replan = false;
	if (c->objects_changed) {
		c->hop_cursor = c->group_cursor = 1;
		c->look_for_unused = true;
	}
	c->objects_changed = false;
}

bool rc_next_hop(struct rc *c, struct rc_op *op)
{
	for (; c->hop_cursor < c->nobj; c->hop_cursor++) {
		struct obj *o = &c->obj[c->hop_cursor];

		if (o->kind != OBJ_HOP || !o->hop.users || o->present || o->failed)
			continue;
		o->present = true;
		*op = (struct rc_op){ .type = RC_OP_HOP,
				      .id = nh_id(c->hop_cursor),
				      .hop = o->hop.key };
		return true;
	}
	return false;
}

bool rc_next_group(struct rc *c, struct rc_op *op)
{
	for (; c->group_cursor < c->nobj; c->group_cursor++) {
		struct obj *o = &c->obj[c->group_cursor];

		if (o->kind != OBJ_GROUP || !nh_group_usable(o) ||
		    (o->present &&
		     members_eq(o->grp.plan, o->grp.nplan, o->grp.have, o->grp.nhave)))
			continue;
		/* Left by bgpd and by its routes: it would only be made to be deleted. */
		if (!o->present && !o->grp.bgp_id && !o->grp.desired)
			continue;
		bool changed = c->objects_changed;
		group_set_have(c, o, o->grp.plan, o->grp.nplan);
		c->objects_changed = changed;
		/* What the new members pushed out may now be unused. */
		c->look_for_unused = true;
		o->present = true;
		*op = (struct rc_op){ .type = RC_OP_GROUP,
				      .id = nh_id(c->group_cursor),
				      .members = o->grp.plan,
				      .nmembers = o->grp.nplan };
		return true;
	}
	return false;
}

void rc_nh_failed(struct rc *c, uint32_t id)
{
	uint32_t n = nh_index(c, id);

	if (!n)
		return;
	rc_nh_lost(c, id);
	c->obj[n].failed = true;
	c->rescan = true;
	if (c->obj[n].kind != OBJ_HOP)
		return;
	for (uint32_t i = 1; i < c->nobj; i++)
		if (c->obj[i].kind == OBJ_GROUP)
			c->obj[i].replan = true;
	c->replan = true;
}

void rc_group_unsent(struct rc *c, uint32_t id)
{
	uint32_t n = nh_index(c, id);

	/* Whatever it has now differs from the plan, so that it is sent again. */
	if (n && c->obj[n].kind == OBJ_GROUP)
		group_set_have(c, &c->obj[n], NULL, 0);
}

static void obj_release(struct rc *c, uint32_t n)
{
	struct obj *o = &c->obj[n];

	if (o->kind == OBJ_HOP) {
		hop_unlink(c, n);
	} else {
		group_set_want(c, n, NULL, 0);
		group_set_plan(c, o, NULL, 0);
		group_set_have(c, o, NULL, 0);
	}
	*o = (struct obj){ .kind = OBJ_FREE };
}

static bool obj_needless(const struct obj *o)
{
	if (o->kind == OBJ_FREE || o->routes)
		return false;
	if (o->kind == OBJ_HOP)
		return !o->hop.users && !o->hop.held;
	return !nh_group_usable(o) || (!o->grp.bgp_id && !o->grp.desired);
}

static bool obj_forgettable(const struct obj *o)
{
	if (o->kind == OBJ_HOP)
		return !o->hop.targets;
	return !o->grp.bgp_id && !o->grp.desired;
}

/* Groups first, for a next hop that goes takes groups and their routes along. */
static bool next_unused(struct rc *c, struct rc_op *op, enum obj_kind kind)
{
	for (uint32_t i = 1; i < c->nobj; i++) {
		struct obj *o = &c->obj[i];

		if (o->kind != kind || !obj_needless(o))
			continue;
		bool present = o->present, forget = obj_forgettable(o);
		if (!present && !forget)
			continue;
		o->present = false;
		if (kind == OBJ_GROUP)
			group_set_have(c, o, NULL, 0);
		if (forget)
			obj_release(c, i);
		if (!present)
			continue;
		*op = (struct rc_op){ .type = RC_OP_NH_DEL, .id = nh_id(i) };
		return true;
	}
	return false;
}

bool rc_next_unused(struct rc *c, struct rc_op *op)
{
	if (!c->look_for_unused || c->qhead)
		return false;
	if (next_unused(c, op, OBJ_GROUP) || next_unused(c, op, OBJ_HOP))
		return true;
	c->look_for_unused = false;
	return false;
}

unsigned rc_hops_on(const struct rc *c, uint32_t ifindex, uint32_t *ids, unsigned max)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < c->nobj && n < max; i++) {
		const struct obj *o = &c->obj[i];

		if (o->kind == OBJ_HOP && o->present && (!ifindex || o->hop.key.ifindex == ifindex))
			ids[n++] = nh_id(i);
	}
	return n;
}

void nh_free_all(struct rc *c)
{
	for (uint32_t i = 1; i < c->nobj; i++) {
		if (c->obj[i].kind != OBJ_GROUP)
			continue;
		free(c->obj[i].grp.want);
		free(c->obj[i].grp.plan);
		free(c->obj[i].grp.have);
	}
	free(c->obj);
	free(c->target);
}
