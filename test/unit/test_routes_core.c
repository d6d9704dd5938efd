/* The pure core of felix/routes against a model of the kernel that behaves as the real one does:
 * a link that goes down takes next hops along, a next hop its groups, a group its routes. */
#include "config.h"

#include <string.h>

#include "felix/routes_core.h"
#include "test/unit/unit.h"

enum { LINKS = 4, OBJS = 512, PREFIXES = 48, GATEWAYS = 6, GROUPS = 8 };

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

static struct prefix pfx(unsigned i)
{
	struct addr a = addr_v4(0x0a000000u + (i << 8));

	return (struct prefix){ a, 24 };
}

static unsigned pfx_index(const struct prefix *p)
{
	return (addr_to_u32(&p->addr) - 0x0a000000u) >> 8;
}

/* Gateway g lies on link (g - 1) % LINKS + 1. */
static struct addr gateway(unsigned g)
{
	return addr_v4(0xc0000200u + g);
}

static unsigned gateway_link(unsigned g)
{
	return (g - 1) % LINKS + 1;
}

static bool k_resolve(void *arg, const struct addr *gw, struct addr *via, uint32_t *ifindex)
{
	const struct kernel *k = arg;
	unsigned g = addr_to_u32(gw) - 0xc0000200u;

	if (g == 0 || g > GATEWAYS || k->unreachable[g])
		return false;
	*via = *gw;
	*ifindex = gateway_link(g);
	return true;
}

static bool k_link_up(void *arg, uint32_t ifindex)
{
	const struct kernel *k = arg;

	return ifindex <= LINKS && k->link_up[ifindex];
}

static void k_failed(void *arg, const struct prefix *p, const char *why)
{
	(void)p;
	ck_assert_ptr_nonnull(why);
	((struct kernel *)arg)->told++;
}

static const struct rc_env env = { k_resolve, k_link_up, k_failed };

static void k_drop_routes(struct kernel *k, uint32_t id)
{
	for (unsigned i = 0; i < PREFIXES; i++)
		if (k->route[i].kind == RC_NH && k->route[i].value == id)
			k->route[i] = (struct rc_what){ RC_ABSENT, 0 };
}

static void k_drop(struct kernel *k, uint32_t id)
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

static void k_link_down(struct kernel *k, uint32_t ifindex)
{
	k->link_up[ifindex] = false;
	for (unsigned i = 0; i < OBJS; i++)
		if (k->obj[i].kind == K_HOP && k->obj[i].hop.ifindex == ifindex)
			k_drop(k, NHID_BASE + i);
}

static bool k_apply(struct kernel *k, const struct rc_op *op)
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
		if (k->refuse_routes || (op->what.kind == RC_NH &&
					 k->obj[op->what.value - NHID_BASE].kind != K_GROUP))
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
static void pump(struct rc *c, struct kernel *k)
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
static void link_event(struct rc *c, struct kernel *k, uint32_t ifindex)
{
	uint32_t ids[OBJS];
	unsigned n = rc_hops_on(c, ifindex, ids, OBJS);

	for (unsigned i = 0; i < n; i++)
		if (k->obj[ids[i] - NHID_BASE].kind != K_HOP)
			rc_nh_lost(c, ids[i]);
	rc_reevaluate(c);
}

static void dump(struct rc *c, const struct kernel *k, bool adopt)
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

static void define(struct rc *c, uint32_t id, unsigned n, const unsigned *gws)
{
	struct m_nexthop v[GATEWAYS];
	struct m_nhg g = { .id = id, .nexthops = { n, v } };

	for (unsigned i = 0; i < n; i++)
		v[i] = (struct m_nexthop){ .gateway = gateway(gws[i]), .weight = 1 };
	rc_nhg(c, &g);
}

static void learn(struct rc *c, uint32_t nhg, unsigned i)
{
	struct prefix p = pfx(i);

	rc_learned(c, nhg, &p);
}

static void all_up(struct kernel *k)
{
	memset(k, 0, sizeof(*k));
	for (unsigned i = 1; i <= LINKS; i++)
		k->link_up[i] = true;
}

static unsigned count(const struct kernel *k, int kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OBJS; i++)
		n += (int)k->obj[i].kind == kind;
	return n;
}

