/* Random sequences of what bgpd, the CNI server, links and other hands do, against a model that
 * only knows what is wanted.
 */
#include "config.h"

#include <string.h>

#include "test/unit/fake_kernel.h"

enum { GROUPS = 8 };

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
	unsigned groups = 0;
	for (unsigned g = 1; g <= GROUPS; g++)
		groups += m->defined[g] && usable(k, m->mask[g]);
	ck_assert_msg(count(k, K_GROUP) == groups, "step %u: %u groups stand, %u are used", step,
		      count(k, K_GROUP), groups);
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
	Suite *s = suite_create("routes_random");
	TCase *tc = tcase_create("routes_random");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, random_sequences_end_as_wanted, 0, 40);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
