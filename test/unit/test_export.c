/* What is passed on to whom, and with what attributes: each case written out by hand. */
#include <stdio.h>
#include <string.h>

#include "test/unit/rib_sim.h"
#include "test/unit/unit.h"

static struct sim S;

enum { OWN = 64512, E0 = 0, E1, I0, I1, C0, C1, LOCAL, ENDS = LOCAL };

static const char *const end_name[] = { "eBGP 0",   "eBGP 1",	"iBGP 0", "iBGP 1",
					"client 0", "client 1", "own" };

static struct rib_global usual(void)
{
	return (struct rib_global){
		.asn = OWN, .router_id = 0x01010101, .export_mode = EXPORT_ALL, .max_paths = 4
	};
}

static unsigned prefix;

static void start(const struct rib_global *g)
{
	static const uint32_t asn[] = { 65001, 65002, OWN, OWN, OWN, OWN };
	sim_start(&S, g);
	prefix = sim_prefix(&S, "10.1.2.0/24");
	sim_nexthop(&S, "192.0.2.1", true, 10);
	sim_nexthop(&S, "2001:db8:9::1", true, 10); /* ours */
	for (unsigned k = 0; k < ENDS; k++) {
		sim_peer_conf(&S, k, asn[k], k >= C0);
		sim_up(&S, k);
	}
	sim_settle(&S);
}

static struct spec route_of(unsigned from)
{
	struct spec x = { .there = true, .med = true, .medv = 7, .nh = S.nh[0].a };
	if (S.peer[from].conf.ebgp) {
		x.as[x.nas++] = S.peer[from].conf.asn;
		x.nh = S.peer[from].conf.address;
	} else {
		x.lp = true;
		x.lpv = 200;
	}
	x.as[x.nas++] = 65100;
	return x;
}

static void send_from(unsigned from, const struct spec *x)
{
	if (from == LOCAL) {
		S.local[ORIGIN_BLOCK][prefix] = true;
		sim_originate(&S, ORIGIN_BLOCK);
	} else {
		sim_send(&S, from, 0, x, &prefix, 1);
	}
	sim_settle(&S);
}

/* Who has it now, a bit an end. */
static unsigned heard(void)
{
	unsigned bits = 0;
	for (unsigned k = 0; k < ENDS; k++)
		bits |= (unsigned)S.peer[k].got[prefix].there << k;
	return bits;
}

static void expect(const char *what, unsigned from, unsigned want)
{
	unsigned have = heard();
	for (unsigned k = 0; k < ENDS; k++)
		ck_assert_msg(((have ^ want) >> k & 1) == 0, "%s, from %s: %s %s it", what,
			      end_name[from], end_name[k], have >> k & 1 ? "has" : "lacks");
}

#define B(x) (1u << (x))
#define EXT  (B(E0) | B(E1))
#define NONC (B(I0) | B(I1))
#define CLI  (B(C0) | B(C1))
#define ALL  (EXT | NONC | CLI)

START_TEST(plain_speaker_and_reflector)
{
	static const struct {
		unsigned from, plain, reflector;
	} t[] = {
		{ LOCAL, ALL, ALL },
		{ E0, ALL & ~B(E0), ALL & ~B(E0) },
		{ I0, EXT, EXT | CLI },	   /* RFC 4271 9.2.1; RFC 4456 6: clients only */
		{ C0, EXT, ALL & ~B(C0) }, /* of a client: all but it */
	};
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++)
		for (unsigned reflector = 0; reflector < 2; reflector++) {
			struct rib_global g = usual();
			g.cluster_id = reflector ? 0x0c0c0c0c : 0;
			start(&g);
			struct spec x =
				t[k].from == LOCAL ? (struct spec){ 0 } : route_of(t[k].from);
			send_from(t[k].from, &x);
			expect(reflector ? "reflector" : "plain", t[k].from,
			       reflector ? t[k].reflector : t[k].plain);
			sim_stop(&S);
		}
}
END_TEST