static const struct kobj *group_of(const struct kernel *k, unsigned i)
{
	ck_assert_int_eq(k->route[i].kind, RC_NH);
	const struct kobj *g = &k->obj[k->route[i].value - NHID_BASE];
	ck_assert_int_eq(g->kind, K_GROUP);
	return g;
}

START_TEST(a_changed_group_touches_no_route)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 7, 2, (unsigned[]){ 1, 2 });
	for (unsigned i = 0; i < 40; i++)
		learn(c, 7, i);
	pump(c, &k);
	ck_assert_uint_eq(k.route_requests, 40);
	ck_assert_uint_eq(group_of(&k, 39)->n, 2);
	define(c, 7, 1, (unsigned[]){ 3 });
	pump(c, &k);
	ck_assert_uint_eq(k.route_requests, 40);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	/* The two next hops left behind are deleted. */
	ck_assert_uint_eq(count(&k, K_HOP), 1);
	rc_free(c);
}
END_TEST

START_TEST(single_next_hops_are_shared)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 1, 2, (unsigned[]){ 1, 2 });
	define(c, 2, 2, (unsigned[]){ 2, 3 });
	learn(c, 1, 0);
	learn(c, 2, 1);
	pump(c, &k);
	ck_assert_uint_eq(count(&k, K_HOP), 3);
	ck_assert_uint_eq(count(&k, K_GROUP), 2);
	rc_free(c);
}
END_TEST

START_TEST(a_link_down_leaves_the_other_member)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 1, 2, (unsigned[]){ 1, 2 });
	learn(c, 1, 0);
	pump(c, &k);
	k_link_down(&k, 1);
	link_event(c, &k, 1);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	ck_assert_uint_eq(k.route_requests, 1);
	k.link_up[1] = true;
	link_event(c, &k, 1);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 2);
	ck_assert_uint_eq(k.route_requests, 1);
	rc_free(c);
}
END_TEST

START_TEST(the_last_link_down_and_up_brings_routes_back)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	learn(c, 1, 0);
	learn(c, 1, 1);
	pump(c, &k);
	k_link_down(&k, 1);
	ck_assert_int_eq(k.route[0].kind, RC_ABSENT);
	link_event(c, &k, 1);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 0);
	k.link_up[1] = true;
	link_event(c, &k, 1);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	ck_assert_uint_eq(group_of(&k, 1)->n, 1);
	rc_free(c);
}
END_TEST

/* Down and up before the event is read: flags say "up" twice, the next hops are gone. */
START_TEST(a_flap_that_no_flag_shows_is_healed)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	learn(c, 1, 0);
	pump(c, &k);
	k_link_down(&k, 1);
	k.link_up[1] = true;
	link_event(c, &k, 1);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	rc_free(c);
}
END_TEST

START_TEST(an_unreachable_next_hop_is_told_once)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	k.unreachable[5] = true;
	define(c, 1, 1, (unsigned[]){ 5 });
	learn(c, 1, 0);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 1);
	ck_assert_int_eq(k.route[0].kind, RC_ABSENT);
	learn(c, 1, 1);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 2);
	k.unreachable[5] = false;
	rc_reevaluate(c);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 2);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	ck_assert_uint_eq(group_of(&k, 1)->n, 1);
	rc_free(c);
}
END_TEST

START_TEST(a_refused_route_is_told_and_tried_again_on_change)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct routes_stats st;

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	k.refuse_routes = true;
	learn(c, 1, 0);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 1);
	rc_stats(c, &st);
	ck_assert_uint_eq(st.failed, 1);
	unsigned sent = k.requests;
	pump(c, &k);
	ck_assert_uint_eq(k.requests, sent);
	k.refuse_routes = false;
	define(c, 1, 2, (unsigned[]){ 1, 2 });
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 2);
	rc_stats(c, &st);
	ck_assert_uint_eq(st.failed, 0);
	rc_free(c);
}
END_TEST

START_TEST(a_refused_group_fails_its_routes_alone)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	learn(c, 1, 0);
	pump(c, &k);
	k.refuse_group = k.route[0].value;
	for (unsigned i = 0; i < 4; i++)
		k.refuse_group = NHID_BASE + 3 + i, define(c, 2 + i, 1, (unsigned[]){ 2 });
	learn(c, 5, 1);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	ck_assert_uint_eq(k.told, k.route[1].kind == RC_ABSENT);
	rc_free(c);
}
END_TEST

