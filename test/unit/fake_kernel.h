/* A model of the kernel for the core of felix/routes that behaves as the real one does: a link that
 * goes down takes next hops along, a next hop its groups, a group its routes, all without a word.
 */
#ifndef SELVAGE_TEST_FAKE_KERNEL_H
#define SELVAGE_TEST_FAKE_KERNEL_H

#include <string.h>

#include "felix/routes_core.h"
#include "test/unit/unit.h"

enum { LINKS = 4, OBJS = 512, PREFIXES = 48, GATEWAYS = 6 };

struct kobj {
	enum { K_NONE, K_HOP, K_GROUP } kind;
	struct rc_hop hop;
	struct rc_member m[RC_MAX_MEMBERS];
	unsigned n;
};

struct kernel {
	bool link_up[LINKS + 1];
	struct kobj obj[OBJS];
	struct rc_what route[PREFIXES];
	bool unreachable[GATEWAYS + 1];
	/* Ids that it refuses. */
	uint32_t refuse_group;
	bool refuse_routes;
	unsigned requests, route_requests, told;
};

static inline struct prefix pfx(unsigned i)
{
	struct addr a = addr_v4(0x0a000000u + (i << 8));

	return (struct prefix){ a, 24 };
}

static inline unsigned pfx_index(const struct prefix *p)
{
	return (addr_to_u32(&p->addr) - 0x0a000000u) >> 8;
}

/* Gateway g lies on link (g - 1) % LINKS + 1. */
static inline struct addr gateway(unsigned g)
{
	return addr_v4(0xc0000200u + g);
}

static inline unsigned gateway_link(unsigned g)
{
	return (g - 1) % LINKS + 1;
}

static inline bool k_resolve(void *arg, const struct addr *gw, struct addr *via, uint32_t *ifindex)
{
	const struct kernel *k = arg;
	unsigned g = addr_to_u32(gw) - 0xc0000200u;

	if (g == 0 || g > GATEWAYS || k->unreachable[g])
		return false;
	*via = *gw;
	*ifindex = gateway_link(g);
	return true;
}

static inline bool k_link_up(void *arg, uint32_t ifindex)
{
	const struct kernel *k = arg;

	return ifindex <= LINKS && k->link_up[ifindex];
}

static inline void k_failed(void *arg, const struct prefix *p, const char *why)
{
	(void)p;
	ck_assert_ptr_nonnull(why);
	((struct kernel *)arg)->told++;
}

static const struct rc_env env = { k_resolve, k_link_up, k_failed };

static inline void k_drop_routes(struct kernel *k, uint32_t id)
{
	for (unsigned i = 0; i < PREFIXES; i++)
		if (k->route[i].kind == RC_NH && k->route[i].value == id)
			k->route[i] = (struct rc_what){ RC_ABSENT, 0 };
}

static inline void k_drop(struct kernel *k, uint32_t id)
{
	struct kobj *o = &k->obj[id - NHID_BASE];
	bool hop = o->kind == K_HOP;

	o->kind = K_NONE;
	k_drop_routes(k, id);
	for (unsigned i = 0; hop && i < OBJS; i++) {
		struct kobj *g = &k->obj[i];
		unsigned n = 0;

		if (g->kind != K_GROUP)
			continue;
		for (unsigned j = 0; j < g->n; j++)
			if (g->m[j].id != id)
				g->m[n++] = g->m[j];
		g->n = n;
		if (!n)
			k_drop(k, NHID_BASE + i);
	}
}

static inline void k_link_down(struct kernel *k, uint32_t ifindex)
{
	k->link_up[ifindex] = false;
	for (unsigned i = 0; i < OBJS; i++)
		if (k->obj[i].kind == K_HOP && k->obj[i].hop.ifindex == ifindex)
			k_drop(k, NHID_BASE + i);
}

