/* Learned routes on their way to the kernel, and what nodectl is answered. */
#include <stdio.h>
#include <string.h>

#include "bgpd/rib/internal.h"
#include "test/unit/rib_sim.h"
#include "test/unit/unit.h"

static struct sim S;

enum { OWN = 64512, N = 80 };

static unsigned v[N];

static void start(unsigned peers)
{
	struct rib_global g = { .asn = OWN,
				.router_id = 1,
				.export_mode = EXPORT_ALL,
				.install = true,
				.max_paths = 8 };
	char text[32];
	sim_start(&S, &g);
	for (unsigned k = 0; k < N; k++) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", k);
		v[k] = sim_prefix(&S, text);
	}
	sim_nexthop(&S, "192.0.2.1", true, 10);
	sim_nexthop(&S, "192.0.2.2", true, 10);
	for (unsigned k = 0; k < peers; k++) {
		sim_peer_conf(&S, k, 65001 + k, false);
		sim_up(&S, k);
	}
	sim_settle(&S);
}

static void announce(unsigned from, const struct addr *nh, unsigned n)
{
	struct spec x = { .there = true, .nh = nh ? *nh : S.peer[from].conf.address };
	x.as[x.nas++] = S.peer[from].conf.asn;
	sim_send(&S, from, 0, &x, v, n);
}

static unsigned gateways(unsigned k)
{
	return S.route[v[k]] ? S.group_n[S.route[v[k]]] : 0;
}

START_TEST(equal_paths_share_a_group)
{
	start(3);
	for (unsigned k = 0; k < 3; k++)
		announce(k, NULL, N);
	sim_settle(&S);
	sim_check(&S);
	for (unsigned k = 0; k < N; k++) {
		ck_assert_uint_eq(gateways(k), 3);
		ck_assert_uint_eq(S.route[v[k]], S.route[v[0]]);
	}
	ck_assert_uint_eq(S.rib->inst.count, 1);
	/* Few calls: routes go in batches. */
	ck_assert_uint_le(S.routes_calls, 3);
	sim_stop(&S);
}
END_TEST

START_TEST(max_paths)
{
	start(5);
	for (unsigned k = 0; k < 5; k++)
		announce(k, NULL, 1);
	for (unsigned max = 1; max < 6; max++) {
		S.global.max_paths = max;
		rib_set_global(S.rib, &S.global);
		sim_settle(&S);
		sim_check(&S);
		ck_assert_uint_eq(gateways(0), max);
	}
	S.global.install = false;
	rib_set_global(S.rib, &S.global);
	sim_settle(&S);
	ck_assert_uint_eq(gateways(0), 0);
	ck_assert_uint_eq(S.rib->inst.count, 0);
	sim_stop(&S);
}
END_TEST

/* The group loses the member at once, before a single prefix has been looked at. */
START_TEST(a_dead_peer_leaves_its_group_first)
{
	start(2);
	announce(0, NULL, N);
	announce(1, NULL, N);
	sim_settle(&S);
	uint32_t id = S.route[v[0]];
	unsigned calls = S.routes_calls;
	sim_down(&S, 0);
	ck_assert_uint_eq(S.group_n[id], 1);
	ck_assert(addr_eq(&S.group[id][0].gateway, &S.peer[1].conf.address));
	ck_assert_uint_eq(S.routes_calls, calls);
	sim_settle(&S);
	sim_check(&S);
	/* And the last one takes the routes with it. */
	sim_down(&S, 1);
	sim_settle(&S);
	for (unsigned k = 0; k < N; k++)
		ck_assert_uint_eq(S.route[v[k]], 0);
	sim_stop(&S);
}
END_TEST

START_TEST(a_lost_next_hop_leaves_its_group_first)
{
	start(2);
	announce(0, &S.nh[0].a, N);
	announce(1, &S.nh[1].a, N);
	sim_settle(&S);
	uint32_t id = S.route[v[0]];
	ck_assert_uint_eq(S.group_n[id], 2);
	sim_nexthop_set(&S, 1, false, 0);
	ck_assert_uint_eq(S.group_n[id], 1);
	/* Back before the prefixes were looked at: the group is whole again. */
	sim_nexthop_set(&S, 1, true, 10);
	sim_settle(&S);
	sim_check(&S);
	ck_assert_uint_eq(gateways(0), 2);
	/* A worse metric: not equal any more. */
	sim_nexthop_set(&S, 1, true, 20);
	sim_settle(&S);
	sim_check(&S);
	ck_assert_uint_eq(gateways(0), 1);
	sim_stop(&S);
}
END_TEST

