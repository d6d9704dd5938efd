/* The pure core of felix/routes against a model of the kernel. */
#include "config.h"

#include <string.h>

#include "test/unit/fake_kernel.h"

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
	/* Numbers are given from the lowest: hop 1, group 2, hop 3, group 4. */
	ck_assert_uint_eq(k.route[0].value, NHID_BASE + 2);
	k.refuse_group = NHID_BASE + 4;
	define(c, 2, 1, (unsigned[]){ 2 });
	learn(c, 2, 1);
	learn(c, 2, 2);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 2);
	ck_assert_int_eq(k.route[1].kind, RC_ABSENT);
	ck_assert_uint_eq(group_of(&k, 0)->n, 1);
	/* Tried again when links change. */
	k.refuse_group = 0;
	rc_reevaluate(c);
	pump(c, &k);
	ck_assert_uint_eq(k.told, 2);
	ck_assert_uint_eq(group_of(&k, 1)->n, 1);
	ck_assert_uint_eq(group_of(&k, 2)->n, 1);
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

START_TEST(a_pods_route_overtakes_learned_ones)
{
	struct kernel k;
	struct rc *c = rc_new(&env, &k);
	struct prefix p = pfx(40);
	struct rc_op op;

	all_up(&k);
	define(c, 1, 1, (unsigned[]){ 1 });
	for (unsigned i = 0; i < 40; i++)
		learn(c, 1, i);
	rc_set_pod(c, &p, 9);
	rc_plan(c);
	while (rc_next_hop(c, &op) || rc_next_group(c, &op))
		k_apply(&k, &op);
	ck_assert(rc_next_route(c, &op));
	ck_assert(prefix_eq(&op.prefix, &p));
	k_apply(&k, &op);
	pump(c, &k);
	ck_assert_uint_eq(k.route_requests, 41);
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

UNIT_MAIN("routes_core", a_changed_group_touches_no_route, single_next_hops_are_shared,
	  a_link_down_leaves_the_other_member, the_last_link_down_and_up_brings_routes_back,
	  a_flap_that_no_flag_shows_is_healed, an_unreachable_next_hop_is_told_once,
	  a_refused_route_is_told_and_tried_again_on_change, a_refused_group_fails_its_routes_alone,
	  a_pod_wins_over_a_block_and_both_over_bgp, a_pods_route_overtakes_learned_ones,
	  a_vanished_veth_is_not_wanted_any_more, a_veth_down_and_up_gets_its_route_back,
	  a_restart_adopts_and_touches_nothing, a_stale_route_survives_a_link_flap,
	  weights_of_one_gateway_add_up)
