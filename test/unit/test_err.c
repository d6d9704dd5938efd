#include "config.h"

#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "lib/err.h"

START_TEST(says_what_and_returns_minus_one)
{
	struct err err = { .code = 5 };

	ck_assert_int_eq(err_set(&err, "hold time %d s is not allowed", 2), -1);
	ck_assert_str_eq(err.text, "hold time 2 s is not allowed");
	ck_assert_int_eq(err.code, 0);
}
END_TEST

START_TEST(a_system_call_keeps_its_errno)
{
	struct err err;

	ck_assert_int_eq(err_sys(&err, ENOENT, "open %s", "/x"), -1);
	ck_assert_str_eq(err.text, "open /x: No such file or directory");
	ck_assert_int_eq(err.code, ENOENT);
}
END_TEST

START_TEST(context_comes_before_and_keeps_the_code)
{
	struct err err;

	err_sys(&err, EACCES, "open");
	ck_assert_int_eq(err_ctx(&err, "OPEN"), -1);
	err_ctx(&err, "peer %s", "tor1");
	ck_assert_str_eq(err.text, "peer tor1: OPEN: open: Permission denied");
	ck_assert_int_eq(err.code, EACCES);
}
END_TEST

START_TEST(its_own_text_may_be_an_argument)
{
	struct err err;

	err_set(&err, "inner");
	err_set(&err, "outer (%s)", err.text);
	ck_assert_str_eq(err.text, "outer (inner)");
	err_ctx(&err, "[%s]", err.text);
	ck_assert_str_eq(err.text, "[outer (inner)]: outer (inner)");
}
END_TEST

static void ends_cut(const struct err *err)
{
	size_t n = strnlen(err->text, sizeof(err->text));

	ck_assert_uint_eq(n, sizeof(err->text) - 1);
	ck_assert_str_eq(err->text + n - 3, "...");
}

START_TEST(long_text_is_cut_and_says_so)
{
	char text[1024];
	struct err err;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, "%s", text);
	ends_cut(&err);
	err_sys(&err, ENOENT, "%s", text);
	ends_cut(&err);
	ck_assert_int_eq(err.code, ENOENT);
	err_set(&err, "%.500s", text);
	ck_assert_uint_eq(strlen(err.text), 500);
	err_ctx(&err, "twenty characters or so");
	ends_cut(&err);
	err_set(&err, "short");
	err_ctx(&err, "%s", text);
	ends_cut(&err);
	/* Exactly full is not cut. */
	err_set(&err, "%.511s", text);
	ck_assert_str_eq(err.text + 508, "xxx");
}
END_TEST

UNIT_MAIN("err", says_what_and_returns_minus_one, a_system_call_keeps_its_errno,
	  context_comes_before_and_keeps_the_code, its_own_text_may_be_an_argument,
	  long_text_is_cut_and_says_so)
