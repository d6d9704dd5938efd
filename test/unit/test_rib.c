/* The whole RIB under random operations against the model: after each round, what every peer has
 * made of the bytes it got, and the kernel's routes, are what the model says. */
#include <stdio.h>

#include "bgpd/rib/internal.h"
#include "test/unit/rib_sim.h"
#include "test/unit/unit.h"

static struct sim S;

enum { OWN_AS = 64512 };

static struct rib_global globals(struct sim *s)
{
	static const enum bgp_export modes[] = { EXPORT_ALL, EXPORT_ALL, EXPORT_POOLS,
						 EXPORT_NODE };
	return (struct rib_global){ .asn = OWN_AS,
				    .router_id = 0x0a000001,
				    .cluster_id = sim_random(s, 2) ? 0x0a000001 : 0,
				    .export_mode = modes[sim_random(s, 4)],
				    .install = sim_random(s, 4) > 0,
				    .require_policy = sim_random(s, 4) == 0,
				    .max_paths = 1 + sim_random(s, 4) };
}

static void universe(struct sim *s)
{
	char text[64];
	for (unsigned k = 0; k < 24; k++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/%u", k % 3, k, 24 + k % 2);
		sim_prefix(s, text);
	}
	sim_prefix(s, "0.0.0.0/0");
	for (unsigned k = 0; k < 10; k++) {
		snprintf(text, sizeof(text), "2001:db8:%u::/%u", k, 48 + k);
		sim_prefix(s, text);
	}
	for (unsigned k = 0; k < 6; k++) {
		snprintf(text, sizeof(text), "192.0.2.%u", 10 + k);
		sim_nexthop(s, text, k != 3, k == 4 ? 20 : 10);
	}
	sim_nexthop(s, "2001:db8:ffff::1", true, 10);
	sim_nexthop(s, "2001:db8:ffff::2", true, 10);
	sim_nexthop(s, "2001:db8:9::1", true, 10); /* ours */
	sim_nexthop(s, "10.9.0.1", true, 10);	   /* ours */
	prefix_parse("10.0.0.0/16", &s->pool[0].cidr);
	prefix_parse("10.1.0.0/16", &s->pool[1].cidr);
	prefix_parse("2001:db8:4::/46", &s->pool[2].cidr);
	s->pool[1].disable_export = true;
	s->npool = 3;
	rib_set_pools(s->rib, s->pool, s->npool);
}

static void new_peer(struct sim *s, unsigned k)
{
	static const uint32_t asn[] = { 65001, 65002, 65003, 4200000000u, OWN_AS, OWN_AS };
	sim_peer_conf(s, k, asn[sim_random(s, 6)], sim_random(s, 2));
	struct rib_peer_conf *c = &s->peer[k].conf;
	c->nexthop_mode = sim_random(s, 3) ? NEXTHOP_AUTO : (uint8_t)(1 + sim_random(s, 2));
	c->allowed_own_as = (uint8_t)(sim_random(s, 4) == 0);
	c->policy = sim_random(s, 3) > 0;
	if (sim_random(s, 5) == 0)
		c->local_asn = 64999;
	if (sim_random(s, 5) == 0)
		c->tx.as4 = false;
	if (sim_random(s, 4) == 0)
		c->rx.add_path = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6);
	if (sim_random(s, 5) == 0)
		c->tx.add_path = FAMILY_BIT(FAM_V4);
	if (sim_random(s, 5) == 0)
		c->tx.families = FAMILY_BIT(1 + sim_random(s, 2));
	if (sim_random(s, 5) == 0) {
		c->tx.ext_nexthop = FAMILY_BIT(FAM_V4);
		if (sim_random(s, 2))
			c->local4 = (struct addr){ 0 };
	}
	sim_up(s, k);
}

static struct spec content(struct sim *s, const struct sim_peer *p, uint8_t fam)
{
	static const uint32_t comm[] = { 0xFFFF0000, 0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03, 77, 78 };
	struct spec x = { .there = true, .origin = (uint8_t)(sim_random(s, 6) == 0) };
	if (p->conf.ebgp)
		x.as[x.nas++] = p->conf.asn;
	for (unsigned n = sim_random(s, 3); n; n--)
		x.as[x.nas++] = sim_random(s, 12) ? 65100 + sim_random(s, 3) : OWN_AS;
	x.med = sim_random(s, 3) == 0;
	x.medv = x.med ? 5 * sim_random(s, 3) : 0;
	if (!p->conf.ebgp) {
		x.lp = sim_random(s, 4) > 0;
		x.lpv = x.lp ? 100 + 50 * (sim_random(s, 5) == 0) : 0;
		x.originator = sim_random(s, 4) == 0;
		x.originatorv = x.originator ? 0x0a000001 + sim_random(s, 3) : 0;
		x.ncluster = (uint8_t)sim_random(s, 2);
		x.cluster[0] = x.ncluster ? 0x0a000001 + sim_random(s, 3) : 0;
	}
	if (sim_random(s, 5) == 0)
		x.comm[x.ncomm++] = comm[sim_random(s, 6)];
	if (p->conf.connected && sim_random(s, 2) && fam == FAM_V4) {
		x.nh = p->conf.address;
		return x;
	}
	/* IPv4 routes may have an IPv6 next hop (RFC 8950), not the other way round. */
	do
		x.nh = s->nh[sim_random(s, s->nnh)].a;
	while (fam == FAM_V6 && x.nh.fam != FAM_V6);
	return x;
}

