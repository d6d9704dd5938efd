#include "bgpd/wire/attr.h"
#include "wire_util.h"

static uint8_t store[8][1200];

/* A path of 4-octet numbers from hex. */
static struct blob path_of(unsigned slot, const char *hex)
{
	struct wr w = wr_over(store[slot], sizeof(store[slot]));

	wr_hex(&w, hex);
	return (struct blob){ store[slot], (uint16_t)w.len };
}

#define SEQ2	   "0202 0000fde9 0000fdea "
#define SET2	   "0102 0000fdeb 0000fdec "
#define CONFED	   "0301 0000fe00 "
#define CONFED_SET "0402 0000fe01 0000fe02 "

static const struct {
	const char *hex, *text;
	unsigned length;
	uint32_t first;
} rows[] = {
	{ "", "", 0, 0 },
	{ SEQ2, "65001 65002", 2, 65001 },
	{ SEQ2 SET2, "65001 65002 {65003,65004}", 3, 65001 },
	{ SET2 SEQ2, "{65003,65004} 65001 65002", 3, 0 },
	{ CONFED SEQ2, "(65024) 65001 65002", 2, 65001 },
	{ CONFED_SET CONFED, "[65025,65026] (65024)", 0, 0 },
	{ "0201 ffffffff", "4294967295", 1, 4294967295u },
	{ SEQ2 "0201 00000001", "65001 65002 1", 3, 65001 },
};

START_TEST(lengths_and_texts)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blob p = path_of(0, rows[i].hex);
		char buf[128];

		ck_assert_uint_eq(as_path_length(p), rows[i].length);
		ck_assert_uint_eq(as_path_first(p), rows[i].first);
		ck_assert_str_eq(as_path_format(p, buf, sizeof(buf)), rows[i].text);
	}
}
END_TEST

START_TEST(counts)
{
	struct blob p = path_of(0, SEQ2 SEQ2 SET2 CONFED);

	ck_assert_uint_eq(as_path_count(p, 65001), 2);
	ck_assert_uint_eq(as_path_count(p, 65003), 1);
	ck_assert_uint_eq(as_path_count(p, 65024), 1);
	ck_assert_uint_eq(as_path_count(p, 1), 0);
}
END_TEST

/* The cut is marked, and nothing is written behind the buffer. */
START_TEST(format_cuts)
{
	struct blob p = path_of(0, SEQ2 SET2);
	char full[64], buf[64];

	as_path_format(p, full, sizeof(full));
	for (size_t size = 1; size <= strlen(full) + 1; size++) {
		memset(buf, '#', sizeof(buf));
		as_path_format(p, buf, size);
		ck_assert(memchr(buf, '\0', size) != NULL);
		ck_assert(buf[size] == '#');
		if (size > strlen(full))
			ck_assert_str_eq(buf, full);
		else if (size > 5)
			ck_assert_msg(!strcmp(buf + strlen(buf) - 3, "..."), "%zu: %s", size, buf);
	}
}
END_TEST

static const struct {
	const char *hex;
	unsigned times;
	const char *want;
} prepends[] = {
	{ "", 1, "0201 0000fde8" },
	{ "", 0, "" },
	{ SEQ2, 0, SEQ2 },
	{ SEQ2, 1, "0203 0000fde8 0000fde9 0000fdea" },
	{ SEQ2, 2, "0204 0000fde8 0000fde8 0000fde9 0000fdea" },
	{ SET2, 1, "0201 0000fde8" SET2 },
	/* RFC 5065 section 4: in front of confederation segments too a sequence of its own. */
	{ CONFED SEQ2, 1, "0201 0000fde8" CONFED SEQ2 },
};

START_TEST(prepend_rows)
{
	for (size_t i = 0; i < sizeof(prepends) / sizeof(prepends[0]); i++) {
		struct blob p = path_of(0, prepends[i].hex), want = path_of(1, prepends[i].want);
		uint8_t out[64];
		size_t n = as_path_prepend(p, 65000, prepends[i].times, out, sizeof(out));

		ck_assert_uint_eq(n, want.len);
		ck_assert_mem_eq(out, want.p, n);
		if (n)
			ck_assert_uint_eq(as_path_prepend(p, 65000, prepends[i].times, out, n - 1),
					  0);
	}
}
END_TEST

