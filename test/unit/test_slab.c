/* Slabs, sets and maps over their indices, and the hash index, each against a plain array. */
#include "bgpd/rib/bits.h"
#include "bgpd/rib/hidx.h"
#include "bgpd/rib/slab.h"
#include "test/unit/unit.h"

static uint64_t seed = 88172645463325252ULL;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % below);
}

START_TEST(items_keep_their_content_and_place)
{
	enum { N = 20000 };
	static uint32_t id[N];
	struct slab s;
	slab_init(&s, 24);
	for (unsigned k = 0; k < N; k++) {
		id[k] = slab_alloc(&s);
		ck_assert_uint_ne(id[k], 0);
		memset(slab_at(&s, id[k]), (int)(k & 0xff), 24);
	}
	void *first = slab_at(&s, id[0]);
	for (unsigned k = 1; k < N; k += 2)
		slab_free(&s, id[k]);
	ck_assert_uint_eq(s.live, N / 2);
	for (unsigned k = 1; k < N; k += 2) {
		id[k] = slab_alloc(&s);
		memset(slab_at(&s, id[k]), (int)(k & 0xff), 24);
	}
	ck_assert_ptr_eq(slab_at(&s, id[0]), first);
	for (unsigned k = 0; k < N; k++) {
		uint8_t want[24];
		memset(want, (int)(k & 0xff), 24);
		ck_assert_mem_eq(slab_at(&s, id[k]), want, 24);
		ck_assert_uint_lt(id[k], slab_end(&s));
	}
	slab_fini(&s);
}
END_TEST

START_TEST(empty_chunks_go_back)
{
	enum { N = 50000 };
	static uint32_t id[N];
	struct slab s;
	slab_init(&s, 64);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned k = 0; k < N; k++)
			id[k] = slab_alloc(&s);
		size_t full = s.bytes;
		ck_assert_uint_ge(full, (size_t)N * 64);
		ck_assert_uint_le(full, (size_t)N * 64 + 2 * 65536);
		for (unsigned k = 0; k < N; k++)
			slab_free(&s, id[k]);
		ck_assert_uint_eq(s.live, 0);
		/* Index 0 is held for ever, so its chunk stays. */
		ck_assert_uint_le(s.bytes, 65536);
	}
	slab_fini(&s);
}
END_TEST

START_TEST(bits_are_a_set)
{
	enum { N = 20000 };
	static bool in[N];
	struct bits b = { 0 };
	uint32_t count = 0;
	for (unsigned k = 0; k < 60000; k++) {
		uint32_t i = rnd(N);
		if (rnd(2)) {
			ck_assert(bits_add(&b, i) == !in[i]);
			count += !in[i];
			in[i] = true;
		} else {
			ck_assert(bits_del(&b, i) == in[i]);
			count -= in[i];
			in[i] = false;
		}
	}
	ck_assert_uint_eq(b.count, count);
	uint32_t at = 0;
	for (uint32_t i = 0; i < N; i++) {
		ck_assert(bits_has(&b, i) == in[i]);
		if (!in[i])
			continue;
		ck_assert_uint_eq(bits_next(&b, at), i);
		at = i + 1;
	}
	ck_assert_uint_eq(bits_next(&b, at), BITS_NONE);
	ck_assert_uint_eq(bits_next(&b, 10000000), BITS_NONE);
	ck_assert(!bits_has(&b, 10000000));
	bits_clear(&b);
	ck_assert_uint_eq(bits_next(&b, 0), BITS_NONE);
}
END_TEST

START_TEST(bits_of_a_large_index_cost_little)
{
	struct bits b = { 0 };
	bits_add(&b, 1000000);
	ck_assert_uint_lt(bits_bytes(&b), 8192);
	bits_del(&b, 1000000);
	ck_assert_uint_eq(b.count, 0);
	bits_clear(&b);
}
END_TEST

