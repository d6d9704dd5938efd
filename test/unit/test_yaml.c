#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/node.h"
#include "test/unit/unit.h"

static struct arena arena;
static struct err err;

static struct doc *parse(const char *text)
{
	struct doc *docs;

	err.text[0] = 0;
	if (yaml_parse(text, strlen(text), "f.yaml", &arena, &docs, &err))
		return NULL;
	ck_assert_str_eq(err.text, "");
	return docs;
}

START_TEST(kinds_and_places)
{
	struct doc *d = parse("a: 1\n"
			      "b:\n"
			      "  - x\n"
			      "  - \"y\"\n"
			      "c: {d: ~, e: null, f: '', g: }\n");
	const struct node *b, *c;

	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(d->root->kind, NODE_MAP);
	ck_assert_uint_eq(d->root->nchildren, 3);
	const struct node *a = node_get(d->root, "a");

	ck_assert_str_eq(a->text, "1");
	ck_assert_uint_eq(a->line, 1);
	ck_assert_uint_eq(a->col, 4);
	ck_assert_uint_eq(a->key_col, 1);
	b = node_get(d->root, "b");
	ck_assert_int_eq(b->kind, NODE_LIST);
	ck_assert_uint_eq(b->key_line, 2);
	ck_assert_uint_eq(b->child->line, 3);
	ck_assert_uint_eq(b->child->col, 5);
	ck_assert(!b->child->quoted);
	ck_assert(b->child->next->quoted);
	c = node_get(d->root, "c");
	ck_assert_int_eq(node_get(c, "d")->kind, NODE_NULL);
	ck_assert_int_eq(node_get(c, "e")->kind, NODE_NULL);
	ck_assert_int_eq(node_get(c, "g")->kind, NODE_NULL);
	/* In quotes nothing is still a text. */
	ck_assert_int_eq(node_get(c, "f")->kind, NODE_SCALAR);
	ck_assert_ptr_null(node_get(c, "h"));
	ck_assert_ptr_null(node_get(NULL, "h"));
}
END_TEST

