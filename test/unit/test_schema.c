#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/schema.h"
#include "test/unit/unit.h"

struct item {
	const char *name;
	uint32_t port;
};

struct all {
	const char *str, *str_def;
	bool flag;
	uint32_t u32, ranged, word;
	int32_t s32;
	double f64;
	uint32_t asn, duration;
	struct addr addr;
	struct prefix prefix, ifaddr;
	int color;
	struct {
		uint32_t depth;
	} map;
	struct field_list numbers, items, names;
	struct field_kvs labels;
	const struct node *raw;
};

#define AT(m) offsetof(struct all, m)
static const struct field map_fields[] = { { "depth", F_U32, AT(map.depth), .def = "7" },
					   FIELDS_END };
static const struct field item_fields[] = {
	{ "name", F_STR, offsetof(struct item, name), .required = true },
	{ "port", F_U32, offsetof(struct item, port), .def = "179", .min = 1, .max = 65535 },
	FIELDS_END,
};
static const char *const colors[] = { "red", "green", NULL };
static const char *const words[] = { "auto=0", "main=254", NULL };
static const struct field fields[] = {
	FIELD("str", F_STR, AT(str)),
	{ "strDef", F_STR, AT(str_def), .def = "x y" },
	{ "flag", F_BOOL, AT(flag), .def = "true" },
	FIELD("u32", F_U32, AT(u32)),
	{ "ranged", F_U32, AT(ranged), .def = "5", .min = 1, .max = 10 },
	{ "word", F_U32, AT(word), .def = "main", .min = 1, .max = 500, .words = words },
	{ "s32", F_S32, AT(s32), .min = -5, .max = 5 },
	FIELD("f64", F_F64, AT(f64)),
	FIELD("asn", F_ASN, AT(asn)),
	{ "duration", F_DURATION, AT(duration), .def = "9s", .min = 0, .max = 60000 },
	FIELD("addr", F_ADDR, AT(addr)),
	FIELD("prefix", F_PREFIX, AT(prefix)),
	FIELD("ifaddr", F_IFADDR, AT(ifaddr)),
	{ "color", F_ENUM, AT(color), .def = "green", .words = colors },
	{ "map", F_MAP, 0, .sub = map_fields },
	{ "numbers", F_LIST, AT(numbers), .item = F_U32, .def = "[1, 2]", .min = 0, .max = 9 },
	{ "items", F_LIST, AT(items), .item = F_MAP, .item_size = sizeof(struct item),
	  .sub = item_fields, .def = "[{name: a}]" },
	{ "names", F_LIST, AT(names), .item = F_STR },
	FIELD("labels", F_KV, AT(labels)),
	FIELD("raw", F_RAW, AT(raw)),
	FIELD_IGNORE("old"),
	FIELDS_END,
};

static struct arena arena;
static struct problems problems;
static struct all out;

static int read_text(const char *text)
{
	struct doc *docs;
	struct err err;

	problems = (struct problems){ .arena = &arena };
	ck_assert_msg(!yaml_parse(text, strlen(text), "f", &arena, &docs, &err), "%s", err.text);
	return schema_read(docs ? docs->root : NULL, fields, &out, sizeof(out), "f", "", &arena,
			   &problems);
}

START_TEST(defaults)
{
	ck_assert_int_eq(read_text(""), 0);
	ck_assert_str_eq(out.str, "");
	ck_assert_str_eq(out.str_def, "x y");
	ck_assert(out.flag);
	ck_assert_uint_eq(out.u32, 0);
	ck_assert_uint_eq(out.ranged, 5);
	ck_assert_uint_eq(out.word, 254);
	ck_assert_uint_eq(out.duration, 9000);
	ck_assert_int_eq(out.color, 1);
	ck_assert_uint_eq(out.map.depth, 7);
	ck_assert_uint_eq(out.numbers.n, 2);
	ck_assert_uint_eq(((uint32_t *)out.numbers.v)[1], 2);
	ck_assert_uint_eq(out.items.n, 1);
	ck_assert_str_eq(((struct item *)out.items.v)[0].name, "a");
	ck_assert_uint_eq(((struct item *)out.items.v)[0].port, 179);
	ck_assert_uint_eq(out.names.n, 0);
	ck_assert_int_eq(out.addr.fam, FAM_NONE);
	ck_assert_ptr_null(out.raw);
	/* null is absent. */
	ck_assert_int_eq(read_text("flag: ~\nmap:\nnumbers: null\n"), 0);
	ck_assert(out.flag);
	ck_assert_uint_eq(out.map.depth, 7);
	ck_assert_uint_eq(out.numbers.n, 2);
}
END_TEST

