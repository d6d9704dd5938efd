#include "config.h"

#include "felix/desired.h"
#include "store_dir.h"
#include "unit.h"

#define V3   "apiVersion: projectcalico.org/v3\n"
#define POOL V3 "kind: IPPool\nmetadata: {name: v4}\nspec: {cidr: 10.1.0.0/16, blockSize: 26"
#define NODE V3 "kind: Node\nmetadata: {name: n1}\nspec: {}\n"

struct world {
	struct store_dir dir;
	struct store *store;
	struct nodeconf conf;
	struct desired *d;
};

static void compute(struct world *w, const char *yaml)
{
	static struct prefix addr;

	dir_make(&w->dir);
	dir_write(&w->dir, "all.yaml", yaml);
	w->store = dir_open(&w->dir);
	memset(&w->conf, 0, sizeof(w->conf));
	w->conf.bgp.asn = 65101;
	prefix_parse("192.0.2.1/24", &addr);
	const struct bgpconf_input in = { w->store, &w->conf, "n1", &addr, 1, NULL };
	w->d = desired_compute(&in);
}

static void end(struct world *w)
{
	desired_free(w->d);
	store_close(w->store);
	dir_free(&w->dir);
}

static bool says(const struct world *w, const char *text)
{
	for (unsigned i = 0; i < w->d->problems.n; i++)
		if (strstr(w->d->problems.text[i], text))
			return true;
	return false;
}

START_TEST(a_pool_gives_a_block)
{
	struct world w;

	compute(&w, POOL "}\n---\n" NODE);
	ck_assert_uint_eq(w.d->nblocks, 1);
	ck_assert_uint_eq(w.d->nallocate, 1);
	ck_assert_uint_eq(w.d->npools, 1);
	ck_assert_uint_eq(w.d->blocks[0].cidr.len, 26);
	ck_assert_uint_eq(w.d->blocks[0].pool.len, 16);
	ck_assert(prefix_covers(&w.d->blocks[0].pool, &w.d->blocks[0].cidr));
	ck_assert_uint_eq(w.d->cooldown, 60);
	ck_assert_uint_eq(w.d->problems.n, 0);
	ck_assert(!w.d->fatal);
	ck_assert_uint_eq(w.d->bgp->begin.asn, 65101);
	end(&w);
}
END_TEST

START_TEST(what_is_not_served_is_said)
{
	struct world w;

	compute(&w, POOL ", natOutgoing: true}\n---\n" NODE "---\n" V3
			 "kind: GlobalNetworkPolicy\nmetadata: {name: deny-all}\nspec: {}\n");
	ck_assert_uint_eq(w.d->npolicies, 1);
	ck_assert(says(&w, "policy deny-all is not enforced by this version"));
	ck_assert(says(&w, "natOutgoing is not served by this version"));
	ck_assert_uint_eq(w.d->problems.n, 2);
	ck_assert(!w.d->fatal);
	end(&w);
}
END_TEST

START_TEST(reservations_and_cooldown)
{
	struct world w;

	compute(&w, POOL
		"}\n---\n" NODE "---\n" V3 "kind: IPReservation\nmetadata: {name: a}\nspec: "
		"{reservedCIDRs: [10.1.0.0/30, 10.1.9.0/24]}\n"
		"---\n" V3
		"kind: IPReservation\nmetadata: {name: b}\nspec: {reservedCIDRs: [10.1.1.1/32]}\n"
		"---\n" V3 "kind: IPAMConfiguration\nmetadata: {name: default}\nspec: "
		"{ipCooldownSeconds: 300}\n");
	ck_assert_uint_eq(w.d->nreserved, 3);
	ck_assert_uint_eq(w.d->cooldown, 300);
	end(&w);
}
END_TEST

START_TEST(pools_that_contradict_are_fatal)
{
	struct world w;

	compute(&w, POOL "}\n---\n" NODE "---\n" V3
			 "kind: IPPool\nmetadata: {name: over}\nspec: {cidr: 10.1.16.0/20}\n");
	ck_assert(w.d->fatal);
	ck_assert(says(&w, "overlaps"));
	end(&w);
}
END_TEST

UNIT_MAIN("desired", a_pool_gives_a_block, what_is_not_served_is_said, reservations_and_cooldown,
	  pools_that_contradict_are_fatal)