START_TEST(map_is_a_map)
{
	enum { N = 5000 };
	static uint32_t want[N];
	struct map32 m = { 0 };
	uint32_t count = 0, seen = 0;
	for (unsigned k = 0; k < 30000; k++) {
		uint32_t i = rnd(N), v = rnd(3) ? rnd(1000) : 0;
		map32_set(&m, i, v);
		want[i] = v;
	}
	for (uint32_t i = 0; i < N; i++) {
		ck_assert_uint_eq(map32_get(&m, i), want[i]);
		count += want[i] != 0;
	}
	ck_assert_uint_eq(m.count, count);
	for (uint32_t i = 0; (i = map32_next(&m, i)) != BITS_NONE; i++, seen++)
		ck_assert_uint_ne(want[i], 0);
	ck_assert_uint_eq(seen, count);
	ck_assert_uint_eq(map32_get(&m, 10000000), 0);
	for (uint32_t i = 0; i < N; i++)
		map32_set(&m, i, 0);
	ck_assert_uint_eq(m.count, 0);
	ck_assert_uint_le(map32_bytes(&m), 8 * sizeof(void *));
	map32_clear(&m);
}
END_TEST

static bool any(const void *ctx, uint32_t item)
{
	return *(const uint32_t *)ctx == item;
}

/* Hashes made to meet: few segments, few homes. */
static uint64_t bad_hash(uint32_t item, unsigned mode)
{
	switch (mode) {
	case 0:
		return hash_end(hash_mix(7, item));
	case 1:
		return (uint64_t)(item % 3) << 31; /* one segment, three homes */
	default:
		return ~0ULL - item % 5; /* the end of a segment, where runs wrap round */
	}
}

START_TEST(index_finds_what_is_in_it)
{
	enum { N = 3000 };
	bool in[N + 1] = { false };
	struct hidx h;
	uint32_t count = 0;
	unsigned n = _i ? 300 : N;
	hidx_init(&h, _i ? 1 : 4);
	for (unsigned k = 0; k < 40000; k++) {
		uint32_t i = 1 + rnd(n);
		uint64_t hash = bad_hash(i, (unsigned)_i);
		ck_assert_uint_eq(hidx_find(&h, hash, any, &i), in[i] ? i : 0);
		if (in[i])
			hidx_del(&h, hash, i);
		else
			hidx_add(&h, hash, i);
		count += in[i] ? -1u : 1u;
		in[i] = !in[i];
		ck_assert_uint_eq(h.count, count);
	}
	for (uint32_t i = 1; i <= n; i++)
		if (in[i])
			hidx_del(&h, bad_hash(i, (unsigned)_i), i);
	ck_assert_uint_eq(h.count, 0);
	ck_assert_uint_eq(hidx_bytes(&h), (size_t)(_i ? 2 : 16) * sizeof(struct hidx_seg));
	hidx_fini(&h);
}
END_TEST

START_TEST(index_grows_in_small_steps)
{
	struct hidx h;
	hidx_init(&h, 9);
	for (uint32_t i = 1; i <= 500000; i++) {
		uint64_t hash = hash_end(hash_mix(7, i));
		hidx_add(&h, hash, i);
		/* The work of one insertion is bounded by its segment's size. */
		ck_assert_uint_lt(hidx_seg(&h, hash)->cap, 4096);
	}
	ck_assert_uint_lt(hidx_bytes(&h), 500000 * 13);
	hidx_fini(&h);
}
END_TEST

START_TEST(hash_depends_on_every_byte_and_the_length)
{
	uint8_t a[40] = { 0 };
	for (size_t len = 0; len < sizeof(a); len++) {
		uint64_t h = hash_bytes(1, a, len);
		ck_assert_uint_ne(h, hash_bytes(1, a, len + 1));
		ck_assert_uint_ne(h, hash_bytes(2, a, len));
		for (size_t k = 0; k < len; k++) {
			a[k] ^= 1;
			ck_assert_uint_ne(h, hash_bytes(1, a, len));
			a[k] ^= 1;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slab");
	TCase *tc = tcase_create("slab");
	tcase_add_test(tc, items_keep_their_content_and_place);
	tcase_add_test(tc, empty_chunks_go_back);
	tcase_add_test(tc, bits_are_a_set);
	tcase_add_test(tc, bits_of_a_large_index_cost_little);
	tcase_add_test(tc, map_is_a_map);
	tcase_add_loop_test(tc, index_finds_what_is_in_it, 0, 3);
	tcase_add_test(tc, index_grows_in_small_steps);
	tcase_add_test(tc, hash_depends_on_every_byte_and_the_length);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
