/* Update groups: one encoding for all, packing, split horizon, slow members, joining, refreshing.
 */
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
	struct rib_global g = {
		.asn = OWN, .router_id = 1, .export_mode = EXPORT_ALL, .max_paths = 1
	};
	char text[32];
	sim_start(&S, &g);
	for (unsigned k = 0; k < N; k++) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", k);
		v[k] = sim_prefix(&S, text);
	}
	for (unsigned k = 0; k < peers; k++) {
		sim_peer_conf(&S, k, 65001 + k, false);
		sim_up(&S, k);
	}
	sim_settle(&S);
}

static struct spec route_of(unsigned from, uint8_t longer)
{
	struct spec x = { .there = true, .nh = S.peer[from].conf.address };
	x.as[x.nas++] = S.peer[from].conf.asn;
	while (longer--)
		x.as[x.nas++] = 65100;
	return x;
}

static void announce(unsigned from, uint8_t longer, unsigned first, unsigned n)
{
	struct spec x = route_of(from, longer);
	sim_send(&S, from, 0, &x, v + first, n);
}

static void reset_counts(void)
{
	for (unsigned k = 0; k < SIM_PEERS; k++)
		S.peer[k].messages = S.peer[k].announces = S.peer[k].withdraws = 0;
}

static struct group *group_of(unsigned k)
{
	return S.peer[k].rp->group;
}

START_TEST(same_bytes_same_group)
{
	start(3);
	ck_assert_ptr_eq(group_of(0), group_of(1));
	for (unsigned k = 0; k < 9; k++) {
		sim_down(&S, 2);
		sim_peer_conf(&S, 2, k == 0 ? OWN : 65003, false);
		struct rib_peer_conf *c = &S.peer[2].conf;
		c->local_asn += k == 1;
		c->tx.as4 = k != 2;
		c->tx.families = k == 3 ? FAMILY_BIT(FAM_V4) : c->tx.families;
		c->tx.max_message = k == 4 ? BGP_MAX_EXTENDED : BGP_MAX;
		c->nexthop_mode = k == 5 ? NEXTHOP_KEEP : NEXTHOP_AUTO;
		c->local4.b[3] = (uint8_t)(c->local4.b[3] + (k == 6));
		c->tx.add_path = k == 7 ? FAMILY_BIT(FAM_V4) : 0;
		c->policy = k != 8;
		sim_up(&S, 2);
		ck_assert_msg(group_of(2) != group_of(0), "case %u", k);
	}
	sim_settle(&S);
	struct rib_stats st;
	rib_stats(S.rib, &st);
	ck_assert_uint_eq(st.groups, 2);
	sim_stop(&S);
}
END_TEST

START_TEST(one_update_carries_many_prefixes)
{
	start(2);
	reset_counts();
	/* The same attributes in many small UPDATEs, mixed with others. */
	for (unsigned k = 0; k < N; k++)
		announce(0, k % 2, k, 1);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[1].announces, N);
	ck_assert_uint_eq(S.peer[1].messages, 2);
	sim_check(&S);
	reset_counts();
	sim_send(&S, 0, 0, NULL, v, N);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[1].messages, 1);
	ck_assert_uint_eq(S.peer[1].withdraws, N);
	sim_stop(&S);
}
END_TEST

START_TEST(transients_are_not_told)
{
	start(2);
	reset_counts();
	for (unsigned k = 0; k < 20; k++) {
		announce(0, (uint8_t)(k % 3), 0, 10);
		sim_send(&S, 0, 0, NULL, v, 10);
	}
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[1].messages, 0);
	/* The same again is no news either. */
	announce(0, 0, 0, 10);
	sim_settle(&S);
	reset_counts();
	announce(0, 0, 0, 10);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[1].messages, 0);
	sim_stop(&S);
}
END_TEST

START_TEST(split_horizon)
{
	start(3);
	reset_counts();
	announce(0, 1, 0, 10);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[0].messages, 0);
	ck_assert_uint_eq(S.peer[1].announces, 10);
	ck_assert_uint_eq(S.peer[2].announces, 10);
	/* Another member takes over: it is told to forget what it had from the first one. */
	reset_counts();
	announce(1, 0, 0, 10);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[0].announces, 10);
	ck_assert_uint_eq(S.peer[1].announces, 0);
	ck_assert_uint_eq(S.peer[1].withdraws, 10);
	ck_assert_uint_eq(S.peer[2].announces, 10);
	ck_assert_uint_eq(S.peer[2].withdraws, 0);
	sim_check(&S);
	/* Gone again: who had nothing of it is not told so. */
	reset_counts();
	sim_send(&S, 1, 0, NULL, v, 10);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[0].withdraws, 10);
	ck_assert_uint_eq(S.peer[1].announces, 10);
	ck_assert_uint_eq(S.peer[2].announces, 10);
	sim_check(&S);
	sim_stop(&S);
}
END_TEST