START_TEST(own_prefixes_are_not_installed)
{
	start(1);
	announce(0, NULL, 2);
	sim_settle(&S);
	ck_assert_uint_eq(gateways(0), 1);
	S.local[ORIGIN_SERVICE][v[0]] = true;
	sim_originate(&S, ORIGIN_SERVICE);
	sim_settle(&S);
	ck_assert_uint_eq(gateways(0), 0);
	ck_assert_uint_eq(gateways(1), 1);
	S.local[ORIGIN_SERVICE][v[0]] = false;
	sim_originate(&S, ORIGIN_SERVICE);
	sim_settle(&S);
	ck_assert_uint_eq(gateways(0), 1);
	sim_stop(&S);
}
END_TEST

START_TEST(a_full_queue_waits)
{
	start(1);
	S.kernel_full = true;
	announce(0, NULL, N);
	for (unsigned k = 0; k < 10; k++)
		ck_assert(rib_run(S.rib, 1000));
	ck_assert_uint_eq(S.routes_calls, 0);
	ck_assert(!rib_install_done(S.rib));
	sim_settle(&S);
	ck_assert(rib_install_done(S.rib));
	sim_check(&S);
	sim_stop(&S);
}
END_TEST

START_TEST(a_fresh_channel_is_told_everything)
{
	start(3);
	for (unsigned k = 0; k < 3; k++)
		announce(k, NULL, N - 10 * k);
	sim_settle(&S);
	sim_resend(&S);
	ck_assert(!rib_install_done(S.rib));
	/* Changes come in between. */
	rib_run(S.rib, 5);
	sim_send(&S, 0, 0, NULL, v + 30, 20);
	rib_run(S.rib, 5);
	sim_down(&S, 1);
	sim_settle(&S);
	sim_check(&S);
	sim_stop(&S);
}
END_TEST

/* ---- nodectl routes ---- */

static struct arena A;
static struct m_ctl_route R;

static bool ask(const char *prefix, enum ctl_route_filter filter, unsigned peer)
{
	struct rib_query q = { .filter = filter, .peer = S.peer[peer].rp };
	struct rib_cursor c = { 0 };
	bool again;
	arena_reset(&A);
	prefix_parse(prefix, &q.prefix);
	return rib_query_next(S.rib, &q, &c, &A, &R, &again);
}

static unsigned count_all(enum ctl_route_filter filter, unsigned peer)
{
	struct rib_query q = { .filter = filter, .peer = S.peer[peer].rp };
	struct rib_cursor c = { 0 };
	bool again = true, got = true;
	unsigned n = 0;
	while (got || again) {
		arena_reset(&A);
		got = rib_query_next(S.rib, &q, &c, &A, &R, &again);
		n += got;
	}
	return n;
}

static const struct m_ctl_path *path_from(const char *peer)
{
	for (uint32_t k = 0; k < R.paths.n; k++)
		if (strcmp(R.paths.v[k].peer, peer) == 0)
			return &R.paths.v[k];
	ck_abort_msg("no path of %s", peer);
}

START_TEST(routes_and_reasons)
{
	start(3);
	struct spec x = { .there = true, .nh = S.peer[0].conf.address, .nas = 1, .as = { 65001 } };
	x.comm[x.ncomm++] = 0xffffff01;
	sim_send(&S, 0, 0, &x, v, 3);
	announce(1, NULL, 2);
	struct spec y = { .there = true, .nas = 2, .as = { 65003, OWN } };
	y.nh = S.peer[2].conf.address;
	sim_send(&S, 2, 0, &y, v, 1);
	sim_settle(&S);
	ck_assert(ask("10.0.0.0/16", CTL_ROUTE_ALL, 0));
	ck_assert_uint_eq(R.paths.n, 3);
	ck_assert(R.installed);
	ck_assert(path_from("p0")->best && path_from("p0")->multipath);
	ck_assert_str_eq(path_from("p0")->reason, "");
	ck_assert_str_eq(path_from("p0")->communities.v[0].text, "no-export");
	ck_assert(!path_from("p1")->best && path_from("p1")->multipath);
	ck_assert_str_eq(path_from("p1")->reason, "higher router id");
	ck_assert(!path_from("p2")->multipath);
	ck_assert_str_eq(path_from("p2")->reason, "AS path contains our own AS");
	ck_assert_uint_eq(path_from("p2")->as_path.n, 2);
	ck_assert_uint_eq(path_from("p2")->as_path.v[1].v, OWN);
	ck_assert_uint_eq(R.advertised_to.n, 0);
	ck_assert(ask("10.0.0.0/16", CTL_ROUTE_BEST, 0));
	ck_assert_uint_eq(R.paths.n, 1);
	ck_assert(ask("10.0.0.0/16", CTL_ROUTE_IN, 1));
	ck_assert_uint_eq(R.paths.n, 1);
	/* An address: the longest prefix that covers it. */
	ck_assert(ask("10.2.3.4", CTL_ROUTE_ALL, 0));
	ck_assert_uint_eq(R.prefix.len, 16);
	ck_assert(!ask("192.0.2.0/24", CTL_ROUTE_ALL, 0));
	ck_assert_uint_eq(count_all(CTL_ROUTE_ALL, 0), 3);
	ck_assert_uint_eq(count_all(CTL_ROUTE_IN, 1), 2);
	ck_assert_uint_eq(count_all(CTL_ROUTE_OUT, 1), 0);
	rib_install_failed(S.rib, &S.prefix[v[0]], 1);
	ck_assert(ask("10.0.0.0/16", CTL_ROUTE_ALL, 0));
	ck_assert(!R.installed);
	sim_stop(&S);
	arena_free(&A);
}
END_TEST