START_TEST(communities_hold_back)
{
	static const struct {
		uint32_t comm;
		unsigned want;
	} t[] = {
		{ (uint32_t)COMM_NO_EXPORT, NONC | CLI },
		{ (uint32_t)COMM_NO_EXPORT_SUBCONFED, NONC | CLI },
		{ (uint32_t)COMM_NO_ADVERTISE, 0 },
		{ 0xfde80001, ALL & ~B(E0) },
	};
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		struct rib_global g = usual();
		start(&g);
		struct spec x = route_of(E0);
		x.comm[x.ncomm++] = t[k].comm;
		send_from(E0, &x);
		expect("community", E0, t[k].want);
		sim_stop(&S);
	}
}
END_TEST

START_TEST(modes)
{
	static const struct {
		enum bgp_export mode;
		const char *pool;
		bool disabled;
		unsigned learned, own;
	} t[] = {
		{ EXPORT_NODE, "10.0.0.0/8", false, 0, ALL },
		{ EXPORT_NODE, "10.0.0.0/8", true, 0, 0 },
		{ EXPORT_POOLS, "10.0.0.0/8", false, ALL & ~B(E0), ALL },
		{ EXPORT_POOLS, "10.0.0.0/8", true, 0, 0 },
		{ EXPORT_POOLS, "10.1.2.0/24", false, ALL & ~B(E0), ALL },
		{ EXPORT_POOLS, "10.1.2.0/25", false, 0, ALL },
		{ EXPORT_POOLS, "10.2.0.0/16", false, 0, ALL },
		{ EXPORT_ALL, "10.2.0.0/16", false, ALL & ~B(E0), ALL },
	};
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++)
		for (unsigned own = 0; own < 2; own++) {
			char name[64];
			struct rib_global g = usual();
			g.export_mode = t[k].mode;
			start(&g);
			struct m_bgp_pool pool = { .disable_export = t[k].disabled };
			prefix_parse(t[k].pool, &pool.cidr);
			rib_set_pools(S.rib, &pool, 1);
			struct spec x = route_of(E0);
			send_from(own ? LOCAL : E0, &x);
			snprintf(name, sizeof(name), "case %u", k);
			expect(name, own ? LOCAL : E0, own ? t[k].own : t[k].learned);
			/* The same when the pool comes, or goes, after the route. */
			rib_set_pools(S.rib, NULL, 0);
			sim_settle(&S);
			rib_set_pools(S.rib, &pool, 1);
			sim_settle(&S);
			expect(name, own ? LOCAL : E0, own ? t[k].own : t[k].learned);
			sim_stop(&S);
		}
}
END_TEST

START_TEST(no_policy_no_routes)
{
	struct rib_global g = usual();
	g.require_policy = true;
	start(&g);
	sim_down(&S, E1);
	S.peer[E1].conf.policy = false;
	sim_up(&S, E1);
	sim_settle(&S);
	struct spec x = route_of(E0);
	send_from(E0, &x);
	expect("to one without a policy", E0, NONC | CLI);
	sim_send(&S, E0, 0, NULL, &prefix, 1);
	x = route_of(E1);
	send_from(E1, &x);
	expect("from one without a policy", E1, 0);
	g.require_policy = false;
	rib_set_global(S.rib, &g);
	sim_settle(&S);
	expect("not asked for", E1, ALL & ~B(E1));
	sim_stop(&S);
}
END_TEST

START_TEST(attributes_to_external)
{
	struct rib_global g = usual();
	g.cluster_id = 5;
	start(&g);
	struct spec x = route_of(C0);
	x.originator = true;
	x.originatorv = 99;
	x.cluster[x.ncluster++] = 77;
	x.comm[x.ncomm++] = 123;
	send_from(C0, &x);
	struct spec want = {
		.there = true, .nas = 2, .as = { OWN, 65100 }, .ncomm = 1, .comm = { 123 }
	};
	want.nh = S.peer[E0].conf.local4;
	ck_assert(spec_eq(&want, &S.peer[E0].got[prefix]));
	/* RFC 4456 section 8, to internal ones. */
	want = x;
	want.cluster[0] = 5;
	want.cluster[1] = 77;
	want.ncluster = 2;
	ck_assert(spec_eq(&want, &S.peer[I0].got[prefix]));
	sim_stop(&S);
}
END_TEST