START_TEST(end_of_rib_follows_the_table)
{
	start(1);
	ck_assert_uint_eq(S.peer[0].eor[FAM_V4], 1);
	ck_assert_uint_eq(S.peer[0].eor[FAM_V6], 1);
	announce(0, 1, 0, N);
	sim_peer_conf(&S, 1, 65002, false);
	sim_up(&S, 1);
	/* In small turns and pieces: the End-of-RIB never overtakes a route. */
	while (!S.peer[1].eor[FAM_V4]) {
		rib_run(S.rib, 7);
		sim_read(&S, 1, 50);
		ck_assert(!S.peer[1].eor[FAM_V4] || S.peer[1].announces == N);
	}
	sim_settle(&S);
	sim_check(&S);
	/* A refresh tells all again, without End-of-RIB (RFC 2918). */
	reset_counts();
	rib_refresh(S.rib, S.peer[1].rp, FAM_V4);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[1].announces, N);
	ck_assert_uint_eq(S.peer[1].withdraws, 0);
	ck_assert_uint_eq(S.peer[1].eor[FAM_V4], 1);
	sim_stop(&S);
}
END_TEST

START_TEST(one_family_only)
{
	start(0);
	sim_peer_conf(&S, 0, 65001, false);
	S.peer[0].conf.tx.families = FAMILY_BIT(FAM_V6);
	sim_up(&S, 0);
	sim_settle(&S);
	ck_assert_uint_eq(S.peer[0].eor[FAM_V4], 0);
	ck_assert_uint_eq(S.peer[0].eor[FAM_V6], 1);
	sim_stop(&S);
}
END_TEST

/* One member does not read. The others get everything at once, its own memory stays small, and when
 * it reads again it is told the difference only. */
START_TEST(a_slow_member_holds_up_nobody)
{
	start(3);
	S.rib->limits = (struct rib_limits){ 2000, 500, 2000, 500 };
	reset_counts();
	for (unsigned round = 0; round < 200; round++) {
		announce(0, (uint8_t)(1 + round % 4), 0, N);
		bool more = true;
		while (more) {
			more = rib_run(S.rib, 1000);
			while (sim_read(&S, 1, SIZE_MAX))
				more = true;
		}
		for (unsigned k = 0; k < N; k++)
			ck_assert_uint_eq(S.peer[1].got[v[k]].nas, 3 + round % 4);
		ck_assert_uint_le(S.peer[2].rp->priv.end - S.peer[2].rp->prd.pos, 4096);
	}
	ck_assert(!S.peer[2].rp->attached);
	sim_send(&S, 0, 0, NULL, v, 20);
	sim_settle(&S);
	sim_check(&S);
	ck_assert(S.peer[2].rp->attached);
	ck_assert_uint_eq(S.peer[1].announces, 200 * N);
	ck_assert_uint_lt(S.peer[2].announces, 20 * N);
	sim_stop(&S);
}
END_TEST

/* A member that reads nothing, alone: the log stops growing, changes gather in the group. */
START_TEST(nobody_reads)
{
	start(2);
	S.rib->limits = (struct rib_limits){ 2000, 500, 2000, 500 };
	for (unsigned round = 0; round < 100; round++) {
		announce(0, (uint8_t)(1 + round % 4), 0, N);
		for (unsigned k = 0; k < 3; k++)
			rib_run(S.rib, 1000);
	}
	/* Bounded: the window and one batch, or its own buffer. */
	ck_assert_uint_le(member_lag(S.peer[1].rp), 6000);
	struct rib_stats before, after;
	rib_stats(S.rib, &before);
	sim_settle(&S);
	sim_check(&S);
	rib_stats(S.rib, &after);
	ck_assert_uint_le(before.bytes, after.bytes + 20000);
	sim_stop(&S);
}
END_TEST