/* What lies in these ranges is known and passed on, but not installed; a range that goes lets its
 * routes in. The other way round, too. */
START_TEST(ranges_that_are_kept_out)
{
	struct prefix out[2];
	unsigned installed = 0;
	start(2);
	announce(0, NULL, N);
	sim_settle(&S);
	ck_assert_int_eq(prefix_parse("10.4.0.0/14", &out[0]), 0);
	ck_assert_int_eq(prefix_parse("10.9.0.0/16", &out[1]), 0);
	rib_keep_out(S.rib, out, 2);
	sim_settle(&S);
	for (unsigned k = 0; k < N; k++) {
		ck_assert_msg(!S.route[v[k]] == ((k >= 4 && k < 8) || k == 9), "10.%u.0.0/16", k);
		installed += S.route[v[k]] != 0;
	}
	ck_assert_uint_eq(installed, N - 5);
	ck_assert_uint_eq(count_all(CTL_ROUTE_OUT, 1), N);
	/* The same again is no work at all. */
	rib_keep_out(S.rib, out, 2);
	rib_set_global(S.rib, &S.global);
	rib_set_pools(S.rib, NULL, 0);
	ck_assert(!S.rib->all.on);
	rib_keep_out(S.rib, out, 1);
	sim_settle(&S);
	ck_assert_uint_eq(S.route[v[4]], 0);
	ck_assert_uint_ne(S.route[v[9]], 0);
	rib_keep_out(S.rib, NULL, 0);
	sim_settle(&S);
	sim_check(&S);
	for (unsigned k = 0; k < N; k++)
		ck_assert_uint_eq(gateways(k), 1);
	sim_stop(&S);
	arena_free(&A);
}
END_TEST

START_TEST(routes_as_sent)
{
	start(2);
	announce(0, NULL, 2);
	S.local[ORIGIN_BLOCK][v[5]] = true;
	sim_originate(&S, ORIGIN_BLOCK);
	sim_settle(&S);
	ck_assert_uint_eq(count_all(CTL_ROUTE_OUT, 0), 1);
	ck_assert_uint_eq(count_all(CTL_ROUTE_OUT, 1), 3);
	ck_assert(ask("10.0.0.0/16", CTL_ROUTE_OUT, 1));
	ck_assert_str_eq(R.paths.v[0].as_path_text, "64512 65001");
	ck_assert(addr_eq(&R.paths.v[0].nexthop, &S.peer[1].conf.local4));
	ck_assert_uint_eq(R.advertised_to.n, 1);
	ck_assert_str_eq(R.advertised_to.v[0].text, "p1");
	ck_assert(ask("10.5.0.0/16", CTL_ROUTE_ALL, 0));
	ck_assert_str_eq(R.paths.v[0].peer, "");
	ck_assert_uint_eq(R.advertised_to.n, 2);
	ck_assert(!R.installed);
	sim_stop(&S);
	arena_free(&A);
}
END_TEST

UNIT_MAIN("install", equal_paths_share_a_group, max_paths, a_dead_peer_leaves_its_group_first,
	  a_lost_next_hop_leaves_its_group_first, own_prefixes_are_not_installed,
	  a_full_queue_waits, a_fresh_channel_is_told_everything, routes_and_reasons,
	  routes_as_sent, ranges_that_are_kept_out)
