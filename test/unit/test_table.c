/* Prefix nodes and their paths against a plain array. */
#include <string.h>

#include "bgpd/rib/table.h"
#include "test/unit/unit.h"

static uint64_t seed = 88172645463325252ULL;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % below);
}

/* Number k's prefix: many share an address and differ in length only. */
static struct prefix nth(uint8_t fam, unsigned k)
{
	struct prefix p = { .addr = { .fam = fam } };
	unsigned bits = family_bits(fam);
	p.len = (uint8_t)(bits - k % 8);
	p.addr.b[0] = 10;
	p.addr.b[1] = (uint8_t)(k / 8);
	p.addr.b[family_bytes(fam) - 2] = (uint8_t)(k / 8 / 256);
	return prefix_mask(&p);
}

static void nodes_of(uint8_t fam)
{
	enum { N = 4000 };
	static uint32_t at[N];
	struct table t;
	memset(at, 0, sizeof(at));
	table_init(&t, fam, 42);
	for (unsigned k = 0; k < 40000; k++) {
		unsigned i = rnd(N);
		struct prefix p = nth(fam, i), back;
		uint64_t h = table_hash(&t, &p);
		ck_assert_uint_eq(table_find(&t, &p, h), at[i]);
		if (at[i]) {
			table_prefix(&t, table_node(&t, at[i]), &back);
			ck_assert(prefix_eq(&p, &back));
			table_del(&t, at[i]);
			at[i] = 0;
		} else {
			at[i] = table_add(&t, &p, h);
			ck_assert_uint_eq(table_node(&t, at[i])->first.attr, 0);
		}
	}
	unsigned live = 0, want = 0;
	for (uint32_t i = 0; i < table_end(&t); i++)
		live += table_live(&t, i) != NULL;
	for (unsigned i = 0; i < N; i++)
		want += at[i] != 0;
	ck_assert_uint_eq(live, want);
	table_fini(&t);
}

START_TEST(nodes_are_found)
{
	nodes_of(FAM_V4);
	nodes_of(FAM_V6);
}
END_TEST

START_TEST(layout_is_small)
{
	struct table t;
	table_init(&t, FAM_V4, 1);
	ck_assert_uint_eq(t.nodes.item, 24);
	table_fini(&t);
	table_init(&t, FAM_V6, 1);
	ck_assert_uint_eq(t.nodes.item, 36);
	table_fini(&t);
	ck_assert_uint_eq(sizeof(struct path), 12);
}
END_TEST

static unsigned count(const struct table *t, struct node *n, bool *seen)
{
	struct path_walk w;
	unsigned k = 0;
	for (struct path *p = path_first(t, n, &w); p; p = path_next(t, &w), k++) {
		ck_assert_uint_ne(p->attr, 0);
		ck_assert(!seen[p->peer]);
		seen[p->peer] = true;
	}
	return k;
}

START_TEST(paths_come_and_go)
{
	enum { PEERS = 40 };
	uint32_t in[PEERS] = { 0 };
	unsigned n = 0;
	struct table t;
	table_init(&t, FAM_V4, 1);
	struct prefix x = nth(FAM_V4, 5);
	struct node *node = table_node(&t, table_add(&t, &x, table_hash(&t, &x)));
	for (unsigned k = 1; k < 20000; k++) {
		/* Drift between none and all. */
		unsigned i = rnd(k / 2000 % 2 ? PEERS : 1 + rnd(PEERS));
		struct path *p = path_find(&t, node, (uint16_t)i, 7);
		ck_assert((p != NULL) == (in[i] != 0));
		ck_assert_ptr_null(path_find(&t, node, (uint16_t)i, 8));
		if (p) {
			ck_assert_uint_eq(p->attr, in[i]);
			path_del(&t, node, p);
			in[i] = 0;
			n--;
		} else {
			p = path_add(&t, node);
			*p = (struct path){ .attr = k, .peer = (uint16_t)i, .path_id = 7 };
			in[i] = k;
			n++;
		}
		bool seen[PEERS] = { false };
		ck_assert_uint_eq(count(&t, node, seen), n);
		ck_assert((node->first.attr != 0) == (n > 0));
	}
	for (unsigned i = 0; i < PEERS; i++)
		if (in[i])
			path_del(&t, node, path_find(&t, node, (uint16_t)i, 7));
	ck_assert_uint_eq(t.one.live + t.five.live, 0);
	table_fini(&t);
}
END_TEST

START_TEST(ten_paths_take_three_blocks)
{
	struct table t;
	table_init(&t, FAM_V4, 1);
	struct prefix x = nth(FAM_V4, 5);
	struct node *node = table_node(&t, table_add(&t, &x, table_hash(&t, &x)));
	for (uint16_t i = 0; i < 10; i++)
		*path_add(&t, node) = (struct path){ .attr = 1, .peer = i };
	ck_assert_uint_eq(t.one.live, 1);
	ck_assert_uint_eq(t.five.live, 2);
	table_fini(&t);
}
END_TEST

UNIT_MAIN("table", nodes_are_found, layout_is_small, paths_come_and_go, ten_paths_take_three_blocks)