START_TEST(documents)
{
	struct doc *d = parse("---\n# nothing\n---\na: 1\n---\n...\n---\nb: 2\n");

	ck_assert_ptr_nonnull(d);
	ck_assert_ptr_nonnull(node_get(d->root, "a"));
	ck_assert_ptr_nonnull(d->next);
	ck_assert_uint_eq(node_get(d->next->root, "b")->line, 8);
	ck_assert_ptr_null(d->next->next);
	ck_assert_ptr_null(parse(""));
	ck_assert_ptr_null(parse("# only this\n"));
	ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(documents_before_an_error_are_given)
{
	const char *text = "a: 1\n---\nb: [1\n---\nc: 3\n";
	struct doc *docs;

	ck_assert_int_eq(yaml_parse(text, strlen(text), "f.yaml", &arena, &docs, &err), -1);
	ck_assert_ptr_nonnull(docs);
	ck_assert_ptr_nonnull(node_get(docs->root, "a"));
	ck_assert_ptr_null(docs->next);
}
END_TEST

START_TEST(a_part_of_a_file)
{
	const char *text = "a: 1\nb: *x\n";
	struct doc *docs;

	ck_assert_int_eq(yaml_parse_from(text, strlen(text), "f", 41, &arena, &docs, &err), -1);
	ck_assert_str_eq(err.text,
			 "f:42:4: aliases (*name) are not supported; write the value out");
}
END_TEST

START_TEST(errors_name_their_place)
{
	static const struct {
		const char *text, *expect;
	} rows[] = {
		{ "a: &x 1\n", "f.yaml:1:4: anchors" },
		{ "a: [&x 1]\n", "f.yaml:1:5: anchors" },
		{ "a: 1\nb: *a\n", "f.yaml:2:4: aliases" },
		{ "? *a\n: 1\n", "f.yaml:1:3: aliases" },
		{ "a: !!str 1\n", "f.yaml:1:4: tags" },
		{ "a: !x {b: 1}\n", "f.yaml:1:4: tags" },
		{ "a: 1\n<<: {b: 1}\n", "f.yaml:2:1: merge keys" },
		{ "a: 1\nb: 2\na: 3\n", "f.yaml:3:1: key \"a\" is already set at line 1" },
		{ "? [a]\n: 1\n", "f.yaml:1:3: a key must be a plain text" },
		{ "a: \"x\\0y\"\n", "f.yaml:1:4: a text must not contain a NUL" },
		{ "a: [1\nb: 2\n", "f.yaml:2:2: not valid YAML" },
		{ "a: 1\n\tb: 2\n", "f.yaml:2:1: not valid YAML" },
		{ "a: b: c\n", "f.yaml:1:5: not valid YAML" },
		{ "a: \xff\xfe\n", "f.yaml:1:1: not valid YAML" },
		{ "{\n", "f.yaml:2:1: not valid YAML" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(!parse(rows[i].text) && err.text[0], "row %zu was taken", i);
		ck_assert_msg(!strncmp(err.text, rows[i].expect, strlen(rows[i].expect)),
			      "row %zu: %s", i, err.text);
	}
}
END_TEST

START_TEST(depth_is_bounded)
{
	char text[2100];

	/* The mapping is one level, each bracket one more. */
	memset(text, '[', 32);
	memset(text + 32, ']', 32);
	text[64] = 0;
	ck_assert_msg(parse(text) != NULL, "%s", err.text);
	memset(text, '[', 33);
	memset(text + 33, ']', 33);
	text[66] = 0;
	ck_assert(!parse(text));
	ck_assert_ptr_nonnull(strstr(err.text, "nested too deep"));
	memset(text, '[', 2000);
	text[2000] = 0;
	ck_assert(!parse(text));
	ck_assert_ptr_nonnull(strstr(err.text, "nested too deep"));
}
END_TEST

START_TEST(count_is_bounded)
{
	const size_t items = 1000001;
	char *text = xmalloc(2 * items + 16);
	size_t n = 0;

	text[n++] = '[';
	for (size_t i = 0; i < items; i++) {
		text[n++] = 'a';
		text[n++] = ',';
	}
	text[n++] = ']';
	text[n] = 0;
	ck_assert(!parse(text));
	ck_assert_ptr_nonnull(strstr(err.text, "more than 1000000 values"));
	free(text);
}
END_TEST

START_TEST(duplicates_in_a_large_mapping)
{
	char *text = xmalloc(64000);
	size_t n = 0;

	for (int i = 0; i < 3000; i++)
		n += (size_t)sprintf(text + n, "key%d: 1\n", i);
	ck_assert_ptr_nonnull(parse(text));
	sprintf(text + n, "key7: 2\n");
	ck_assert_ptr_null(parse(text));
	ck_assert_str_eq(
		err.text,
		"f.yaml:3001:1: key \"key7\" is already set at line 8; remove one of them");
	free(text);
}
END_TEST

START_TEST(copies_are_whole)
{
	struct arena other = { 0 };
	struct doc *d = parse("a: [1, {b: \"c\"}]\nd: 2\n");
	struct node *copy = node_copy(d->root, &other);

	arena_free(&arena);
	const struct node *a = node_get(copy, "a");

	ck_assert_uint_eq(copy->nchildren, 2);
	ck_assert_str_eq(a->child->text, "1");
	ck_assert_str_eq(node_get(a->child->next, "b")->text, "c");
	ck_assert(node_get(a->child->next, "b")->quoted);
	ck_assert_str_eq(node_get(copy, "d")->text, "2");
	arena_free(&other);
}
END_TEST

UNIT_MAIN("yaml", kinds_and_places, documents, documents_before_an_error_are_given,
	  a_part_of_a_file, errors_name_their_place, depth_is_bounded, count_is_bounded,
	  duplicates_in_a_large_mapping, copies_are_whole)
