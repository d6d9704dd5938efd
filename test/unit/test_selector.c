#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/selector.h"
#include "test/unit/unit.h"

static struct arena arena;
static struct err err;

/* "a=b c=d" to labels. */
static struct field_kvs labels(const char *text)
{
	struct field_kvs kv = { 0, arena_array(&arena, 16, sizeof(*kv.v)) };
	char *copy = arena_strdup(&arena, text), *save = NULL;

	for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
		char *eq = strchr(t, '=');

		*eq = 0;
		kv.v[kv.n++] = (struct field_kv){ t, eq + 1 };
	}
	return kv;
}

START_TEST(matches)
{
	static const struct {
		const char *selector, *labels;
		bool expect;
	} rows[] = {
		{ "a == 'b'", "a=b", true },
		{ "a == 'b'", "a=b c=d", true },
		{ "a == 'b'", "a=c", false },
		{ "a == 'b'", "", false },
		{ "a == \"\"", "a=", true },
		{ "a == ''", "", false },
		{ "a != 'b'", "a=c", true },
		{ "a != 'b'", "a=b", false },
		{ "a != 'b'", "", true },
		{ "a=='b'&&c=='d'", "a=b c=d", true },
		{ "a == 'b' && c == 'd'", "a=b", false },
		{ "a == 'b' || c == 'd'", "c=d", true },
		{ "a == 'b' || c == 'd'", "c=e", false },
		{ "a in {'x', \"y\"}", "a=y", true },
		{ "a in {'x','y'}", "a=z", false },
		{ "a in {'x'}", "", false },
		{ "a in {}", "a=x", false },
		{ "a in {'x',}", "a=x", true },
		{ "a not in {'x'}", "", true },
		{ "a not in {'x'}", "a=x", false },
		{ "a notin {'x'}", "a=y", true },
		{ "a not  in{'x'}", "a=y", true },
		{ "a in {'d','a','c','b'}", "a=c", true },
		{ "a in {\"'\", '\"'}", "a='", true },
		{ "a in {\"'\", '\"'}", "a=\"", true },
		{ "a contains 'b'", "a=abc", true },
		{ "a contains 'b'", "a=ac", false },
		{ "a contains ''", "", false },
		{ "a starts with 'ab'", "a=abc", true },
		{ "a startswith 'ab'", "a=bab", false },
		{ "a ends with 'bc'", "a=abc", true },
		{ "a endswith 'bc'", "a=bcd", false },
		{ "a ends with 'abcd'", "a=bcd", false },
		{ "has(a)", "a=", true },
		{ "has( a )", "b=a", false },
		{ "!has(a)", "b=a", true },
		{ "!!has(a)", "a=1", true },
		{ "! ! !has(a)", "a=1", false },
		{ "", "", true },
		{ "  ", "a=b", true },
		{ "all()", "", true },
		{ "all( )", "a=b", true },
		{ "global()", "", true },
		{ "global()", "a=b", true },
		{ "global()", "projectcalico.org/namespace=x", false },
		{ "!all()", "", false },
		/* && binds tighter than ||, ! tighter than both. */
		{ "has(a) || has(b) && has(c)", "a=1", true },
		{ "has(a) && has(b) || has(c)", "c=1", true },
		{ "(has(a) || has(b)) && has(c)", "a=1", false },
		{ "!has(a) && has(b)", "b=1", true },
		{ "!(has(a) && has(b))", "b=1", true },
		{ "!(!has(a) || has(b))", "a=1", true },
		{ "!a == 'x'", "", true },
		{ "!a in {'x'}", "a=x", false },
		/* Words of the grammar are labels where a label stands. */
		{ "in in {'in'}", "in=in", true },
		{ "contains contains 'x'", "contains=axb", true },
		{ "all == 'x'", "all=x", true },
		{ "not == 'x'", "not=x", true },
		{ "has == 'x'", "has=x", true },
		{ "a.b/c-d_E9 == 'x'", "a.b/c-d_E9=x", true },
		{ "a == 'x\\n'", "a=x\\n", true },
		{ "a ==\t'b'\n", "a=b", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct selector *s = selector_parse(rows[i].selector, &arena, &err);
		struct field_kvs kv = labels(rows[i].labels);

		ck_assert_msg(s != NULL, "%s: %s", rows[i].selector, err.text);
		ck_assert_msg(selector_matches(s, &kv) == rows[i].expect, "%s over {%s}",
			      rows[i].selector, rows[i].labels);
	}
}
END_TEST

START_TEST(errors)
{
	static const struct {
		const char *selector, *expect;
	} rows[] = {
		{ "b == b", "column 6: expected a text in quotes" },
		{ "b contains b", "column 12: expected a text in quotes" },
		{ "'b' == b", "column 1: expected a label, has(), all(), global(), ! or (" },
		{ "b",
		  "column 2: expected ==, !=, in, not in, contains, starts with or ends with" },
		{ "a b", "column 3: expected ==" },
		{ "!", "column 2: the selector ends too early" },
		{ "a == 'b' &", "column 10: expected && or || or the end" },
		{ "a == 'b' |", "column 10: expected && or || or the end" },
		{ "a = 'b'", "column 3: expected ==" },
		{ "foo != ||", "column 8: expected a text in quotes" },
		{ "foo in {\"\", ||", "column 13: expected , or } in the set" },
		{ "foo in \"\"", "column 8: expected a set" },
		{ "a in {'x' 'y'}", "column 11: expected , or } in the set" },
		{ "a == \"FOO", "column 6: the text in quotes does not end" },
		{ "a == \"FOO'", "column 6: the text in quotes does not end" },
		{ "(", "column 2: the selector ends too early" },
		{ "(a == 'b'", "column 10: expected )" },
		{ ")", "column 1: expected a label" },
		{ "()", "column 2: expected a label" },
		{ "%", "column 1: expected a label" },
		{ "a == 'b' && %", "column 13: expected a label" },
		{ "has(foo) &&", "column 12: the selector ends too early" },
		{ "has()", "column 5: expected a label's name in has()" },
		{ "has(a b)", "column 7: expected )" },
		{ "has(a", "column 6: expected )" },
		{ "all(x)", "column 5: expected )" },
		{ "all() all()", "column 7: expected && or || or the end" },
		{ "a starts 'x'", "column 3: expected ==" },
		{ "a not 'x'", "column 3: expected ==" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(!selector_parse(rows[i].selector, &arena, &err), "%s was taken",
			      rows[i].selector);
		ck_assert_msg(!strncmp(err.text, rows[i].expect, strlen(rows[i].expect)), "%s: %s",
			      rows[i].selector, err.text);
	}
}
END_TEST

START_TEST(bounds)
{
	char text[4096];
	struct field_kvs none = { 0 };

	memset(text, '(', 32);
	strcpy(text + 32, "all()");
	memset(text + 37, ')', 32);
	text[69] = 0;
	ck_assert_ptr_nonnull(selector_parse(text, &arena, &err));
	memset(text, '(', 33);
	strcpy(text + 33, "all()");
	memset(text + 38, ')', 33);
	text[71] = 0;
	ck_assert_ptr_null(selector_parse(text, &arena, &err));
	ck_assert_str_eq(err.text, "column 34: parentheses nest deeper than 32");
	/* Neighbours do not add up. */
	text[0] = 0;
	for (int i = 0; i < 40; i++)
		strcat(text, "(all())&&");
	strcat(text, "all()");
	ck_assert_ptr_nonnull(selector_parse(text, &arena, &err));
	/* Any number of ! is one. */
	memset(text, '!', 4001);
	strcpy(text + 4001, "all()");
	const struct selector *s = selector_parse(text, &arena, &err);

	ck_assert_ptr_nonnull(s);
	ck_assert(!selector_matches(s, &none));
	memset(text, 'a', 513);
	strcpy(text + 513, "=='x'");
	ck_assert_ptr_null(selector_parse(text, &arena, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "longer than 512"));
	strcpy(text + 512, "=='x'");
	ck_assert_ptr_nonnull(selector_parse(text, &arena, &err));
}
END_TEST

UNIT_MAIN("selector", matches, errors, bounds)