START_TEST(values)
{
	ck_assert_int_eq(
		read_text("str: hello\nflag: false\nu32: 4294967295\nranged: 10\nword: auto\n"
			  "s32: -5\nf64: -1.5e3\nasn: 1.10\nduration: 1m\naddr: fd00::1\n"
			  "prefix: 10.1.0.0/16\nifaddr: 10.0.0.1/24\ncolor: red\n"
			  "map: {depth: 3}\nnumbers: []\n"
			  "items: [{name: x, port: 1}, {name: y}]\nnames: [p, 'q']\n"
			  "labels: {a.b/c: d, n: 5, e: }\nraw: {k: [1]}\nold: [anything]\n"),
		0);
	ck_assert_str_eq(out.str, "hello");
	ck_assert(!out.flag);
	ck_assert_uint_eq(out.u32, 4294967295u);
	ck_assert_uint_eq(out.ranged, 10);
	ck_assert_uint_eq(out.word, 0);
	ck_assert_int_eq(out.s32, -5);
	ck_assert(out.f64 == -1500);
	ck_assert_uint_eq(out.asn, (1u << 16) + 10);
	ck_assert_uint_eq(out.duration, 60000);
	ck_assert_int_eq(out.addr.fam, FAM_V6);
	ck_assert_uint_eq(out.prefix.len, 16);
	ck_assert_uint_eq(out.ifaddr.addr.b[3], 1);
	ck_assert_int_eq(out.color, 0);
	ck_assert_uint_eq(out.map.depth, 3);
	ck_assert_uint_eq(out.numbers.n, 0);
	ck_assert_uint_eq(((struct item *)out.items.v)[1].port, 179);
	ck_assert_str_eq(((const char **)out.names.v)[1], "q");
	ck_assert_uint_eq(out.labels.n, 3);
	ck_assert_str_eq(out.labels.v[0].key, "a.b/c");
	ck_assert_str_eq(out.labels.v[1].value, "5");
	ck_assert_str_eq(out.labels.v[2].value, "");
	ck_assert_str_eq(node_get(out.raw, "k")->child->text, "1");
	/* Text may be in quotes where it is text. */
	ck_assert_int_eq(read_text("asn: \"65000\"\nduration: \"2s\"\nprefix: '10.0.0.0/8'\n"
				   "addr: \"::1\"\ncolor: 'red'\n"),
			 0);
}
END_TEST

