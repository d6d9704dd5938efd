#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/ipam.h"
#include "unit.h"

enum { MANY = 1024 };

static char names[MANY + 64][16];
static const char *list[MANY + 64];

static struct blocks_pool pool(const char *cidr, unsigned size)
{
	struct blocks_pool p = { .block_size = size };

	ck_assert_int_eq(prefix_parse(cidr, &p.cidr), 0);
	for (unsigned i = 0; i < MANY + 64; i++) {
		snprintf(names[i], sizeof(names[i]), "node-%u", i);
		list[i] = names[i];
	}
	return p;
}

static void check_disjoint(const struct blocks_pool *p, const struct prefix *out, unsigned n,
			   const struct prefix *taken, unsigned ntaken)
{
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(out[i].len, p->block_size);
		ck_assert(!prefix_has_host_bits(&out[i]));
		ck_assert(prefix_covers(&p->cidr, &out[i]));
		for (unsigned k = 0; k < i; k++)
			ck_assert(!prefix_overlaps(&out[i], &out[k]));
		for (unsigned k = 0; k < ntaken; k++)
			ck_assert(!prefix_overlaps(&out[i], &taken[k]));
	}
}

START_TEST(adding_a_node_moves_nobody)
{
	static struct prefix before[MANY], after[MANY];
	static const struct {
		const char *cidr;
		unsigned size, n;
	} rows[] = {
		{ "10.244.0.0/16", 26, MANY }, { "fd00:244::/48", 122, 200 },
		{ "10.0.0.0/24", 26, 4 },      { "fd00::/8", 128, 50 },
		{ "10.0.0.0/26", 26, 1 },      { "10.64.0.0/10", 20, 300 },
	};

	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct blocks_pool p = pool(rows[r].cidr, rows[r].size);

		blocks_compute(&p, list, rows[r].n, NULL, 0, after);
		check_disjoint(&p, after, rows[r].n, NULL, 0);
		for (unsigned n = 0; n < rows[r].n; n += 1 + rows[r].n / 8) {
			blocks_compute(&p, list, n, NULL, 0, before);
			for (unsigned i = 0; i < n; i++)
				ck_assert(prefix_eq(&before[i], &after[i]));
		}
	}
}
END_TEST

START_TEST(a_full_pool_leaves_the_last_without)
{
	static struct prefix out[MANY + 64];
	struct blocks_pool p = pool("10.244.0.0/16", 26);

	blocks_compute(&p, list, MANY + 64, NULL, 0, out);
	check_disjoint(&p, out, MANY, NULL, 0);
	for (unsigned i = MANY; i < MANY + 64; i++)
		ck_assert_uint_eq(out[i].len, 0);
}
END_TEST

START_TEST(taken_blocks_of_any_size_are_kept_clear_of)
{
	static const char *const texts[] = {
		"10.244.0.0/18",   /* larger than a block */
		"10.244.128.0/28", /* smaller: its block is gone */
		"10.244.200.64/26",  "10.244.200.0/26",
		"10.244.255.192/26", "10.245.0.0/26", /* another pool's */
		"fd00::/122",			      /* another family */
	};
	enum { N = sizeof(texts) / sizeof(texts[0]) };
	struct prefix taken[N];
	static struct prefix out[MANY];
	struct blocks_pool p = pool("10.244.0.0/16", 26);
	unsigned left = MANY - 256 - 1 - 3;

	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(prefix_parse(texts[i], &taken[i]), 0);
	blocks_compute(&p, list, MANY, taken, N, out);
	check_disjoint(&p, out, left, taken, N);
	ck_assert_uint_eq(out[left].len, 0);

	ck_assert_int_eq(prefix_parse("10.0.0.0/8", &taken[0]), 0);
	blocks_compute(&p, list, 1, taken, 1, out);
	ck_assert_uint_eq(out[0].len, 0);
}
END_TEST

START_TEST(a_taken_block_far_behind_in_a_huge_pool)
{
	struct blocks_pool p = pool("fd00::/8", 122);
	struct prefix taken, out[2];

	ck_assert_int_eq(prefix_parse("fdff:ffff::/122", &taken), 0);
	blocks_compute(&p, list, 2, &taken, 1, out);
	check_disjoint(&p, out, 2, &taken, 1);
}
END_TEST

START_TEST(the_same_at_any_time_and_for_any_node)
{
	struct blocks_pool p = pool("10.244.0.0/16", 26);
	struct prefix a[3], b[3];

	blocks_compute(&p, list, 3, NULL, 0, a);
	blocks_compute(&p, list, 3, NULL, 0, b);
	ck_assert_mem_eq(a, b, sizeof(a));
}
END_TEST

START_TEST(a_block_larger_than_its_pool)
{
	struct blocks_pool p = pool("10.0.0.0/26", 24);
	struct prefix out;

	blocks_compute(&p, list, 1, NULL, 0, &out);
	ck_assert_uint_eq(out.len, 0);
	p.block_size = 33;
	blocks_compute(&p, list, 1, NULL, 0, &out);
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

UNIT_MAIN("blocks_compute", adding_a_node_moves_nobody, a_full_pool_leaves_the_last_without,
	  taken_blocks_of_any_size_are_kept_clear_of, a_taken_block_far_behind_in_a_huge_pool,
	  the_same_at_any_time_and_for_any_node, a_block_larger_than_its_pool)
