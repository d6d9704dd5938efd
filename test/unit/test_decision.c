/* RFC 4271 section 9.1.2.2: each step decides a pair; no order of arrival changes the outcome. */
#include <stdio.h>
#include <string.h>

#include "bgpd/rib/decision.h"
#include "test/unit/unit.h"

static struct addr low = { FAM_V4, { 10, 0, 0, 1 } }, high = { FAM_V4, { 10, 0, 0, 2 } };

static struct candidate usual(void)
{
	return (struct candidate){ .ebgp = true,
				   .path_len = 3,
				   .local_pref = 100,
				   .med = 10,
				   .neighbour_as = 65001,
				   .metric = 10,
				   .router_id = 5,
				   .cluster_len = 2,
				   .peer = &low };
}

struct step {
	const char *name;
	enum decision_reason why;
	bool multipath; /* the loser is still equal up to the metric */
	struct candidate better, worse;
};

/* Where one step decides, all later ones would decide the other way. */
static unsigned steps(struct step *s)
{
	unsigned n = 0;
	struct candidate b = usual(), w = usual();
	w.path_id = 1;
	s[n++] = (struct step){ "path id", DECISION_PATH_ID, true, b, w };
	b.path_id = 2;
	w.peer = &high;
	s[n++] = (struct step){ "peer address", DECISION_PEER_ADDRESS, true, b, w };
	b.peer = &high;
	w.peer = &low;
	w.cluster_len = 3;
	s[n++] = (struct step){ "cluster list", DECISION_CLUSTER_LEN, true, b, w };
	b.cluster_len = 4;
	w.router_id = 6;
	s[n++] = (struct step){ "router id", DECISION_ROUTER_ID, true, b, w };
	b.router_id = 7;
	w.metric = 11;
	s[n++] = (struct step){ "metric", DECISION_METRIC, false, b, w };
	b.metric = 12;
	w.ebgp = false;
	s[n++] = (struct step){ "ebgp", DECISION_EBGP, false, b, w };
	b.ebgp = false;
	w.ebgp = true;
	w.med = 11;
	s[n++] = (struct step){ "med", DECISION_MED, false, b, w };
	b.med = 12;
	w.origin = 1;
	s[n++] = (struct step){ "origin", DECISION_ORIGIN, false, b, w };
	b.origin = 2;
	w.path_len = 4;
	s[n++] = (struct step){ "path length", DECISION_PATH_LEN, false, b, w };
	b.path_len = 5;
	w.local_pref = 99;
	s[n++] = (struct step){ "local pref", DECISION_LOCAL_PREF, false, b, w };
	b.local_pref = 98;
	b.local = true;
	s[n++] = (struct step){ "local", DECISION_LOCAL, false, b, w };
	return n;
}

START_TEST(each_step_decides)
{
	struct step s[16];
	unsigned n = steps(s);
	for (unsigned k = 0; k < n; k++)
		for (unsigned order = 0; order < 2; order++) {
			struct candidate c[2];
			c[order] = s[k].better;
			c[!order] = s[k].worse;
			ck_assert_msg(decision_best(c, 2) == order, "%s: wrong best", s[k].name);
			ck_assert_msg(c[!order].multipath == s[k].multipath, "%s: multipath",
				      s[k].name);
			ck_assert(c[order].multipath);
			ck_assert_uint_eq(decision_explain(c, 2), order);
			ck_assert_msg(c[!order].lost == s[k].why, "%s: reason is %s", s[k].name,
				      decision_reason_text(c[!order].lost));
			ck_assert_int_eq(c[order].lost, DECISION_BEST);
		}
}
END_TEST

START_TEST(med_counts_within_one_as_only)
{
	struct candidate c[2] = { usual(), usual() };
	c[0].med = 100;
	c[0].neighbour_as = 65002;
	c[0].router_id = 1;
	ck_assert_uint_eq(decision_best(c, 2), 0);
	ck_assert(c[1].multipath);
	c[0].neighbour_as = c[1].neighbour_as;
	ck_assert_uint_eq(decision_best(c, 2), 1);
	ck_assert(!c[0].multipath);
}
END_TEST

/* The example of RFC 4451 and of every vendor: pair by pair the outcome would depend on the order.
 */
START_TEST(med_does_not_depend_on_order)
{
	static const unsigned order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct candidate a = usual(), b = usual(), c = usual();
	a.med = 100;
	a.router_id = 1;
	b.neighbour_as = 65002;
	b.med = 200;
	b.router_id = 2;
	c.med = 50;
	c.router_id = 3;
	const struct candidate *all[3] = { &a, &b, &c };
	for (unsigned k = 0; k < 6; k++) {
		struct candidate v[3];
		for (unsigned i = 0; i < 3; i++)
			v[i] = *all[order[k][i]];
		/* c drives a out by MED; b is better than c by its router id. */
		unsigned best = decision_best(v, 3);
		ck_assert_uint_eq(order[k][best], 1);
	}
}
END_TEST

static uint64_t seed = 88172645463325252ULL;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % below);
}

static void shuffle(struct candidate *v, unsigned n)
{
	for (unsigned k = n; k-- > 1;) {
		unsigned j = rnd(k + 1);
		struct candidate x = v[k];
		v[k] = v[j];
		v[j] = x;
	}
}

START_TEST(every_permutation_gives_the_same)
{
	for (unsigned round = 0; round < 3000; round++) {
		struct candidate v[6];
		unsigned n = 1 + rnd(6);
		for (unsigned k = 0; k < n; k++)
			v[k] = (struct candidate){ .ebgp = rnd(2),
						   .path_len = (uint16_t)rnd(2),
						   .local_pref = 100 + rnd(2),
						   .origin = (uint8_t)rnd(2),
						   .med = rnd(3),
						   .neighbour_as = rnd(3),
						   .metric = rnd(2),
						   .router_id = rnd(2),
						   .peer = rnd(2) ? &low : &high,
						   .path_id = k };
		uint32_t best = v[decision_best(v, n)].path_id, multi = 0;
		for (unsigned k = 0; k < n; k++)
			multi |= (uint32_t)v[k].multipath << v[k].path_id;
		ck_assert(multi >> best & 1);
		for (unsigned p = 0; p < 20; p++) {
			uint32_t now = 0;
			shuffle(v, n);
			ck_assert_uint_eq(v[decision_best(v, n)].path_id, best);
			for (unsigned k = 0; k < n; k++)
				now |= (uint32_t)v[k].multipath << v[k].path_id;
			ck_assert_uint_eq(now, multi);
			ck_assert_uint_eq(v[decision_explain(v, n)].path_id, best);
		}
	}
}
END_TEST

START_TEST(every_reason_has_a_text)
{
	ck_assert_str_eq(decision_reason_text(DECISION_BEST), "");
	for (unsigned r = DECISION_LOCAL; r <= DECISION_NO_POLICY; r++)
		ck_assert_uint_gt(strlen(decision_reason_text(r)), 5);
	ck_assert_str_eq(decision_reason_text(1000), "");
}
END_TEST

UNIT_MAIN("decision", each_step_decides, med_counts_within_one_as_only,
	  med_does_not_depend_on_order, every_permutation_gives_the_same, every_reason_has_a_text)
