/* Interned attributes: one for equal ones, another where bytes, peer or next hop differ. */
#include <stdlib.h>
#include <string.h>

#include "bgpd/rib/attr.h"
#include "test/unit/unit.h"

static uint32_t put(struct attr_set *s, uint16_t peer, uint32_t nh, const void *blob, uint16_t len,
		    bool *fresh)
{
	struct attr as = { .peer = peer, .nh = nh, .local_pref = 100u + len, .origin = 1 };
	return attr_intern(s, &as, blob, len, fresh);
}

START_TEST(equal_ones_are_one)
{
	struct attr_set s;
	bool fresh;
	attr_set_init(&s, 1);
	uint32_t a = put(&s, 1, 2, "abc", 3, &fresh);
	ck_assert(fresh);
	ck_assert_uint_eq(put(&s, 1, 2, "abc", 3, &fresh), a);
	ck_assert(!fresh);
	ck_assert_uint_eq(attr_at(&s, a)->refs, 2);
	ck_assert_uint_eq(attr_at(&s, a)->local_pref, 103);
	ck_assert_uint_eq(s.count, 1);
	ck_assert_uint_ne(put(&s, 2, 2, "abc", 3, &fresh), a);
	ck_assert_uint_ne(put(&s, 1, 3, "abc", 3, &fresh), a);
	ck_assert_uint_ne(put(&s, 1, 2, "abd", 3, &fresh), a);
	ck_assert_uint_ne(put(&s, 1, 2, "abcd", 4, &fresh), a);
	ck_assert_uint_eq(s.count, 5);
	attr_set_fini(&s);
}
END_TEST

static uint8_t big[BGP_MAX_EXTENDED];

/* Every length from none to the largest that a message can hold. */
START_TEST(all_lengths)
{
	struct attr_set s;
	bool fresh;
	static uint32_t id[3000];
	unsigned n = 0;
	for (size_t k = 0; k < sizeof(big); k++)
		big[k] = (uint8_t)(k * 7);
	attr_set_init(&s, 1);
	for (unsigned len = 0; len < sizeof(big); len += len < 1200 ? 1 : 997) {
		id[n] = put(&s, 1, 1, big, (uint16_t)len, &fresh);
		ck_assert(fresh);
		n++;
	}
	unsigned k = 0;
	for (unsigned len = 0; len < sizeof(big); len += len < 1200 ? 1 : 997, k++) {
		struct attr *a = attr_at(&s, id[k]);
		ck_assert_uint_eq(a->len, len);
		ck_assert_mem_eq(attr_blob(a), big, len);
		ck_assert_uint_eq(put(&s, 1, 1, big, (uint16_t)len, &fresh), id[k]);
	}
	size_t full = attr_set_bytes(&s);
	for (k = 0; k < n; k++)
		attr_delete(&s, id[k]);
	ck_assert_uint_eq(s.count, 0);
	ck_assert_uint_eq(s.big_bytes, 0);
	ck_assert_uint_lt(attr_set_bytes(&s), full);
	ck_assert_uint_ne(put(&s, 1, 1, big, 3, &fresh), 0);
	ck_assert(fresh);
	attr_set_fini(&s);
}
END_TEST

START_TEST(a_usual_one_is_small)
{
	struct attr_set s;
	bool fresh;
	attr_set_init(&s, 1);
	for (uint32_t k = 0; k < 100000; k++) {
		memcpy(big, &k, sizeof(k));
		put(&s, 1, 1, big, 45, &fresh);
	}
	/* 45 bytes, 38 of header, index; the facts' target leaves room for twice that. */
	ck_assert_uint_lt(attr_set_bytes(&s), 100000 * 105);
	attr_set_fini(&s);
}
END_TEST

static void seen(void *arg, uint32_t i, struct attr *a)
{
	(void)i;
	*(unsigned *)arg += a->len;
}

START_TEST(each_is_seen_once)
{
	struct attr_set s;
	bool fresh;
	unsigned sum = 0, want = 0;
	attr_set_init(&s, 1);
	for (uint16_t k = 0; k < 500; k++) {
		put(&s, 1, 1, big, k, &fresh);
		want += k;
	}
	attr_each(&s, seen, &sum);
	ck_assert_uint_eq(sum, want);
	attr_set_fini(&s);
}
END_TEST

UNIT_MAIN("attr", equal_ones_are_one, all_lengths, a_usual_one_is_small, each_is_seen_once)