START_TEST(a_pod_wins_over_a_block_and_both_over_bgp)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct prefix p = pfx(0);

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	learn(c, 1, 0);
	rc_set_block(c, &p, true);
	rc_set_pod(c, &p, 9);
	pump(c, &k);
	ck_assert_int_eq(k.route[0].kind, RC_DEV);
	ck_assert_uint_eq(k.route[0].value, 9);
	rc_set_pod(c, &p, 0);
	pump(c, &k);
	ck_assert_int_eq(k.route[0].kind, RC_BLACKHOLE);
	rc_set_block(c, &p, false);
	pump(c, &k);
	ck_assert_int_eq(k.route[0].kind, RC_NH);
	learn(c, 0, 0);
	pump(c, &k);
	ck_assert_int_eq(k.route[0].kind, RC_ABSENT);
	rc_free(c);
}
END_TEST

START_TEST(a_vanished_veth_is_not_wanted_any_more)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct prefix p = pfx(3);

	all_up(&k);
	rc_set_pod(c, &p, 17);
	pump(c, &k);
	k.route[3] = (struct rc_what){ RC_ABSENT, 0 };
	rc_link_gone(c, 17);
	pump(c, &k);
	ck_assert_int_eq(k.route[3].kind, RC_ABSENT);
	rc_link_restored(c, 17); /* another link that got the number */
	pump(c, &k);
	ck_assert_int_eq(k.route[3].kind, RC_ABSENT);
	rc_free(c);
}
END_TEST

START_TEST(a_veth_down_and_up_gets_its_route_back)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct prefix p = pfx(3);

	all_up(&k);
	rc_set_pod(c, &p, 17);
	pump(c, &k);
	k.route[3] = (struct rc_what){ RC_ABSENT, 0 }; /* the kernel says nothing */
	rc_link_restored(c, 17);
	pump(c, &k);
	ck_assert_int_eq(k.route[3].kind, RC_DEV);
	rc_free(c);
}
END_TEST

START_TEST(a_restart_adopts_and_touches_nothing)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct prefix pod = pfx(10), block = pfx(11);
	struct routes_stats st;

	all_up(&k);
	define(c, 1, 2, (unsigned[]){ 1, 2 });
	define(c, 2, 1, (unsigned[]){ 3 });
	for (unsigned i = 0; i < 8; i++)
		learn(c, 1 + i % 2, i);
	rc_set_pod(c, &pod, 40);
	rc_set_block(c, &block, true);
	pump(c, &k);
	rc_free(c);

	c = rc_new(&env, &k);
	unsigned sent = k.requests;
	dump(c, &k, true);
	pump(c, &k);
	ck_assert_uint_eq(k.requests, sent);
	rc_stats(c, &st);
	ck_assert_uint_eq(st.stale, 10);
	/* bgpd's numbers are new ones, and it no longer knows prefix 7. */
	rc_set_pod(c, &pod, 40);
	rc_set_block(c, &block, true);
	define(c, 90, 1, (unsigned[]){ 3 });
	define(c, 91, 2, (unsigned[]){ 2, 1 });
	for (unsigned i = 0; i < 7; i++)
		learn(c, 91 - i % 2, i);
	pump(c, &k);
	ck_assert_uint_eq(k.requests, sent);
	ck_assert_int_eq(k.route[7].kind, RC_NH);
	rc_sweep(c);
	pump(c, &k);
	ck_assert_uint_eq(k.requests, sent + 1);
	ck_assert_int_eq(k.route[7].kind, RC_ABSENT);
	ck_assert_int_eq(k.route[10].kind, RC_DEV);
	rc_free(c);
}
END_TEST

START_TEST(a_stale_route_survives_a_link_flap)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	learn(c, 1, 0);
	pump(c, &k);
	rc_reset_learned(c);
	k_link_down(&k, 1);
	link_event(c, &k, 1);
	pump(c, &k);
	k.link_up[1] = true;
	link_event(c, &k, 1);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	rc_sweep(c);
	pump(c, &k);
	ck_assert_uint_eq(count(&k, K_GROUP) + count(&k, K_HOP), 0);
	rc_free(c);
}
END_TEST