START_TEST(messages)
{
	static const struct {
		const char *text, *expect;
	} rows[] = {
		{ "colr: red", "f:1:1: unknown key \"colr\"; did you mean \"color\"?" },
		{ "zzz: red", "f:1:1: unknown key \"zzz\"" },
		{ "map:\n  dpeth: 1",
		  "f:2:3: unknown key \"dpeth\" in map; did you mean \"depth\"?" },
		{ "flag: yes", "f:1:7: flag: \"yes\" is not allowed here; expected true or false" },
		{ "flag: \"true\"",
		  "f:1:7: flag: \"true\" is not allowed here; expected true or false "
		  "without quotes" },
		{ "flag: [true]",
		  "f:1:7: flag: a list is not allowed here; expected true or false" },
		{ "u32: -1",
		  "f:1:6: u32: \"-1\" is not allowed here; expected a whole number from 0 to "
		  "4294967295" },
		{ "u32: 4294967296", "f:1:6: u32: \"4294967296\"" },
		{ "u32: 99999999999999999999", "f:1:6: u32: " },
		{ "u32: 0x10", "f:1:6: u32: " },
		{ "u32: '5'",
		  "f:1:6: u32: \"5\" is not allowed here; expected a whole number from 0 to "
		  "4294967295 without quotes" },
		{ "ranged: 11",
		  "f:1:9: ranged: \"11\" is not allowed here; expected a whole number "
		  "from 1 to 10" },
		{ "ranged: 0", "f:1:9: ranged: " },
		{ "word: 501",
		  "f:1:7: word: \"501\" is not allowed here; expected auto or main or a "
		  "whole number from 1 to 500" },
		{ "s32: -6",
		  "f:1:6: s32: \"-6\" is not allowed here; expected a whole number from -5 "
		  "to 5" },
		{ "f64: 0x1p3", "f:1:6: f64: " },
		{ "f64: inf", "f:1:6: f64: " },
		{ "asn: 0", "f:1:6: asn: " },
		{ "asn: 4294967296", "f:1:6: asn: " },
		{ "asn: 65536.1", "f:1:6: asn: " },
		{ "asn: 1.2.3", "f:1:6: asn: " },
		{ "duration: 9",
		  "f:1:11: duration: \"9\" is not allowed here; expected a time with its "
		  "unit, like 9s, 100ms or 1m30s" },
		{ "duration: 61s",
		  "f:1:11: duration: \"61s\" is not allowed here; expected a time from "
		  "0s to 60s" },
		{ "addr: 10.0.0.1/8", "f:1:7: addr: " },
		{ "addr: fe80::1%eth0", "f:1:7: addr: " },
		{ "prefix: 10.0.0.1/8",
		  "f:1:9: prefix: \"10.0.0.1/8\" has bits set behind its length; "
		  "the network is 10.0.0.0/8" },
		{ "prefix: 10.0.0.0/33", "f:1:9: prefix: " },
		{ "ifaddr: 10.0.0.1",
		  "f:1:9: ifaddr: \"10.0.0.1\" is not allowed here; expected an "
		  "address with its length, like 10.0.0.1/24" },
		{ "color: gren",
		  "f:1:8: color: \"gren\" is not allowed here; expected one of: red, "
		  "green; did you mean \"green\"?" },
		{ "map: 5", "f:1:6: map: \"5\" is not allowed here; expected a mapping" },
		{ "numbers: 5", "f:1:10: numbers: \"5\" is not allowed here; expected a list" },
		{ "numbers: [1, 10]", "f:1:14: numbers[1]: \"10\" is not allowed here" },
		{ "numbers: [1, ~]", "f:1:14: numbers[1]: the value is missing" },
		{ "items: [{port: 1}]", "f:1:9: items[0].name: is missing" },
		{ "items: [{name: ~}]", "f:1:16: items[0].name: is missing" },
		{ "items: [{name: a, port: 0}]", "f:1:25: items[0].port: \"0\"" },
		{ "labels: [a]", "f:1:9: labels: a list is not allowed here" },
		{ "labels: {a: [b]}", "f:1:13: labels.a: a list is not allowed here" },
		{ "[a]", "f:1:1: expected a mapping (key: value), got a list" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(read_text(rows[i].text) == -1, "row %zu was taken", i);
		ck_assert_msg(problems.n == 1, "row %zu: %u problems", i, problems.n);
		ck_assert_msg(!strncmp(problems.text[0], rows[i].expect, strlen(rows[i].expect)),
			      "row %zu: %s", i, problems.text[0]);
	}
}
END_TEST

START_TEST(all_errors_in_order)
{
	char text[64];

	ck_assert_int_eq(read_text("color: blue\nzz: 1\nflag: 2\nitems: [{}, {}]\nu32: x\n"), -1);
	ck_assert_uint_eq(problems.n, 6);
	for (unsigned i = 0, line = 1; i < problems.n; i++) {
		snprintf(text, sizeof(text), "f:%u:", line);
		ck_assert_msg(!strncmp(problems.text[i], text, strlen(text)), "%s",
			      problems.text[i]);
		line += i != 3;
	}
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "9s", 9000 },
		{ "100ms", 100 },
		{ "1m", 60000 },
		{ "1h", 3600000 },
		{ "1m30s", 90000 },
		{ "2h0m1s", 7201000 },
		{ "", -1 },
		{ "9", -1 },
		{ "s", -1 },
		{ "-1s", -1 },
		{ "1.5s", -1 },
		{ "1 s", -1 },
		{ "9sec", -1 },
		{ "1m30", -1 },
		{ "00", -1 },
		{ "9S", -1 },
		{ "9223372036854775807h", -1 },
		{ "99999999999999999999s", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(duration_parse(rows[i].text) == rows[i].ms, "\"%s\" gave %lld",
			      rows[i].text, (long long)duration_parse(rows[i].text));
}
END_TEST

START_TEST(asns)
{
	ck_assert_int_eq(asn_parse("64512"), 64512);
	ck_assert_int_eq(asn_parse("4294967295"), 4294967295LL);
	ck_assert_int_eq(asn_parse("4294967296"), -1);
	ck_assert_int_eq(asn_parse("65535.65535"), 4294967295LL);
	ck_assert_int_eq(asn_parse("0.1"), 1);
	ck_assert_int_eq(asn_parse("0"), 0);
	ck_assert_int_eq(asn_parse("1."), -1);
	ck_assert_int_eq(asn_parse(".1"), -1);
	ck_assert_int_eq(asn_parse("AS1"), -1);
	ck_assert_int_eq(asn_parse(""), -1);
}
END_TEST

START_TEST(near_words)
{
	static const char *const list[] = { "holdTime", "keepaliveTime", "bfd", "passive", NULL };
	char longer[200];

	ck_assert_str_eq(nearest_word("hold", list), "holdTime");
	ck_assert_str_eq(nearest_word("holdtime", list), "holdTime");
	ck_assert_str_eq(nearest_word("hodlTime", list), "holdTime");
	ck_assert_str_eq(nearest_word("keepalivTime", list), "keepaliveTime");
	ck_assert_str_eq(nearest_word("bdf", list), "bfd");
	ck_assert_ptr_null(nearest_word("multihop", list));
	ck_assert_ptr_null(nearest_word("", list));
	memset(longer, 'a', 199);
	longer[199] = 0;
	ck_assert_ptr_null(nearest_word(longer, list));
}
END_TEST

UNIT_MAIN("schema", defaults, values, messages, all_errors_in_order, durations, asns, near_words)