/* RFC 4271 section 5.1.2: a segment holds 255 numbers. */
START_TEST(prepend_overflow)
{
	static const struct {
		unsigned old, times, segments, first;
	} cases[] = {
		{ 254, 1, 1, 255 }, { 255, 1, 2, 1 },	{ 250, 6, 2, 1 },   { 1, 254, 1, 255 },
		{ 1, 255, 2, 1 },   { 10, 300, 2, 55 }, { 255, 256, 3, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t in[2 + 255 * 4], out[4096];
		struct wr w = wr_over(in, sizeof(in));
		struct blob p;
		unsigned segments = 0;
		size_t n;

		wr_u8(&w, SEG_SEQUENCE);
		wr_u8(&w, (uint8_t)cases[i].old);
		for (unsigned k = 0; k < cases[i].old; k++)
			wr_u32(&w, 7);
		n = as_path_prepend((struct blob){ in, (uint16_t)w.len }, 65000, cases[i].times,
				    out, sizeof(out));
		p = (struct blob){ out, (uint16_t)n };
		ck_assert_uint_eq(as_path_length(p), cases[i].old + cases[i].times);
		ck_assert_uint_eq(as_path_count(p, 65000), cases[i].times);
		ck_assert_uint_eq(as_path_first(p), 65000);
		ck_assert_uint_eq(out[1], cases[i].first);
		ck_assert_ptr_null(as_path_check(out, (unsigned)n, 4, false));
		for (size_t at = 0; at < n; at += 2 + out[at + 1] * 4u)
			segments++;
		ck_assert_uint_eq(segments, cases[i].segments);
	}
}
END_TEST

static const struct {
	const char *hex;
	unsigned width;
	bool confed;
	const char *why; /* NULL: well-formed */
} checks[] = {
	{ "", 4, false, NULL },
	{ SEQ2 SET2, 4, false, NULL },
	{ "0202 fde9 fdea", 2, false, NULL },
	{ CONFED SEQ2, 4, true, NULL },
	{ CONFED SEQ2, 4, false, "confederation" },
	{ CONFED_SET, 4, false, "confederation" },
	{ "00", 4, false, "left over" },
	{ SEQ2 "02", 4, false, "left over" },
	{ "0001 0000fde9", 4, false, "unknown type" },
	{ "0501 0000fde9", 4, false, "unknown type" },
	{ "0200", 4, false, "without an AS" },
	{ SEQ2 "0100", 4, false, "without an AS" },
	{ "0202 0000fde9", 4, false, "runs past" },
	{ "0201 0000fd", 4, false, "runs past" },
	{ "02ff 0000fde9", 4, false, "runs past" },
	/* A path of 4-octet numbers read as one of 2-octet numbers. */
	{ SEQ2, 2, false, "AS number 0" },
	{ "0201 00000000", 4, false, "AS number 0" },
	{ "0202 0000fde9 00000000", 4, false, "AS number 0" },
	{ "0102 fde9 0000", 2, false, "AS number 0" },
};

START_TEST(check_rows)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct blob p = path_of(0, checks[i].hex);
		const char *why = as_path_check(p.p, p.len, checks[i].width, checks[i].confed);

		if (checks[i].why)
			ck_assert_msg(why && strstr(why, checks[i].why), "%s: %s", checks[i].hex,
				      why ? why : "taken");
		else
			ck_assert_msg(!why, "%s: %s", checks[i].hex, why);
	}
}
END_TEST

/* RFC 6793 section 4.2.3; 5ba0 is AS_TRANS. */
static const struct {
	const char *name, *path2, *as4, *want;
} merges[] = {
	{ "no AS4_PATH", "0202 fde9 5ba0", "", "65001 23456" },
	{ "whole", "0202 5ba0 5ba0", "0202 00011170 00011171", "70000 70001" },
	{ "leading part kept", "0203 fde9 5ba0 fdea", "0202 00011170 0000fdea",
	  "65001 70000 65002" },
	{ "one number of AS4_PATH", "0203 fde9 fdea 5ba0", "0201 00011170", "65001 65002 70000" },
	{ "AS4_PATH is longer: ignored", "0201 5ba0", "0202 00011170 00011171", "23456" },
	{ "a set counts one", "0202 fde9 5ba0 0102 fdeb 5ba0",
	  "0201 00011170 0102 0000fdeb 00011172", "65001 70000 {65003,70002}" },
	{ "a set is taken whole", "0102 fdeb fdec 0201 5ba0", "0201 00011170",
	  "{65003,65004} 70000" },
	{ "set only in AS4_PATH", "0202 fde9 5ba0", "0102 00011170 00011171",
	  "65001 {70000,70001}" },
	/* Section 6: confederation segments in AS4_PATH are discarded. */
	{ "confederation in AS4_PATH", "0202 fde9 5ba0", "0301 0000fe00 0201 00011170",
	  "65001 70000" },
	{ "nothing but confederation", "0201 fde9", "0301 0000fe00", "65001" },
	{ "several segments", "0202 fde9 fdea 0202 fdeb 5ba0", "0202 0000fdeb 00011170",
	  "65001 65002 65003 70000" },
};

START_TEST(merge_rows)
{
	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
		uint8_t out[256];
		struct wr w = wr_over(out, sizeof(out));
		char buf[128];
		struct blob got;

		as_path_widen(&w, path_of(0, merges[i].path2), path_of(1, merges[i].as4));
		ck_assert(!w.full);
		got = (struct blob){ out, (uint16_t)w.len };
		ck_assert_ptr_null(as_path_check(out, (unsigned)w.len, 4, false));
		ck_assert_msg(!strcmp(as_path_format(got, buf, sizeof(buf)), merges[i].want),
			      "%s: %s", merges[i].name, buf);
	}
}
END_TEST

/* The two halves of a sequence become one segment where it holds them, so that equal paths are
 * equal bytes. */
START_TEST(merge_joins)
{
	struct blob want = path_of(2, "0203 0000fde9 00011170 0000fdea");
	uint8_t out[64];
	struct wr w = wr_over(out, sizeof(out));

	as_path_widen(&w, path_of(0, "0203 fde9 5ba0 fdea"), path_of(1, "0202 00011170 0000fdea"));
	ck_assert_uint_eq(w.len, want.len);
	ck_assert_mem_eq(out, want.p, w.len);
}
END_TEST

UNIT_MAIN("wire_as_path", lengths_and_texts, counts, format_cuts, prepend_rows, prepend_overflow,
	  check_rows, merge_rows, merge_joins)