START_TEST(withdrawn_while_slow)
{
	start(3);
	S.rib->limits = (struct rib_limits){ 600, 100, 600, 100 };
	announce(0, 1, 0, N);
	sim_settle(&S);
	sim_check(&S);
	for (unsigned round = 0; round < 50; round++) {
		announce(0, (uint8_t)(round % 5), 0, N);
		rib_run(S.rib, 100000);
		sim_read(&S, 1, SIZE_MAX);
	}
	/* Everything goes and the prefixes with it; another set may take their numbers. */
	sim_send(&S, 0, 0, NULL, v, 40);
	for (unsigned k = 0; k < 2000; k++) {
		rib_run(S.rib, 1000);
		sim_read(&S, 1, SIZE_MAX);
	}
	announce(1, 0, 20, 30);
	sim_settle(&S);
	sim_check(&S);
	sim_stop(&S);
}
END_TEST

START_TEST(peer_down_is_one_step_then_slices)
{
	start(3);
	announce(0, 0, 0, N);
	announce(1, 1, 0, N);
	sim_settle(&S);
	reset_counts();
	struct rib_peer_counts c;
	rib_peer_counts(S.rib, S.peer[1].rp, &c);
	ck_assert_uint_eq(c.received, N);
	sim_down(&S, 0);
	/* Its routes are not chosen from now on, even for prefixes decided for another reason. */
	announce(1, 2, 0, 1);
	for (unsigned k = 0; k < 1000; k++)
		rib_run(S.rib, 1);
	sim_settle(&S);
	sim_check(&S);
	ck_assert_uint_eq(S.peer[2].announces, N);
	ck_assert_uint_eq(S.peer[2].withdraws, 0);
	sim_stop(&S);
}
END_TEST

/* The group comes to a prefix before the sweep of the dead peer does. */
START_TEST(a_dead_path_is_never_told)
{
	start(3);
	announce(0, 0, 0, N);
	announce(1, 1, 0, 10);
	decide_dirty(S.rib, 1000);
	reset_counts();
	sim_down(&S, 0);
	group_encode(S.rib, group_of(2), 1000);
	while (sim_read(&S, 2, SIZE_MAX))
		;
	ck_assert_uint_eq(S.peer[2].announces, 10);
	for (unsigned k = 0; k < 10; k++)
		ck_assert_uint_eq(S.peer[2].got[v[k]].as[1], 65002);
	sim_settle(&S);
	sim_check(&S);
	sim_stop(&S);
}
END_TEST

START_TEST(ids_are_used_again)
{
	start(1);
	for (unsigned round = 0; round < 300; round++) {
		announce(0, 0, 0, 20);
		if (round % 3)
			sim_settle(&S);
		sim_down(&S, 0);
		if (round % 2)
			sim_settle(&S);
		sim_up(&S, 0);
	}
	sim_settle(&S);
	sim_check(&S);
	ck_assert_uint_le(S.rib->npeers, 6);
	sim_stop(&S);
}
END_TEST

/* Attributes that fit what came in but not what goes out (RFC 8654 section 5). */
START_TEST(too_long_for_the_peer)
{
	static uint8_t comm[4084], nlri[] = { 16, 10, 3 };
	start(2);
	announce(0, 0, 3, 1);
	sim_settle(&S);
	ck_assert(S.peer[1].got[v[3]].there);
	for (unsigned k = 0; k < sizeof(comm); k += 4)
		put_u32(comm + k, 100 + k);
	struct bgp_update u = { .reach[0] = { FAM_V4, false, nlri, sizeof(nlri) } };
	u.nexthop[0].global = S.peer[0].conf.address;
	u.attrs.as_path = (struct blob){ (const uint8_t[]){ 2, 1, 0, 0, 0xfd, 0xe9 }, 6 };
	u.attrs.communities = (struct blob){ comm, sizeof(comm) };
	rib_update(S.rib, S.peer[0].rp, &u);
	sim_settle(&S);
	ck_assert(!S.peer[1].got[v[3]].there);
	sim_stop(&S);
}
END_TEST

UNIT_MAIN("group", same_bytes_same_group, one_update_carries_many_prefixes, transients_are_not_told,
	  split_horizon, end_of_rib_follows_the_table, one_family_only,
	  a_slow_member_holds_up_nobody, nobody_reads, withdrawn_while_slow,
	  peer_down_is_one_step_then_slices, a_dead_path_is_never_told, ids_are_used_again,
	  too_long_for_the_peer)
