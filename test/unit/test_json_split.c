/* Lists and watches cut into pieces of every size give the same objects. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/arena.h"
#include "store/json_split.h"
#include "test/unit/unit.h"

/* What a text gives, as one line: "i:" items, "key:" members, "." the end, "!" bad. */
static void tell(char *out, const struct json_split *s, enum json_split_event e)
{
	size_t n = strlen(out);

	if (e == JSON_SPLIT_ITEM)
		sprintf(out + n, "i:%.*s|", (int)s->len, s->text);
	else if (e == JSON_SPLIT_MEMBER)
		sprintf(out + n, "%s:%.*s|", s->key, (int)s->len, s->text);
	else
		sprintf(out + n, "%s", e == JSON_SPLIT_END ? "." : "!");
}

static void split(enum json_split_mode mode, const char *text, size_t piece, char *out)
{
	struct json_split s;
	size_t len = strlen(text);

	out[0] = 0;
	json_split_init(&s, mode);
	for (size_t at = 0; at < len; at += piece) {
		/* A copy of exactly the piece, so that a byte read beyond it is seen. */
		size_t n = len - at < piece ? len - at : piece;
		char *copy = xmalloc(n);
		const char *p = memcpy(copy, text + at, n);
		enum json_split_event e;

		while ((e = json_split_next(&s, &p, copy + n)) != JSON_SPLIT_MORE) {
			tell(out, &s, e);
			if (e == JSON_SPLIT_BAD)
				break;
		}
		free(copy);
		if (e == JSON_SPLIT_BAD)
			break;
	}
	strcat(out, json_split_whole(&s) ? " whole" : " half");
	json_split_free(&s);
}

static const struct row {
	enum json_split_mode mode;
	const char *text, *want;
} rows[] = {
	{ JSON_SPLIT_LIST,
	  "{\"kind\":\"L\",\"metadata\":{\"a\":[1,\"}\"]},\"items\":[{\"x\":1},{\"y\":\"]\"}]}",
	  "kind:\"L\"|metadata:{\"a\":[1,\"}\"]}|i:{\"x\":1}|i:{\"y\":\"]\"}|. whole" },
	{ JSON_SPLIT_LIST, " {\n \"items\" : [ ] , \"n\" : 12 } \n", "n:12|. whole" },
	{ JSON_SPLIT_LIST, "{\"items\":null,\"b\":true}", "items:null|b:true|. whole" },
	{ JSON_SPLIT_LIST, "{\"items\":[1, \"a\\\"]\" ,null]}", "i:1|i:\"a\\\"]\"|i:null|. whole" },
	{ JSON_SPLIT_LIST, "{\"a\":{\"items\":[1,2]},\"items\":[[3]]}",
	  "a:{\"items\":[1,2]}|i:[3]|. whole" },
	{ JSON_SPLIT_LIST, "{\"it\\\"ems\":[1]}", "it\\\"ems:[1]|. whole" },
	{ JSON_SPLIT_LIST, "{}", ". whole" },
	{ JSON_SPLIT_LIST, "{\"items\":[{\"x\":1},{\"y\"", "i:{\"x\":1}| half" },
	{ JSON_SPLIT_LIST, "{\"items\":[{\"x\":1}]", "i:{\"x\":1}| half" },
	{ JSON_SPLIT_LIST, "", " half" },
	{ JSON_SPLIT_LIST, "[1]", "! half" },
	{ JSON_SPLIT_LIST, "404 page not found", "! half" },
	{ JSON_SPLIT_LIST, "{\"items\":[{} {}]}", "i:{}|! half" },
	{ JSON_SPLIT_LIST, "{\"a\" 1}", "! half" },
	{ JSON_SPLIT_LIST, "{\"a\":,}", "! half" },
	{ JSON_SPLIT_LIST, "{} {}", ".! half" },
	{ JSON_SPLIT_LINES, "{\"a\":1}\n{\"b\":2}\n", "i:{\"a\":1}|i:{\"b\":2}| whole" },
	{ JSON_SPLIT_LINES, "\n \r\n{\"a\":1}\n\n", "i:{\"a\":1}| whole" },
	{ JSON_SPLIT_LINES, "{\"a\":1}\n{\"b\"", "i:{\"a\":1}| half" },
};

static void pieces_of_every_size(const struct row *r)
{
	char got[1024];

	for (size_t piece = 1; piece <= strlen(r->text) + 1; piece++) {
		split(r->mode, r->text, piece, got);
		ck_assert_msg(!strcmp(got, r->want), "%s in pieces of %zu: %s, want %s", r->text,
			      piece, got, r->want);
	}
}

START_TEST(all_rows)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		pieces_of_every_size(&rows[i]);
}
END_TEST

/* An object over the limit is refused, in one piece or in many, and so is what comes after. */
START_TEST(limit)
{
	size_t len = JSON_SPLIT_OBJECT_MAX + 64;
	char *text = xmalloc(len);

	for (int mode = 0; mode < 2; mode++) {
		for (size_t piece = 1000; piece <= len; piece = piece == len ? len + 1 : len) {
			struct json_split s;
			enum json_split_event e = JSON_SPLIT_MORE;

			memset(text, ' ', len);
			memcpy(text, mode ? "{\"items\":[\"" : "\"", mode ? 11 : 1);
			memcpy(text + len - 4, "\"]}\n", 4);
			json_split_init(&s, mode ? JSON_SPLIT_LIST : JSON_SPLIT_LINES);
			for (size_t at = 0; at < len && e == JSON_SPLIT_MORE; at += piece) {
				const char *p = text + at;

				e = json_split_next(&s, &p,
						    text + (at + piece < len ? at + piece : len));
			}
			ck_assert_int_eq(e, JSON_SPLIT_BAD);
			ck_assert_ptr_nonnull(strstr(s.why, "longer than 3 MiB"));
			const char *more = text;

			ck_assert_int_eq(json_split_next(&s, &more, text + 5), JSON_SPLIT_BAD);
			ck_assert(!json_split_whole(&s));
			json_split_free(&s);
		}
	}
	free(text);
}
END_TEST

/* What lies whole in a piece is not copied. */
START_TEST(in_place)
{
	static const char text[] = "{\"items\":[{\"a\":1}]}";
	const char *p = text;
	struct json_split s;

	json_split_init(&s, JSON_SPLIT_LIST);
	ck_assert_int_eq(json_split_next(&s, &p, text + strlen(text)), JSON_SPLIT_ITEM);
	ck_assert_ptr_eq(s.text, text + 10);
	json_split_free(&s);
}
END_TEST

UNIT_MAIN("json_split", all_rows, limit, in_place)
