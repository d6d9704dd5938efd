#include "wire_util.h"

START_TEST(standard)
{
	static const struct {
		uint32_t value;
		const char *text;
	} rows[] = {
		{ 0xfde90064, "65001:100" },	     { 0, "0:0" },
		{ 0xffff0000, "graceful-shutdown" }, { 0xffffff01, "no-export" },
		{ 0xffffff02, "no-advertise" },	     { 0xffffff03, "no-export-subconfed" },
		{ 0xffffff04, "no-peer" },	     { 0xffff029a, "blackhole" },
		{ 0xffff0006, "llgr-stale" },	     { 0xffff0007, "no-llgr" },
		{ 0xffffffff, "65535:65535" },
	};
	char buf[32];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(community_format(rows[i].value, buf, sizeof(buf)), rows[i].text);
	ck_assert_uint_eq((uint32_t)COMM_GRACEFUL_SHUTDOWN, 0xffff0000);
	ck_assert_uint_eq((uint32_t)COMM_NO_EXPORT_SUBCONFED, 0xffffff03);
}
END_TEST

START_TEST(large)
{
	uint8_t p[12];
	struct wr w = wr_over(p, sizeof(p));
	char buf[48];

	wr_hex(&w, "0000fde9 00000001 ffffffff");
	ck_assert_str_eq(large_community_format(p, buf, sizeof(buf)), "65001:1:4294967295");
}
END_TEST

START_TEST(extended)
{
	static const struct {
		const char *hex, *text;
	} rows[] = {
		{ "0002 fde9 00000064", "rt:65001:100" },
		{ "0003 fde9 00000064", "soo:65001:100" },
		{ "0102 0a000001 0064", "rt:10.0.0.1:100" },
		{ "0103 0a000001 0064", "soo:10.0.0.1:100" },
		{ "0202 00011170 0064", "rt:70000:100" },
		{ "0203 00011170 0064", "soo:70000:100" },
		/* 1.25e9 octets a second */
		{ "4004 fde9 4e9502f9", "bandwidth:65001:1250000000" },
		{ "030c 000000000000", "0x030c000000000000" },
		{ "4302 fde9 00000064", "0x4302fde900000064" },
		{ "0099 fde9 00000064", "0x0099fde900000064" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t p[8];
		struct wr w = wr_over(p, sizeof(p));
		char buf[64];

		wr_hex(&w, rows[i].hex);
		ck_assert_str_eq(ext_community_format(p, buf, sizeof(buf)), rows[i].text);
	}
}
END_TEST

START_TEST(has)
{
	static const uint8_t list[] = { 0xfd, 0xe9, 0, 100, 0xff, 0xff, 0xff, 0x01 };
	struct blob b = { list, sizeof(list) };

	ck_assert(community_has(b, 0xfde90064));
	ck_assert(community_has(b, (uint32_t)COMM_NO_EXPORT));
	ck_assert(!community_has(b, (uint32_t)COMM_NO_ADVERTISE));
	/* Not across two of them. */
	ck_assert(!community_has(b, 0x0064ffff));
	ck_assert(!community_has((struct blob){ NULL, 0 }, 0));
}
END_TEST

UNIT_MAIN("wire_community", standard, large, extended, has)