static inline bool k_apply(struct kernel *k, const struct rc_op *op)
{
	struct kobj *o = &k->obj[(op->id - NHID_BASE) % OBJS];

	k->requests++;
	switch (op->type) {
	case RC_OP_HOP:
		if (!k->link_up[op->hop.ifindex])
			return false;
		*o = (struct kobj){ .kind = K_HOP, .hop = op->hop };
		return true;
	case RC_OP_GROUP:
		if (op->id == k->refuse_group)
			return false;
		for (unsigned i = 0; i < op->nmembers; i++)
			if (k->obj[op->members[i].id - NHID_BASE].kind != K_HOP)
				return false;
		ck_assert_uint_gt(op->nmembers, 0);
		*o = (struct kobj){ .kind = K_GROUP, .n = op->nmembers };
		memcpy(o->m, op->members, op->nmembers * sizeof(o->m[0]));
		return true;
	case RC_OP_NH_DEL:
		/* A deletion must never take a route or a group along. */
		for (unsigned i = 0; i < PREFIXES; i++)
			ck_assert(k->route[i].kind != RC_NH || k->route[i].value != op->id);
		for (unsigned i = 0; i < OBJS; i++)
			for (unsigned j = 0; k->obj[i].kind == K_GROUP && j < k->obj[i].n; j++)
				ck_assert_uint_ne(k->obj[i].m[j].id, op->id);
		o->kind = K_NONE;
		return true;
	case RC_OP_ROUTE:
		k->route_requests++;
		if (k->refuse_routes ||
		    (op->what.kind == RC_NH && k->obj[op->what.value - NHID_BASE].kind != K_GROUP))
			return false;
		k->route[pfx_index(&op->prefix)] = op->what;
		return true;
	case RC_OP_ROUTE_DEL:
		k->route_requests++;
		k->route[pfx_index(&op->prefix)] = (struct rc_what){ RC_ABSENT, 0 };
		return true;
	}
	return false;
}

/* Sends all there is, as the shell does. */
static inline void pump(struct rc *c, struct kernel *k)
{
	struct rc_op op;
	unsigned rounds = 0;

	while (rc_pending(c)) {
		ck_assert_msg(++rounds < 10, "the core does not come to rest");
		rc_plan(c);
		while (rc_next_hop(c, &op))
			if (!k_apply(k, &op))
				rc_nh_failed(c, op.id);
		rc_plan(c);
		while (rc_next_group(c, &op))
			if (!k_apply(k, &op))
				rc_nh_failed(c, op.id);
		rc_plan(c);
		while (rc_next_route(c, &op))
			if (!k_apply(k, &op) && op.type == RC_OP_ROUTE)
				rc_route_failed(c, op.id, "refused", false);
		while (rc_next_unused(c, &op))
			k_apply(k, &op);
	}
}

/* What routes.c does on a link event: it asks for each next hop on the link. */
static inline void link_event(struct rc *c, struct kernel *k, uint32_t ifindex)
{
	uint32_t ids[OBJS];
	unsigned n = rc_hops_on(c, ifindex, ids, OBJS);

	for (unsigned i = 0; i < n; i++)
		if (k->obj[ids[i] - NHID_BASE].kind != K_HOP)
			rc_nh_lost(c, ids[i]);
	rc_reevaluate(c);
}

static inline void dump(struct rc *c, const struct kernel *k, bool adopt)
{
	rc_dump_begin(c);
	for (unsigned i = 0; i < OBJS; i++) {
		if (k->obj[i].kind == K_HOP)
			rc_dump_hop(c, NHID_BASE + i, &k->obj[i].hop);
		else if (k->obj[i].kind == K_GROUP)
			rc_dump_group(c, NHID_BASE + i, k->obj[i].m, k->obj[i].n);
	}
	for (unsigned i = 0; i < PREFIXES; i++) {
		struct prefix p = pfx(i);

		if (k->route[i].kind != RC_ABSENT)
			rc_dump_route(c, &p, k->route[i], adopt);
	}
	rc_dump_end(c);
	rc_plan(c);
}

static inline void define(struct rc *c, uint32_t id, unsigned n, const unsigned *gws)
{
	struct m_nexthop v[GATEWAYS];
	struct m_nhg g = { .id = id, .nexthops = { n, v } };

	for (unsigned i = 0; i < n; i++)
		v[i] = (struct m_nexthop){ .gateway = gateway(gws[i]), .weight = 1 };
	rc_nhg(c, &g);
}

static inline void learn(struct rc *c, uint32_t nhg, unsigned i)
{
	struct prefix p = pfx(i);

	rc_learned(c, nhg, &p);
}

static inline void all_up(struct kernel *k)
{
	memset(k, 0, sizeof(*k));
	for (unsigned i = 1; i <= LINKS; i++)
		k->link_up[i] = true;
}

static inline unsigned count(const struct kernel *k, int kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OBJS; i++)
		n += (int)k->obj[i].kind == kind;
	return n;
}

static inline const struct kobj *group_of(const struct kernel *k, unsigned i)
{
	ck_assert_int_eq(k->route[i].kind, RC_NH);
	const struct kobj *g = &k->obj[k->route[i].value - NHID_BASE];
	ck_assert_int_eq(g->kind, K_GROUP);
	return g;
}

#endif