START_TEST(attributes_to_internal)
{
	struct rib_global g = usual();
	start(&g);
	struct spec x = route_of(E0), want = x;
	send_from(E0, &x);
	want.lp = true;
	want.lpv = 100;
	ck_assert(spec_eq(&want, &S.peer[I0].got[prefix]));
	/* RFC 8326: the last choice for the whole AS. */
	x.comm[x.ncomm++] = (uint32_t)COMM_GRACEFUL_SHUTDOWN;
	send_from(E0, &x);
	ck_assert_uint_eq(S.peer[I0].got[prefix].lpv, 0);
	sim_stop(&S);
}
END_TEST

START_TEST(own_routes)
{
	static const struct {
		enum bgp_export mode;
		uint32_t lp;
	} t[] = { { EXPORT_ALL, 100 }, { EXPORT_POOLS, 2147482623 }, { EXPORT_NODE, 2147482623 } };
	for (unsigned k = 0; k < 3; k++) {
		struct rib_global g = usual();
		g.export_mode = t[k].mode;
		start(&g);
		send_from(LOCAL, NULL);
		struct spec want = { .there = true, .nas = 1, .as = { OWN } };
		want.nh = S.peer[E0].conf.local4;
		ck_assert(spec_eq(&want, &S.peer[E0].got[prefix]));
		want.nas = 0;
		want.lp = true;
		want.lpv = t[k].lp;
		ck_assert(spec_eq(&want, &S.peer[I0].got[prefix]));
		/* A change of the mode is told. */
		g.export_mode = EXPORT_ALL;
		rib_set_global(S.rib, &g);
		sim_settle(&S);
		ck_assert_uint_eq(S.peer[I0].got[prefix].lpv, 100);
		sim_stop(&S);
	}
}
END_TEST

START_TEST(next_hop_modes)
{
	static const struct {
		unsigned from, to;
		enum bgp_nexthop_mode mode;
		bool self;
	} t[] = {
		{ E0, E1, NEXTHOP_AUTO, true },	   { E0, E1, NEXTHOP_SELF, true },
		{ E0, E1, NEXTHOP_KEEP, false },   { E0, I0, NEXTHOP_AUTO, false },
		{ E0, I0, NEXTHOP_SELF, true },	   { E0, I0, NEXTHOP_KEEP, false },
		{ LOCAL, I0, NEXTHOP_AUTO, true }, { LOCAL, E1, NEXTHOP_KEEP, true },
		{ I0, E1, NEXTHOP_AUTO, true },
	};
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		struct rib_global g = usual();
		start(&g);
		sim_down(&S, t[k].to);
		S.peer[t[k].to].conf.nexthop_mode = t[k].mode;
		sim_up(&S, t[k].to);
		struct spec x = t[k].from == LOCAL ? (struct spec){ 0 } : route_of(t[k].from);
		send_from(t[k].from, &x);
		const struct addr *want = t[k].self ? &S.peer[t[k].to].conf.local4 : &x.nh;
		ck_assert_msg(addr_eq(&S.peer[t[k].to].got[prefix].nh, want), "case %u", k);
		sim_stop(&S);
	}
}
END_TEST