START_TEST(weights_of_one_gateway_add_up)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct m_nexthop v[2] = { { gateway(1), 0, 3 }, { gateway(1), 0, 4 } };
	struct m_nhg g = { .id = 1, .nexthops = { 2, v } };

	all_up(&k);
	rc_nhg(c, &g);
	learn(c, 1, 0);
	pump(c, &k);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	ck_assert_uint_eq(group_of(&k, 0)->m[0].weight, 7);
	rc_free(c);
}
END_TEST

/* --- random sequences against a model that only knows what is wanted --- */

struct model {
	bool defined[GROUPS + 1];
	unsigned mask[GROUPS + 1]; /* gateways */
	unsigned learned[PREFIXES];
	bool stale[PREFIXES], block[PREFIXES];
	uint32_t pod[PREFIXES];
};

static unsigned usable(const struct kernel *k, unsigned mask)
{
	unsigned out = 0;

	for (unsigned g = 1; g <= GATEWAYS; g++)
		if (mask & 1u << g && k->link_up[gateway_link(g)] && !k->unreachable[g])
			out |= 1u << g;
	return out;
}

static unsigned mask_of(const struct kernel *k, const struct kobj *g)
{
	unsigned out = 0;

	for (unsigned i = 0; i < g->n; i++) {
		const struct kobj *h = &k->obj[g->m[i].id - NHID_BASE];

		ck_assert_int_eq(h->kind, K_HOP);
		out |= 1u << (addr_to_u32(&h->hop.gateway) - 0xc0000200u);
	}
	return out;
}

static void compare(const struct kernel *k, const struct model *m, unsigned step)
{
	unsigned used = 0;

	for (unsigned i = 0; i < PREFIXES; i++) {
		struct rc_what has = k->route[i];
		unsigned want = m->learned[i] ? usable(k, m->mask[m->learned[i]]) : 0;

		if (m->pod[i]) {
			ck_assert_msg(has.kind == RC_DEV && has.value == m->pod[i],
				      "step %u prefix %u: pod", step, i);
		} else if (m->block[i]) {
			ck_assert_msg(has.kind == RC_BLACKHOLE, "step %u prefix %u: block", step,
				      i);
		} else if (want) {
			ck_assert_msg(has.kind == RC_NH, "step %u prefix %u: kind %u", step, i,
				      has.kind);
			unsigned got = mask_of(k, group_of(k, i));
			ck_assert_msg(got == want, "step %u prefix %u: via %x, wanted %x", step, i,
				      got, want);
		} else {
			ck_assert_msg(has.kind == RC_ABSENT, "step %u prefix %u: kind %u", step, i,
				      has.kind);
		}
	}
	for (unsigned g = 1; g <= GROUPS; g++)
		used |= m->defined[g] ? usable(k, m->mask[g]) : 0;
	ck_assert_msg(count(k, K_HOP) == (unsigned)__builtin_popcount(used),
		      "step %u: %u next hops stand, %d are used", step, count(k, K_HOP),
		      __builtin_popcount(used));
}

static void define_mask(struct rc *c, uint32_t id, unsigned mask)
{
	unsigned gws[GATEWAYS], n = 0;

	for (unsigned g = 1; g <= GATEWAYS; g++)
		if (mask & 1u << g)
			gws[n++] = g;
	define(c, id, n, gws);
}

static void replay(struct rc *c, const struct model *m)
{
	for (unsigned i = 0; i < PREFIXES; i++) {
		struct prefix p = pfx(i);

		if (m->block[i])
			rc_set_block(c, &p, true);
		if (m->pod[i])
			rc_set_pod(c, &p, m->pod[i]);
	}
}

static void replay_bgp(struct rc *c, const struct model *m)
{
	for (unsigned g = 1; g <= GROUPS; g++)
		if (m->defined[g])
			define_mask(c, g, m->mask[g]);
	for (unsigned i = 0; i < PREFIXES; i++)
		if (m->learned[i])
			learn(c, m->learned[i], i);
	rc_sweep(c);
}

static void act_link(struct rc *c, struct kernel *k)
{
	unsigned l = 1 + (unsigned)rand() % LINKS;

	if (k->link_up[l])
		k_link_down(k, l);
	else
		k->link_up[l] = true;
	if (rand() % 4 == 0) { /* a second change before the event is read */
		if (k->link_up[l])
			k_link_down(k, l);
		else
			k->link_up[l] = true;
	}
	link_event(c, k, l);
}

