#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/block.h"
#include "unit.h"

static struct block *make(const char *cidr)
{
	struct prefix p;

	ck_assert_int_eq(prefix_parse(cidr, &p), 0);
	return block_new(&p);
}

static struct addr A(const char *text) {
	struct addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static bool
take_next(struct block *b, unsigned cooldown, uint64_t now, struct addr *a)
{
	return block_next(b, cooldown, now, a) && block_take(b, a);
}

START_TEST(all_addresses_in_order_first_and_last_included)
{
	static const struct {
		const char *cidr, *first, *last;
		unsigned size;
	} rows[] = {
		{ "10.0.0.64/26", "10.0.0.64", "10.0.0.127", 64 },
		{ "fd00::40/122", "fd00::40", "fd00::7f", 64 },
		{ "10.1.2.3/32", "10.1.2.3", "10.1.2.3", 1 },
		{ "10.16.0.0/20", "10.16.0.0", "10.16.15.255", 4096 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct block *b = make(rows[i].cidr);
		struct addr a, first = A(rows[i].first), last = A(rows[i].last);
		struct block_count c;

		block_count(b, 60, 1000, &c);
		ck_assert_uint_eq(c.size, rows[i].size);
		ck_assert_uint_eq(c.free, rows[i].size);
		for (unsigned n = 0; n < rows[i].size; n++) {
			struct addr want = addr_add(&first, n);
			ck_assert(take_next(b, 60, 1000, &a));
			ck_assert(addr_eq(&a, &want));
		}
		ck_assert(addr_eq(&a, &last));
		ck_assert(!block_next(b, 60, 1000, &a));
		block_count(b, 60, 1000, &c);
		ck_assert_uint_eq(c.held, rows[i].size);
		ck_assert_uint_eq(c.free, 0);
		block_free(b);
	}
}
END_TEST

START_TEST(next_leaves_it_free)
{
	struct block *b = make("10.0.0.0/30");
	struct addr a, again;

	ck_assert(block_next(b, 60, 5, &a));
	ck_assert(!block_held(b, &a));
	ck_assert(block_next(b, 60, 5, &again));
	ck_assert(addr_eq(&a, &again));
	block_free(b);
}
END_TEST

START_TEST(oldest_freed_first_after_the_cooldown)
{
	struct block *b = make("10.0.0.0/30");
	struct addr a[4], got;
	struct block_count c;

	for (int i = 0; i < 4; i++)
		ck_assert(take_next(b, 60, 100, &a[i]));
	block_give(b, &a[2], 100);
	block_give(b, &a[0], 130);
	block_count(b, 60, 159, &c);
	ck_assert_uint_eq(c.cooling, 2);
	ck_assert_uint_eq(c.held, 2);
	ck_assert(!block_next(b, 60, 159, &got));
	ck_assert(take_next(b, 60, 160, &got));
	ck_assert(addr_eq(&got, &a[2]));
	ck_assert(!block_next(b, 60, 160, &got));
	ck_assert(take_next(b, 60, 190, &got));
	ck_assert(addr_eq(&got, &a[0]));
	block_free(b);
}
END_TEST

START_TEST(never_used_goes_before_freed)
{
	struct block *b = make("10.0.0.0/30");
	struct addr a, got;

	ck_assert(take_next(b, 0, 1, &a));
	block_give(b, &a, 1);
	for (int i = 1; i < 4; i++) {
		struct addr want = addr_add(&a, (uint64_t)i);
		ck_assert(take_next(b, 0, 1000, &got));
		ck_assert(addr_eq(&got, &want));
	}
	ck_assert(take_next(b, 0, 1000, &got));
	ck_assert(addr_eq(&got, &a));
	block_free(b);
}
END_TEST

START_TEST(reservations_are_skipped_but_can_be_asked_for)
{
	struct block *b = make("10.0.0.0/29");
	struct prefix r[2];
	struct addr got, want;
	struct block_count c;

	prefix_parse("10.0.0.0/31", &r[0]);
	prefix_parse("10.0.0.3/32", &r[1]);
	block_reserve(b, r, 2);
	block_count(b, 60, 1, &c);
	ck_assert_uint_eq(c.reserved, 3);
	ck_assert_uint_eq(c.free, 5);
	ck_assert(take_next(b, 60, 1, &got));
	want = A("10.0.0.2");
	ck_assert(addr_eq(&got, &want));
	ck_assert(take_next(b, 60, 1, &got));
	want = A("10.0.0.4");
	ck_assert(addr_eq(&got, &want));
	want = A("10.0.0.3");
	ck_assert(block_take(b, &want));
	ck_assert(!block_take(b, &want));
	want = A("10.0.0.8");
	ck_assert(!block_take(b, &want));
	block_reserve(b, NULL, 0);
	ck_assert(take_next(b, 60, 1, &got));
	want = A("10.0.0.0");
	ck_assert(addr_eq(&got, &want));
	block_free(b);
}
END_TEST

START_TEST(a_clock_set_back_delays_by_one_cooldown_at_most)
{
	struct block *b = make("10.0.0.1/32");
	struct addr a;

	ck_assert(take_next(b, 60, 1000000, &a));
	block_give(b, &a, 1000000);
	ck_assert(!block_next(b, 60, 500, &a));
	ck_assert(!block_next(b, 60, 559, &a));
	ck_assert(block_next(b, 60, 560, &a));
	block_free(b);
}
END_TEST

START_TEST(too_large)
{
	ck_assert_ptr_null(make("10.0.0.0/8"));
	ck_assert_ptr_null(make("fd00::/64"));
	struct block *b = make("10.0.0.0/16");
	ck_assert_ptr_nonnull(b);
	block_free(b);
}
END_TEST

static void collect(void *arg, const struct addr *a, uint64_t freed_at)
{
	char *text = arg, buf[ADDR_STRLEN];

	sprintf(text + strlen(text), "%s@%d ", addr_format(a, buf, sizeof(buf)), (int)freed_at);
}

START_TEST(freed_in_queue_order)
{
	struct block *b = make("10.0.0.0/29");
	struct addr a[5];
	char text[256] = "";

	for (int i = 0; i < 5; i++)
		ck_assert(take_next(b, 60, 1, &a[i]));
	block_give(b, &a[3], 10);
	block_give(b, &a[1], 11);
	block_give(b, &a[4], 12);
	ck_assert(block_take(b, &a[1]));
	block_each_freed(b, collect, text);
	ck_assert_str_eq(text, "10.0.0.3@10 10.0.0.4@12 ");
	block_give(b, &a[3], 20); /* again: moves to the end */
	text[0] = '\0';
	block_each_freed(b, collect, text);
	ck_assert_str_eq(text, "10.0.0.4@12 10.0.0.3@20 ");
	block_free(b);
}
END_TEST

START_TEST(foreign_ones_are_in_use_by_others)
{
	struct block *b = make("10.0.0.0/30");
	struct addr a[4] = { A("10.0.0.0"), A("10.0.0.1"), A("10.0.0.2"), A("10.0.0.3") };
	struct addr got, other = A("10.0.0.4");
	struct block_count c;

	block_set_foreign(b, &a[0], true);
	block_set_foreign(b, &a[1], true);
	block_set_foreign(b, &other, true);
	ck_assert(block_foreign(b, &a[0]));
	ck_assert(!block_foreign(b, &a[2]));
	ck_assert(!block_foreign(b, &other));
	ck_assert(!block_held(b, &a[0]));
	block_count(b, 60, 1, &c);
	ck_assert_uint_eq(c.foreign, 2);
	ck_assert_uint_eq(c.free, 2);
	ck_assert(take_next(b, 60, 1, &got));
	ck_assert(addr_eq(&got, &a[2]));
	/* Held by us and, says another, by them: counted once. */
	block_set_foreign(b, &a[2], true);
	block_count(b, 60, 1, &c);
	ck_assert_uint_eq(c.held, 1);
	ck_assert_uint_eq(c.foreign, 2);
	block_give(b, &a[2], 1);
	ck_assert(take_next(b, 0, 1, &got));
	ck_assert(addr_eq(&got, &a[3]));
	ck_assert(!block_next(b, 0, 1, &got));
	block_set_foreign(b, &a[1], false);
	block_set_foreign(b, &a[0], false);
	block_set_foreign(b, &a[0], false);
	ck_assert(take_next(b, 0, 1, &got));
	ck_assert(addr_eq(&got, &a[1]));
	ck_assert(take_next(b, 0, 1, &got));
	ck_assert(addr_eq(&got, &a[0]));
	block_free(b);
}
END_TEST

UNIT_MAIN("block", foreign_ones_are_in_use_by_others, all_addresses_in_order_first_and_last_included, next_leaves_it_free,
	  oldest_freed_first_after_the_cooldown, never_used_goes_before_freed,
	  reservations_are_skipped_but_can_be_asked_for,
	  a_clock_set_back_delays_by_one_cooldown_at_most, too_large, freed_in_queue_order)