/* RFC 8950, and a family for which there is no next hop of ours. */
START_TEST(no_address_of_ours)
{
	struct rib_global g = usual();
	start(&g);
	sim_down(&S, E1);
	S.peer[E1].conf.local4 = (struct addr){ 0 };
	sim_up(&S, E1);
	struct spec x = route_of(E0);
	send_from(E0, &x);
	ck_assert(!S.peer[E1].got[prefix].there);
	ck_assert_uint_eq(S.peer[E1].eor[FAM_V4], 1);
	sim_down(&S, E1);
	S.peer[E1].conf.tx.ext_nexthop = FAMILY_BIT(FAM_V4);
	sim_up(&S, E1);
	sim_settle(&S);
	ck_assert(addr_eq(&S.peer[E1].got[prefix].nh, &S.peer[E1].conf.local6));
	sim_stop(&S);
}
END_TEST

START_TEST(loops_are_refused)
{
	static const struct {
		const char *what;
		unsigned from;
		uint8_t allowed;
		bool taken;
	} t[] = { { "own AS", E0, 0, false },	    { "own AS once, allowed", E0, 1, true },
		  { "own AS twice", E0, 1, false }, { "own originator", I0, 0, false },
		  { "own cluster", C0, 0, false },  { "own next hop", E0, 0, false },
		  { "other cluster", C0, 0, true } };
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		struct rib_global g = usual();
		g.cluster_id = 5;
		start(&g);
		sim_down(&S, t[k].from);
		S.peer[t[k].from].conf.allowed_own_as = t[k].allowed;
		sim_up(&S, t[k].from);
		struct spec x = route_of(t[k].from);
		if (k < 3)
			x.as[x.nas++] = OWN;
		if (k == 2)
			x.as[x.nas++] = OWN;
		x.originator = k == 3;
		x.originatorv = k == 3 ? g.router_id : 0;
		x.ncluster = t[k].from == C0;
		x.cluster[0] = k == 4 ? 5 : 6;
		if (k == 5)
			x.nh = S.peer[I0].conf.local6;
		send_from(t[k].from, &x);
		ck_assert_msg((heard() != 0) == t[k].taken, "%s", t[k].what);
		sim_stop(&S);
	}
}
END_TEST

START_TEST(max_prefixes)
{
	struct rib_global g = usual();
	start(&g);
	sim_down(&S, E0);
	S.peer[E0].conf.max_prefixes = 2;
	sim_up(&S, E0);
	uint8_t nlri[] = { 24, 1, 1, 1, 24, 1, 1, 2, 24, 1, 1, 3 };
	struct bgp_update u = { .reach[0] = { FAM_V4, false, nlri, 8 } };
	u.nexthop[0].global = S.peer[E0].conf.address;
	u.attrs.as_path = (struct blob){ (const uint8_t[]){ 2, 1, 0, 0, 0xfd, 0xe9 }, 6 };
	ck_assert_int_eq(rib_update(S.rib, S.peer[E0].rp, &u), RIB_OK);
	ck_assert_int_eq(rib_update(S.rib, S.peer[E0].rp, &u), RIB_OK);
	u.reach[0].len = 12;
	ck_assert_int_eq(rib_update(S.rib, S.peer[E0].rp, &u), RIB_MAX_PREFIXES);
	sim_stop(&S);
}
END_TEST

/* RFC 7606: the routes of a malformed UPDATE are withdrawn. */
START_TEST(treat_as_withdraw)
{
	struct rib_global g = usual();
	start(&g);
	struct spec x = route_of(E0);
	send_from(E0, &x);
	ck_assert_uint_ne(heard(), 0);
	uint8_t nlri[] = { 24, 10, 1, 2 };
	struct bgp_update u = { .outcome = UPDATE_WITHDRAW,
				.reach[0] = { FAM_V4, false, nlri, 4 } };
	rib_update(S.rib, S.peer[E0].rp, &u);
	sim_settle(&S);
	ck_assert_uint_eq(heard(), 0);
	sim_stop(&S);
}
END_TEST

UNIT_MAIN("export", plain_speaker_and_reflector, communities_hold_back, modes, no_policy_no_routes,
	  attributes_to_external, attributes_to_internal, own_routes, next_hop_modes,
	  no_address_of_ours, loops_are_refused, max_prefixes, treat_as_withdraw)