static void announce(struct sim *s, unsigned k, bool on)
{
	struct sim_peer *p = &s->peer[k];
	unsigned v[6], n = 1 + sim_random(s, 6);
	uint8_t fam = sim_random(s, 4) ? FAM_V4 : FAM_V6;
	for (unsigned i = 0; i < n; i++)
		do
			v[i] = sim_random(s, s->nprefix);
		while (s->prefix[v[i]].addr.fam != fam);
	struct spec x = content(s, p, fam);
	sim_send(s, k, sim_random(s, 3), on ? &x : NULL, v, n);
}

static void local_change(struct sim *s)
{
	enum origin_kind kind = sim_random(s, 3);
	for (unsigned n = sim_random(s, 5); n; n--) {
		unsigned i = sim_random(s, s->nprefix);
		s->local[kind][i] = sim_random(s, 3) == 0;
	}
	sim_originate(s, kind);
}

static void new_globals(struct sim *s)
{
	s->global = globals(s);
	rib_set_global(s->rib, &s->global);
}

static void operation(struct sim *s)
{
	unsigned k = sim_random(s, SIM_PEERS - 2), what = sim_random(s, 100);
	s->kernel_full = sim_random(s, 3) == 0;
	s->answer_now = sim_random(s, 3);
	if (!s->peer[k].up && what < 80)
		new_peer(s, k);
	else if (!s->peer[k].up)
		return;
	else if (what < 45)
		announce(s, k, true);
	else if (what < 65)
		announce(s, k, false);
	else if (what < 69)
		sim_down(s, k);
	else if (what < 74)
		sim_nexthop_set(s, sim_random(s, s->nnh), sim_random(s, 3), 10 * sim_random(s, 3));
	else if (what < 78)
		rib_refresh(s->rib, s->peer[k].rp, (uint8_t)(1 + sim_random(s, 2)));
	else if (what < 82)
		local_change(s);
	else if (what == 82)
		new_globals(s);
	else if (what == 83)
		sim_resend(s);
	else
		rib_run(s->rib, 1 + sim_random(s, 40));
	if (sim_random(s, 3) == 0)
		sim_read(s, sim_random(s, SIM_PEERS), 1 + sim_random(s, 300));
}

static void end_empty(struct sim *s)
{
	struct rib_stats st;
	for (unsigned k = 0; k < SIM_PEERS; k++)
		if (s->peer[k].up)
			sim_down(s, k);
	memset(s->local, 0, sizeof(s->local));
	for (unsigned kind = 0; kind < 3; kind++)
		sim_originate(s, kind);
	sim_settle(s);
	sim_check(s);
	rib_stats(s->rib, &st);
	ck_assert_uint_eq(st.prefixes, 0);
	ck_assert_uint_eq(st.paths, 0);
	ck_assert_uint_eq(st.attrs, 1); /* what own routes would have */
	ck_assert_uint_eq(st.nexthops, 0);
	ck_assert_uint_eq(st.groups, 0);
}

/* Every other time with little room for output, so that members fall behind their group. */
static void differential(uint64_t seed, unsigned rounds)
{
	struct rib_global g = { .asn = OWN_AS, .router_id = 0x0a000001, .max_paths = 4 };
	sim_start(&S, &g);
	S.random = seed * 0x9E3779B97F4A7C15ULL | 1;
	if (seed % 2)
		S.rib->limits = (struct rib_limits){ 400, 100, 400, 100 };
	S.global = globals(&S);
	rib_set_global(S.rib, &S.global);
	universe(&S);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned n = sim_random(&S, 60); n; n--)
			operation(&S);
		sim_settle(&S);
		sim_check(&S);
	}
	end_empty(&S);
	sim_stop(&S);
}

START_TEST(against_the_model)
{
	for (unsigned k = 0; k < 10; k++)
		differential((uint64_t)_i * 10 + k + 1, 120);
}
END_TEST

UNIT_MAIN("rib", against_the_model)
