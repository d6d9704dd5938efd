#include "config.h"

#include "test/unit/unit.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "lib/arena.h"

static int all_are(const uint8_t *p, size_t n, uint8_t v)
{
	while (n && *p == v)
		p++, n--;
	return !n;
}

START_TEST(pieces_are_zero_aligned_and_apart)
{
	enum { N = 500 };
	struct arena a = { 0 };
	uint8_t *p[N];
	size_t size[N];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			size[i] = (size_t)(i * 7919 % 3000);
			if (i % 100 == 99)
				size[i] = 100000;
			p[i] = arena_alloc(&a, size[i]);
			ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
			ck_assert(all_are(p[i], size[i], 0));
			memset(p[i], i & 0xff, size[i]);
		}
		for (int i = 0; i < N; i++)
			ck_assert(all_are(p[i], size[i], i & 0xff));
		arena_reset(&a);
		ck_assert_uint_eq(a.used, 0);
	}
	arena_free(&a);
	ck_assert_ptr_null(a.head);
}
END_TEST

START_TEST(a_reset_arena_uses_its_chunk_again)
{
	struct arena a = { 0 };
	void *first;

	first = arena_alloc(&a, 100);
	arena_reset(&a);
	ck_assert_ptr_eq(arena_alloc(&a, 100), first);
	arena_free(&a);
	arena_reset(&a);
	arena_free(&a);
}
END_TEST

START_TEST(texts)
{
	struct arena a = { 0 };

	ck_assert_str_eq(arena_strdup(&a, "abc"), "abc");
	ck_assert_str_eq(arena_strdup(&a, ""), "");
	ck_assert_str_eq(arena_strndup(&a, "abcdef", 3), "abc");
	ck_assert_str_eq(arena_strndup(&a, "ab", 9), "ab");
	ck_assert_str_eq(arena_printf(&a, "%s-%d", "x", 7), "x-7");
	ck_assert_uint_eq(strlen(arena_printf(&a, "%5000s", "x")), 5000);
	arena_free(&a);
}
END_TEST

static void too_many(void)
{
	struct arena a = { 0 };

	arena_array(&a, SIZE_MAX / 4, 8);
}

static void too_big(void)
{
	struct arena a = { 0 };

	arena_alloc(&a, SIZE_MAX - 3);
}

START_TEST(a_product_that_wraps_ends_the_process)
{
	too_many();
}
END_TEST

START_TEST(a_size_that_wraps_ends_the_process)
{
	too_big();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("arena");
	TCase *tc = tcase_create("arena");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, pieces_are_zero_aligned_and_apart);
	tcase_add_test(tc, a_reset_arena_uses_its_chunk_again);
	tcase_add_test(tc, texts);
	tcase_add_test_raise_signal(tc, a_product_that_wraps_ends_the_process, SIGABRT);
	tcase_add_test_raise_signal(tc, a_size_that_wraps_ends_the_process, SIGABRT);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
