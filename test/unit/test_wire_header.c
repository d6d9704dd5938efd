#include "wire_util.h"

#define ONES "ffffffff ffffffff ffffffff ffffffff "

struct header_row {
	const char *name, *hex;
	size_t max;
	int want; /* bgp_header_check()'s result */
	uint8_t subcode;
	const char *data; /* of the NOTIFICATION, hex */
};

static const struct header_row rows[] = {
	{ "nothing yet", "", BGP_MAX, 0, 0, "" },
	{ "18 octets", ONES "0013", BGP_MAX, 0, 0, "" },
	{ "keepalive", ONES "0013 04", BGP_MAX, 19, 0, "" },
	{ "keepalive and more", ONES "0013 04 ffff", BGP_MAX, 19, 0, "" },
	{ "update, header only so far", ONES "0017 02", BGP_MAX, 0, 0, "" },
	{ "update", ONES "0017 02 00000000", BGP_MAX, 23, 0, "" },
	{ "marker", "ffffffff ffffffff ffffffff fffffffe 0013 04", BGP_MAX, -1, HEADER_SYNC, "" },
	{ "marker of another protocol", "474554202f20485454502f312e310d0a 0d0a0d", BGP_MAX, -1,
	  HEADER_SYNC, "" },
	{ "length 0", ONES "0000 04", BGP_MAX, -1, HEADER_LENGTH, "0000" },
	{ "length 18", ONES "0012 04", BGP_MAX, -1, HEADER_LENGTH, "0012" },
	{ "length 4096", ONES "1000 02", BGP_MAX, 0, 0, "" },
	{ "length 4097", ONES "1001 02", BGP_MAX, -1, HEADER_LENGTH, "1001" },
	{ "length 4097, extended", ONES "1001 02", BGP_MAX_EXTENDED, 0, 0, "" },
	{ "length 65535, extended", ONES "ffff 02", BGP_MAX_EXTENDED, 0, 0, "" },
	/* RFC 8654 section 4: OPEN and KEEPALIVE are never extended. */
	{ "open of 4097", ONES "1001 01", BGP_MAX_EXTENDED, -1, HEADER_LENGTH, "1001" },
	{ "keepalive of 20", ONES "0014 04", BGP_MAX, -1, HEADER_LENGTH, "0014" },
	{ "open of 28", ONES "001c 01", BGP_MAX, -1, HEADER_LENGTH, "001c" },
	{ "open of 29", ONES "001d 01", BGP_MAX, 0, 0, "" },
	{ "update of 22", ONES "0016 02", BGP_MAX, -1, HEADER_LENGTH, "0016" },
	{ "notification of 20", ONES "0014 03", BGP_MAX, -1, HEADER_LENGTH, "0014" },
	{ "notification of 21", ONES "0015 03 0602", BGP_MAX, 21, 0, "" },
	{ "refresh of 22", ONES "0016 05", BGP_MAX, -1, HEADER_LENGTH, "0016" },
	{ "type 0", ONES "0013 00", BGP_MAX, -1, HEADER_TYPE, "00" },
	{ "type 6", ONES "0013 06", BGP_MAX, -1, HEADER_TYPE, "06" },
	{ "type 255", ONES "0013 ff", BGP_MAX, -1, HEADER_TYPE, "ff" },
};

START_TEST(header_rows)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct header_row *row = &rows[i];
		uint8_t buf[64], data[8], type = 0;
		struct wr w = wr_over(buf, sizeof(buf)), want = wr_over(data, sizeof(data));
		struct bgp_error e = { 0 };
		int got;

		wr_hex(&w, row->hex);
		wr_hex(&want, row->data);
		got = bgp_header_check(buf, w.len, row->max, &type, &e);
		ck_assert_msg(got == row->want, "%s: %d, not %d", row->name, got, row->want);
		if (got >= 0)
			continue;
		ck_assert_msg(e.code == BERR_HEADER && e.subcode == row->subcode, "%s: %u/%u",
			      row->name, e.code, e.subcode);
		ck_assert_msg(e.data_len == want.len && !memcmp(e.data, data, want.len),
			      "%s: wrong data", row->name);
		ck_assert_msg(e.text[0], "%s: no text", row->name);
	}
}
END_TEST

START_TEST(header_gives_type)
{
	uint8_t buf[64], type = 0;
	struct bgp_error e;
	size_t len = message_from_hex(buf, sizeof(buf), BGP_ROUTE_REFRESH, "00010001");

	ck_assert_int_eq(bgp_header_check(buf, len, BGP_MAX, &type, &e), 23);
	ck_assert_uint_eq(type, BGP_ROUTE_REFRESH);
}
END_TEST

START_TEST(keepalive_encodes)
{
	uint8_t buf[19], type = 0;
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_error e;

	bgp_keepalive_encode(&w);
	ck_assert(!w.full);
	ck_assert_int_eq(bgp_header_check(buf, w.len, BGP_MAX, &type, &e), 19);
	ck_assert_uint_eq(type, BGP_KEEPALIVE);
	w = wr_over(buf, 18);
	bgp_keepalive_encode(&w);
	ck_assert(w.full);
}
END_TEST

START_TEST(refresh_decodes)
{
	static const struct {
		const char *body;
		int want;
		uint8_t fam, safi, subtype, code;
	} cases[] = {
		{ "00010001", 0, FAM_V4, 1, 0, 0 },
		{ "00020001", 0, FAM_V6, 1, 0, 0 },
		{ "00010101", 0, FAM_V4, 1, 1, 0 },
		{ "00020201", 0, FAM_V6, 1, 2, 0 },
		{ "0001ff01", 0, FAM_V4, 1, 255, 0 },
		{ "00190041", 0, FAM_NONE, 65, 0, 0 },
		{ "00010002", 0, FAM_NONE, 2, 0, 0 },
		/* RFC 5291: outbound route filters follow. */
		{ "00010001 01 80 0001 80", 0, FAM_V4, 1, 0, 0 },
		/* RFC 7313 section 5 */
		{ "00010101 00", -1, 0, 0, 0, BERR_REFRESH },
		{ "00010201 0000", -1, 0, 0, 0, BERR_REFRESH },
		{ "000100", -1, 0, 0, 0, BERR_HEADER },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[64];
		size_t len = message_from_hex(buf, sizeof(buf), BGP_ROUTE_REFRESH, cases[i].body);
		struct bgp_refresh r;
		struct bgp_error e;

		ck_assert_msg(bgp_refresh_decode(buf, len, &r, &e) == cases[i].want, "%s",
			      cases[i].body);
		if (cases[i].want < 0) {
			ck_assert_uint_eq(e.code, cases[i].code);
			continue;
		}
		ck_assert_uint_eq(r.fam, cases[i].fam);
		ck_assert_uint_eq(r.safi, cases[i].safi);
		ck_assert_uint_eq(r.subtype, cases[i].subtype);
	}
}
END_TEST

START_TEST(refresh_encodes)
{
	uint8_t buf[23], want[23];
	struct wr w = wr_over(buf, sizeof(buf));

	bgp_refresh_encode(&w, FAM_V6, 1);
	message_from_hex(want, sizeof(want), BGP_ROUTE_REFRESH, "00020101");
	ck_assert_uint_eq(w.len, 23);
	ck_assert_mem_eq(buf, want, 23);
}
END_TEST

UNIT_MAIN("wire_header", header_rows, header_gives_type, keepalive_encodes, refresh_decodes,
	  refresh_encodes)
