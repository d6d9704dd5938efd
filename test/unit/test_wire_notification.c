#include "wire_util.h"

static const struct {
	const char *name, *body, *text;
} texts[] = {
	{ "no text", "0602", "" },
	{ "empty", "0602 00", "" },
	{ "plain", "0602 05 68656c6c6f", "hello" },
	{ "reset", "0604 02 6f6b", "ok" },
	{ "UTF-8", "0602 06 c3a9 e282ac 21", "\xc3\xa9\xe2\x82\xac!" },
	{ "newline and escape", "0602 05 61 0a 62 1b 63", "a?b?c" },
	{ "C1 control", "0602 04 61 c29b 62", "a?b" },
	{ "NUL", "0602 03 61 00 62", "a?b" },
	{ "not UTF-8", "0602 04 61 ff c3 62", "a??b" },
	{ "cut off sequence", "0602 03 61 e282", "a??" },
	{ "right-to-left override", "0602 05 61 e280ae 62", "a?b" },
	{ "zero width", "0602 05 61 e2808b 62", "a?b" },
	{ "isolate", "0602 05 61 e281a6 62", "a?b" },
	{ "byte order mark", "0602 05 61 efbbbf 62", "a?b" },
	{ "length runs over", "0602 06 6162", "" },
	{ "octets behind it", "0602 02 6162 63", "ab" },
	{ "not for other subcodes", "0603 02 6162", "" },
	{ "not for other codes", "0302 02 6162", "" },
	{ "inside a hard reset", "0609 0602 02 6162", "ab" },
	{ "a hard reset of something else", "0609 0300 02 6162", "" },
};

START_TEST(shutdown_text)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t buf[512];
		size_t len = message_from_hex(buf, sizeof(buf), BGP_NOTIFICATION, texts[i].body);
		struct bgp_notification n;
		struct bgp_error e;

		ck_assert_int_eq(bgp_notification_decode(buf, len, &n, &e), 0);
		ck_assert_msg(!strcmp(n.shutdown_text, texts[i].text), "%s: \"%s\"", texts[i].name,
			      n.shutdown_text);
	}
}
END_TEST

/* RFC 9003: up to 255 octets. */
START_TEST(longest_text)
{
	uint8_t buf[512], data[256];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_notification n;
	struct bgp_error e;

	memset(data, 'x', sizeof(data));
	data[0] = 255;
	bgp_notification_encode(&w, BERR_CEASE, CEASE_SHUTDOWN, data, sizeof(data));
	ck_assert_int_eq(bgp_notification_decode(buf, w.len, &n, &e), 0);
	ck_assert_uint_eq(strlen(n.shutdown_text), 255);
}
END_TEST

START_TEST(round_trip)
{
	static const uint8_t data[] = { 1, 2, 3 };
	uint8_t buf[64], type;
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_notification n;
	struct bgp_error e;

	bgp_notification_encode(&w, BERR_OPEN, OPEN_HOLD, data, sizeof(data));
	ck_assert_int_eq(bgp_header_check(buf, w.len, BGP_MAX, &type, &e), 24);
	ck_assert_uint_eq(type, BGP_NOTIFICATION);
	ck_assert_int_eq(bgp_notification_decode(buf, w.len, &n, &e), 0);
	ck_assert_uint_eq(n.code, BERR_OPEN);
	ck_assert_uint_eq(n.subcode, OPEN_HOLD);
	ck_assert_uint_eq(n.data_len, 3);
	ck_assert_mem_eq(n.data, data, 3);
}
END_TEST

START_TEST(too_short)
{
	uint8_t buf[64];
	size_t len = message_from_hex(buf, sizeof(buf), BGP_NOTIFICATION, "06");
	struct bgp_notification n;
	struct bgp_error e;

	ck_assert_int_eq(bgp_notification_decode(buf, len, &n, &e), -1);
	ck_assert_uint_eq(e.code, BERR_HEADER);
	ck_assert_uint_eq(e.subcode, HEADER_LENGTH);
}
END_TEST

START_TEST(names)
{
	static const struct {
		uint8_t code, subcode;
		const char *name;
	} cases[] = {
		{ 6, 2, "Cease/Administrative Shutdown" },
		{ 6, 7, "Cease/Connection Collision Resolution" },
		{ 4, 0, "Hold Timer Expired" },
		{ 2, 6, "OPEN Message Error/Unacceptable Hold Time" },
		{ 3, 11, "UPDATE Message Error/Malformed AS_PATH" },
		{ 3, 7, "UPDATE Message Error/7" },
		{ 7, 1, "ROUTE-REFRESH Message Error/Invalid Message Length" },
		{ 8, 0, "Send Hold Timer Expired" },
		{ 6, 200, "Cease/200" },
		{ 0, 0, "error 0/0" },
		{ 99, 1, "error 99/1" },
	};
	char buf[96], tiny[6];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(bgp_error_name(cases[i].code, cases[i].subcode, buf, sizeof(buf)),
				 cases[i].name);
	ck_assert_str_eq(bgp_error_name(6, 2, tiny, sizeof(tiny)), "Cease");
}
END_TEST

UNIT_MAIN("wire_notification", shutdown_text, longest_text, round_trip, too_short, names)
