#include "wire_util.h"

/* version, AS 65001, hold 90, id 10.0.0.1 */
#define FIXED "04 fde9 005a 0a000001 "
#define V4    FAMILY_BIT(FAM_V4)
#define V6    FAMILY_BIT(FAM_V6)

struct open_row {
	const char *name, *body;
	struct bgp_open want;
};

#define OPEN(...)                                                                                  \
	{                                                                                          \
		.asn = 65001, .hold_time = 90, .id = 0x0a000001, .caps = { __VA_ARGS__ }           \
	}

static const struct open_row good[] = {
	{ "no parameters", FIXED "00", OPEN(.mp = V4) },
	{ "hold time 0",
	  "04 fde9 0000 0a000001 00",
	  { .asn = 65001, .id = 0x0a000001, .caps = { .mp = V4 } } },
	{ "hold time 3",
	  "04 fde9 0003 0a000001 00",
	  { .asn = 65001, .hold_time = 3, .id = 0x0a000001, .caps = { .mp = V4 } } },
	{ "two families", FIXED "0e 020c 0104 0001 00 01 0104 0002 00 01", OPEN(.mp = V4 | V6) },
	{ "one parameter each", FIXED "10 0206 0104 0001 00 01 0206 0104 0002 00 01",
	  OPEN(.mp = V4 | V6) },
	/* RFC 4760 section 8: what it lists is what it speaks. */
	{ "a family of others only", FIXED "08 0206 0104 0019 00 46", OPEN(.mp = 0) },
	{ "IPv6 multicast", FIXED "08 0206 0104 0002 00 02", OPEN(.mp = 0) },
	{ "4-octet AS",
	  "04 5ba0 005a 0a000001 08 0206 4104 00011170",
	  { .asn = 70000, .hold_time = 90, .id = 0x0a000001, .caps = { .mp = V4, .as4 = true } } },
	{ "refresh", FIXED "06 0204 0200 4600",
	  OPEN(.mp = V4, .route_refresh = true, .enhanced_refresh = true) },
	{ "extended next hop and messages", FIXED "0c 020a 0506 0001 0001 0002 0600",
	  OPEN(.mp = V4, .ext_nexthop = V4, .extended_messages = true) },
	{ "extended next hop of another family", FIXED "0a 0208 0506 0001 0080 0002",
	  OPEN(.mp = V4) },
	{ "graceful restart", FIXED "0e 020c 400a c078 0001 01 80 0002 01 00",
	  OPEN(.mp = V4, .gr = true, .gr_restarting = true, .gr_notification = true, .gr_time = 120,
	       .gr_families = V4 | V6, .gr_forwarding = V4) },
	{ "graceful restart twice: the last counts", FIXED "0e 020c 4006 8001 0001 01 80 4002 0fff",
	  OPEN(.mp = V4, .gr = true, .gr_time = 4095) },
	{ "add-path", FIXED "0c 020a 4508 0001 01 03 0002 01 01",
	  OPEN(.mp = V4, .add_path_send = V4, .add_path_receive = V4 | V6) },
	{ "add-path with another value", FIXED "0c 020a 4508 0001 01 04 0002 01 02",
	  OPEN(.mp = V4, .add_path_send = V6) },
	{ "unknown capability", FIXED "07 0205 fe03 010203", OPEN(.mp = V4) },
	{ "role and FQDN are passed over", FIXED "0a 0208 0901 00 4903 026e31", OPEN(.mp = V4) },
	/* RFC 9072 */
	{ "extended parameters", FIXED "ff ff 0009 02 0006 0104 0002 00 01", OPEN(.mp = V6) },
	{ "extended parameters, short length", FIXED "01 ff 0009 02 0006 0104 0002 00 01",
	  OPEN(.mp = V6) },
};

static const struct {
	const char *name, *body;
	uint8_t code, subcode;
	const char *text;
} bad[] = {
	{ "version 3", "03 fde9 005a 0a000001 00", BERR_OPEN, OPEN_VERSION, "version 3" },
	{ "AS 0", "04 0000 005a 0a000001 00", BERR_OPEN, OPEN_PEER_AS, "AS number 0" },
	{ "AS 0 as 4 octets", "04 5ba0 005a 0a000001 08 0206 4104 00000000", BERR_OPEN,
	  OPEN_PEER_AS, "AS number 0" },
	{ "hold 1", "04 fde9 0001 0a000001 00", BERR_OPEN, OPEN_HOLD, "hold time 1 s" },
	{ "hold 2", "04 fde9 0002 0a000001 00", BERR_OPEN, OPEN_HOLD, "hold time 2 s" },
	{ "id 0", "04 fde9 005a 00000000 00", BERR_OPEN, OPEN_ID, "0.0.0.0" },
	{ "authentication", FIXED "03 0101 00", BERR_OPEN, OPEN_PARAM, "parameter 1" },
	{ "parameters longer than the message", FIXED "08 0204 0200", BERR_OPEN, 0, "announced" },
	{ "parameters shorter than the message", FIXED "04 0204 0200 4600", BERR_OPEN, 0,
	  "announced" },
	{ "a parameter runs over", FIXED "04 0206 0200", BERR_OPEN, 0, "runs past" },
	{ "half a parameter", FIXED "01 02", BERR_OPEN, 0, "runs past" },
	{ "a capability runs over", FIXED "04 0202 0204", BERR_OPEN, 0, "capability 2" },
	{ "half a capability", FIXED "03 0201 02", BERR_OPEN, 0, "capability 2" },
	{ "a short multiprotocol", FIXED "05 0203 0101 00", BERR_OPEN, 0, "multiprotocol" },
	{ "a short AS", FIXED "06 0204 4102 fde9", BERR_OPEN, 0, "4-octet AS" },
	{ "an odd add-path", FIXED "07 0205 4503 0001 01", BERR_OPEN, 0, "add-path" },
	{ "an odd graceful restart", FIXED "07 0205 4003 0078 00", BERR_OPEN, 0, "graceful" },
	{ "refresh with a value", FIXED "05 0203 0201 00", BERR_OPEN, 0, "route refresh" },
	{ "extended length is wrong", FIXED "ff ff 000a 02 0006 0104 0002 00 01", BERR_OPEN, 0,
	  "announced" },
	{ "too short", "04 fde9 005a 0a0000", BERR_HEADER, HEADER_LENGTH, "too few" },
};