static void act_foreign(struct rc *c, struct kernel *k)
{
	unsigned i = (unsigned)rand() % PREFIXES, o = 1 + (unsigned)rand() % (OBJS - 1);
	struct prefix p = pfx(i);

	if (rand() % 2) {
		k->route[i] = (struct rc_what){ RC_ABSENT, 0 };
		rc_route_is(c, &p, k->route[i]);
		return;
	}
	for (unsigned n = 0; n < OBJS && k->obj[o].kind == K_NONE; n++)
		o = o % (OBJS - 1) + 1;
	if (k->obj[o].kind == K_NONE)
		return;
	k_drop(k, NHID_BASE + o);
	rc_nh_lost(c, NHID_BASE + o);
}

static struct rc *act(struct rc *c, struct kernel *k, struct model *m)
{
	unsigned i = (unsigned)rand() % PREFIXES, g = 1 + (unsigned)rand() % GROUPS;
	struct prefix p = pfx(i);

	switch (rand() % 12) {
	case 0:
	case 1:
	case 2:
		if (m->defined[g]) {
			m->learned[i] = g;
			learn(c, g, i);
		}
		break;
	case 3:
		m->learned[i] = 0;
		learn(c, 0, i);
		break;
	case 4:
		m->defined[g] = true;
		m->mask[g] = (unsigned)rand() & ((2u << GATEWAYS) - 2);
		define_mask(c, g, m->mask[g]);
		break;
	case 5:
		for (unsigned n = 0; n < PREFIXES; n++)
			if (m->learned[n] == g)
				return c;
		m->defined[g] = false;
		rc_nhg_del(c, g);
		break;
	case 6:
		m->block[i] = !m->block[i];
		rc_set_block(c, &p, m->block[i]);
		break;
	case 7:
		m->pod[i] = rand() % 2 ? 100 + (unsigned)rand() % 50 : 0;
		rc_set_pod(c, &p, m->pod[i]);
		break;
	case 8:
		act_link(c, k);
		break;
	case 9:
		act_foreign(c, k);
		break;
	case 10:
		g = 1 + (unsigned)rand() % GATEWAYS;
		k->unreachable[g] = !k->unreachable[g];
		rc_reevaluate(c);
		break;
	case 11:
		switch (rand() % 3) {
		case 0: /* felix starts anew */
			rc_free(c);
			c = rc_new(&env, k);
			dump(c, k, true);
			replay(c, m);
			replay_bgp(c, m);
			break;
		case 1: /* bgpd does */
			rc_reset_learned(c);
			replay_bgp(c, m);
			break;
		case 2: /* events were lost */
			k->route[i] = (struct rc_what){ RC_DEV, 3 };
			dump(c, k, false);
			break;
		}
		break;
	}
	return c;
}

START_TEST(random_sequences_end_as_wanted)
{
	static struct kernel k;
	static struct model m;
	struct rc *c = rc_new(&env, &k);

	srand(1000 + (unsigned)_i);
	all_up(&k);
	memset(&m, 0, sizeof(m));
	for (unsigned step = 0; step < 3000; step++) {
		c = act(c, &k, &m);
		/* Sometimes several changes meet in one flush. */
		if (rand() % 3)
			continue;
		pump(c, &k);
		compare(&k, &m, step);
	}
	rc_free(c);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_changed_group_touches_no_route,
		single_next_hops_are_shared,
		a_link_down_leaves_the_other_member,
		the_last_link_down_and_up_brings_routes_back,
		a_flap_that_no_flag_shows_is_healed,
		an_unreachable_next_hop_is_told_once,
		a_refused_route_is_told_and_tried_again_on_change,
		a_refused_group_fails_its_routes_alone,
		a_pod_wins_over_a_block_and_both_over_bgp,
		a_vanished_veth_is_not_wanted_any_more,
		a_veth_down_and_up_gets_its_route_back,
		a_restart_adopts_and_touches_nothing,
		a_stale_route_survives_a_link_flap,
		weights_of_one_gateway_add_up,
	};
	Suite *s = suite_create("routes_core");
	TCase *tc = tcase_create("routes_core");

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_loop_test(tc, random_sequences_end_as_wanted, 0, 40);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
