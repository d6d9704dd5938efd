/* What bgpd was told, kept on disk: round trip, passwords stay out, damage is refused. */
#include "config.h"

#include <string.h>

#include "felix/bgp_saved.h"
#include "test/unit/unit.h"

static struct m_bgp_peer peers[3];
static struct prefix prefixes[2];
static struct m_bgp_origin origin;
static struct bgpconf conf;

static const struct bgpconf *sample(void)
{
	memset(&conf, 0, sizeof(conf));
	for (unsigned i = 0; i < 3; i++) {
		peers[i] = (struct m_bgp_peer){
			.name = "p", .interface = "", .password = "", .asn = 65000 + i
		};
		ck_assert_int_eq(addr_parse("192.0.2.1", &peers[i].address), 0);
		peers[i].source.fam = FAM_NONE;
	}
	peers[1].password = "secret";
	ck_assert_int_eq(prefix_parse("10.0.0.0/26", &prefixes[0]), 0);
	ck_assert_int_eq(prefix_parse("fd00::/122", &prefixes[1]), 0);
	origin = (struct m_bgp_origin){ .kind = ORIGIN_BLOCK, .prefixes = { 2, prefixes } };
	conf.begin.asn = 64512;
	conf.peers = peers;
	conf.npeers = 3;
	conf.origins = &origin;
	conf.norigins = 1;
	return &conf;
}

START_TEST(round_trip)
{
	size_t len;
	unsigned left_out;
	struct err err;
	uint8_t *buf = bgp_saved_encode(sample(), &len, &left_out);
	struct bgpconf *c = bgp_saved_decode(buf, len, &err);

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(left_out, 1);
	ck_assert_uint_eq(c->begin.asn, 64512);
	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_uint_eq(c->peers[0].asn, 65000);
	ck_assert_uint_eq(c->peers[1].asn, 65002);
	ck_assert_uint_eq(c->norigins, 1);
	ck_assert_uint_eq(c->origins[0].prefixes.n, 2);
	ck_assert(prefix_eq(&c->origins[0].prefixes.v[1], &prefixes[1]));
	ck_assert_ptr_null(memmem(buf, len, "secret", 6));
	bgpconf_free(c);
	free(buf);
}
END_TEST

START_TEST(damage_is_refused)
{
	size_t len;
	unsigned left_out;
	struct err err;
	uint8_t *buf = bgp_saved_encode(sample(), &len, &left_out);

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_ptr_null(bgp_saved_decode(buf, cut, &err));
	for (size_t i = 0; i < len; i++) {
		buf[i] ^= 0x10;
		ck_assert_ptr_null(bgp_saved_decode(buf, len, &err));
		buf[i] ^= 0x10;
	}
	free(buf);
}
END_TEST

UNIT_MAIN("bgp_saved", round_trip, damage_is_refused)