static void check_same(const char *name, const struct bgp_open *a, const struct bgp_open *b)
{
	const struct bgp_caps *c = &a->caps, *d = &b->caps;

	ck_assert_msg(a->asn == b->asn, "%s: AS %u, not %u", name, a->asn, b->asn);
	ck_assert_msg(a->hold_time == b->hold_time, "%s: hold time %u", name, a->hold_time);
	ck_assert_msg(a->id == b->id, "%s: id", name);
	ck_assert_msg(c->mp == d->mp, "%s: families %u, not %u", name, c->mp, d->mp);
	ck_assert_msg(c->route_refresh == d->route_refresh &&
			      c->enhanced_refresh == d->enhanced_refresh && c->as4 == d->as4 &&
			      c->extended_messages == d->extended_messages,
		      "%s: flags", name);
	ck_assert_msg(c->ext_nexthop == d->ext_nexthop, "%s: next hop", name);
	ck_assert_msg(c->gr == d->gr && c->gr_restarting == d->gr_restarting &&
			      c->gr_notification == d->gr_notification &&
			      c->gr_time == d->gr_time && c->gr_families == d->gr_families &&
			      c->gr_forwarding == d->gr_forwarding,
		      "%s: graceful restart", name);
	ck_assert_msg(c->add_path_send == d->add_path_send &&
			      c->add_path_receive == d->add_path_receive,
		      "%s: add-path", name);
}

START_TEST(open_good)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t buf[256];
		size_t len = message_from_hex(buf, sizeof(buf), BGP_OPEN, good[i].body);
		struct bgp_open got;
		struct bgp_error e = { 0 };

		ck_assert_msg(bgp_open_decode(buf, len, &got, &e) == 0, "%s: %s", good[i].name,
			      e.text);
		check_same(good[i].name, &got, &good[i].want);
	}
}
END_TEST

START_TEST(open_bad)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t buf[256];
		size_t len = message_from_hex(buf, sizeof(buf), BGP_OPEN, bad[i].body);
		struct bgp_open got;
		struct bgp_error e = { 0 };

		ck_assert_msg(bgp_open_decode(buf, len, &got, &e) == -1, "%s: taken", bad[i].name);
		ck_assert_msg(e.code == bad[i].code && e.subcode == bad[i].subcode, "%s: %u/%u",
			      bad[i].name, e.code, e.subcode);
		ck_assert_msg(strstr(e.text, bad[i].text), "%s: \"%s\"", bad[i].name, e.text);
	}
}
END_TEST

/* RFC 4271 section 6.2: the largest version that we speak. */
START_TEST(open_version_data)
{
	uint8_t buf[64];
	size_t len = message_from_hex(buf, sizeof(buf), BGP_OPEN, "05 fde9 005a 0a000001 00");
	struct bgp_open got;
	struct bgp_error e;

	ck_assert_int_eq(bgp_open_decode(buf, len, &got, &e), -1);
	ck_assert_uint_eq(e.data_len, 2);
	ck_assert_uint_eq(e.data[0], 0);
	ck_assert_uint_eq(e.data[1], 4);
}
END_TEST

/* Every row's structure survives being written and read. */
START_TEST(open_round_trip)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t buf[256], type;
		struct wr w = wr_over(buf, sizeof(buf));
		struct bgp_open want = good[i].want, got;
		struct bgp_error e = { 0 };

		if (!want.caps.mp)
			continue; /* cannot be said without a foreign family */
		bgp_open_encode(&w, &want);
		ck_assert(!w.full);
		ck_assert_int_eq(bgp_header_check(buf, w.len, BGP_MAX, &type, &e), (int)w.len);
		ck_assert_msg(bgp_open_decode(buf, w.len, &got, &e) == 0, "%s: %s", good[i].name,
			      e.text);
		check_same(good[i].name, &got, &want);
	}
}
END_TEST

START_TEST(open_as_trans)
{
	uint8_t buf[256];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_open open = { .asn = 4200000000u, .hold_time = 9, .id = 1 };

	open.caps.mp = V4 | V6;
	open.caps.as4 = true;
	bgp_open_encode(&w, &open);
	ck_assert_uint_eq(buf[20] << 8 | buf[21], AS_TRANS);
}
END_TEST

START_TEST(open_without_capabilities)
{
	uint8_t buf[64], want[64];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_open open = { .asn = 65001, .hold_time = 90, .id = 0x0a000001 };
	size_t len = message_from_hex(want, sizeof(want), BGP_OPEN, FIXED "00");

	bgp_open_encode(&w, &open);
	ck_assert_uint_eq(w.len, len);
	ck_assert_mem_eq(buf, want, len);
}
END_TEST

UNIT_MAIN("wire_open", open_good, open_bad, open_version_data, open_round_trip, open_as_trans,
	  open_without_capabilities)
