#include "config.h"

#include <string.h>

#include "ipam/journal_format.h"
#include "unit.h"

static struct jrec alloc_rec(uint64_t seq, uint64_t durable)
{
	struct jrec r = {
		.type = JREC_ALLOC,
		.seq = seq,
		.durable = durable,
		.network = "selvage",
		.container_id = "3f2504e04f8911d39a0c0305e82c3301",
		.ifname = "eth0",
		.namespace_ = "default",
		.pod = "web-0",
		.host_ifname = "cali0123456789a",
		.state = 1,
		.naddrs = 2,
		.time = 1700000000,
	};
	r.addrs[0] = addr_v4(0x0a000001);
	ck_assert_int_eq(addr_parse("fd00::1", &r.addrs[1]), 0);
	return r;
}

START_TEST(crc_is_castagnoli)
{
	/* RFC 3720 section B.4 and the usual check value. */
	uint8_t zeros[32] = { 0 }, ones[32], up[32];

	for (int i = 0; i < 32; i++) {
		ones[i] = 0xff;
		up[i] = (uint8_t)i;
	}
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, zeros, 32), 0x8a9136aa);
	ck_assert_uint_eq(crc32c(0, ones, 32), 0x62a8ab43);
	ck_assert_uint_eq(crc32c(0, up, 32), 0x46dd794e);
	ck_assert_uint_eq(crc32c(crc32c(0, "12345", 5), "6789", 4), 0xe3069283);
}
END_TEST

START_TEST(header_round_trip)
{
	struct jhdr h = { JOURNAL_VERSION, 77, 1700000000, "0f2c5d0e-9a3e-4d7a-8a53-3c3f0c0b5f11" };
	struct jhdr back;
	uint8_t buf[JHDR_SIZE];

	jhdr_encode(&h, buf);
	ck_assert_int_eq(jhdr_decode(buf, sizeof(buf), &back), 0);
	ck_assert_uint_eq(back.version, JOURNAL_VERSION);
	ck_assert_uint_eq(back.first_seq, 77);
	ck_assert_uint_eq(back.created, 1700000000);
	ck_assert_str_eq(back.boot_id, h.boot_id);
	ck_assert_int_eq(jhdr_decode(buf, sizeof(buf) - 1, &back), -1);
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] ^= 0x20;
		ck_assert_int_eq(jhdr_decode(buf, sizeof(buf), &back), -1);
		buf[i] ^= 0x20;
	}
}
END_TEST

START_TEST(every_type_round_trips)
{
	uint8_t buf[JREC_MAX];
	struct jrec in = alloc_rec(9, 7), out;

	ck_assert_int_eq(prefix_parse("10.0.0.64/26", &in.cidr), 0);
	ck_assert_int_eq(prefix_parse("10.0.0.0/16", &in.pool), 0);
	in.flags = JBLOCK_OURS;
	for (in.type = JREC_BLOCK; in.type <= JREC_FREED; in.type++) {
		size_t n = jrec_encode(&in, buf, sizeof(buf));
		ck_assert_uint_gt(n, JREC_HEAD);
		ck_assert_uint_eq(jrec_decode(buf, sizeof(buf), &out), n);
		ck_assert_uint_eq(out.type, in.type);
		ck_assert_uint_eq(out.seq, 9);
		ck_assert_uint_eq(out.durable, 7);
		if (in.type == JREC_BLOCK || in.type == JREC_BLOCK_GONE)
			ck_assert(prefix_eq(&out.cidr, &in.cidr));
		if (in.type == JREC_BLOCK) {
			ck_assert(prefix_eq(&out.pool, &in.pool));
			ck_assert_uint_eq(out.flags, JBLOCK_OURS);
		}
		if (in.type >= JREC_ALLOC && in.type <= JREC_RELEASE) {
			ck_assert_str_eq(out.network, in.network);
			ck_assert_str_eq(out.container_id, in.container_id);
			ck_assert_str_eq(out.ifname, in.ifname);
		}
		if (in.type == JREC_ALLOC || in.type == JREC_READY)
			ck_assert_str_eq(out.host_ifname, in.host_ifname);
		if (in.type == JREC_ALLOC || in.type == JREC_RELEASE || in.type == JREC_FREED)
			ck_assert_uint_eq(out.time, in.time);
		if (in.type == JREC_ALLOC || in.type == JREC_FREED)
			ck_assert(addr_eq(&out.addrs[0], &in.addrs[0]));
		if (in.type == JREC_ALLOC) {
			ck_assert_str_eq(out.namespace_, "default");
			ck_assert_str_eq(out.pod, "web-0");
			ck_assert_uint_eq(out.state, 1);
			ck_assert_uint_eq(out.naddrs, 2);
			ck_assert(addr_eq(&out.addrs[1], &in.addrs[1]));
		}
	}
}
END_TEST

START_TEST(one_wrong_bit_or_short_is_no_record)
{
	uint8_t buf[JREC_MAX];
	struct jrec in = alloc_rec(1, 0), out;
	size_t n = jrec_encode(&in, buf, sizeof(buf));

	for (size_t i = 0; i < n * 8; i++) {
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert_uint_eq(jrec_decode(buf, n, &out), 0);
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < n; len++)
		ck_assert_uint_eq(jrec_decode(buf, len, &out), 0);
	ck_assert_uint_eq(jrec_decode(buf, n, &out), n);
}
END_TEST

START_TEST(too_large_is_refused)
{
	static char name[JREC_MAX + 1];
	uint8_t buf[2 * JREC_MAX];
	struct jrec in = alloc_rec(1, 0);

	memset(name, 'x', sizeof(name) - 1);
	in.pod = name;
	ck_assert_uint_eq(jrec_encode(&in, buf, sizeof(buf)), 0);
	in = alloc_rec(1, 0);
	ck_assert_uint_eq(jrec_encode(&in, buf, 40), 0);
}
END_TEST

struct image {
	uint8_t buf[4096];
	size_t at[8]; /* where each record begins; at[n] is the end */
	struct jhdr h;
};

/* Records 5..5+n-1; durable[i] is what the i-th says of those before. */
static void build(struct image *im, const uint64_t *durable, unsigned n)
{
	memset(im, 0, sizeof(*im));
	im->h = (struct jhdr){ JOURNAL_VERSION, 5, 0, "b" };
	jhdr_encode(&im->h, im->buf);
	im->at[0] = JHDR_SIZE;
	for (unsigned i = 0; i < n; i++) {
		struct jrec r = alloc_rec(5 + i, durable[i]);
		im->at[i + 1] = im->at[i] +
				jrec_encode(&r, im->buf + im->at[i], sizeof(im->buf) - im->at[i]);
	}
}

static enum jend scan(const struct image *im, unsigned *nrecords, size_t *off)
{
	struct jscan s;
	struct jrec r;

	jscan_init(&s, im->buf, sizeof(im->buf), &im->h);
	for (*nrecords = 0; jscan_next(&s, &r); (*nrecords)++)
		ck_assert_uint_eq(r.seq, 5 + *nrecords);
	*off = s.off;
	return jscan_end(&s);
}

START_TEST(scan_tells_torn_from_damaged)
{
	static const uint64_t each_synced[4] = { 4, 5, 6, 7 };
	static const uint64_t one_batch[4] = { 4, 4, 4, 4 };
	struct image im;
	unsigned n;
	size_t off;

	build(&im, each_synced, 4);
	ck_assert_int_eq(scan(&im, &n, &off), JEND_CLEAN);
	ck_assert_uint_eq(n, 4);

	for (unsigned bad = 0; bad < 4; bad++) {
		build(&im, each_synced, 4);
		im.buf[im.at[bad] + 20] ^= 1;
		/* The last may be the torn end of a crash; those before had been durable. */
		ck_assert_int_eq(scan(&im, &n, &off), bad == 3 ? JEND_TORN : JEND_DAMAGED);
		ck_assert_uint_eq(n, bad);
		ck_assert_uint_eq(off, im.at[bad]);

		build(&im, each_synced, 4); /* a lost sector reads as zeros */
		memset(im.buf + im.at[bad], 0, im.at[bad + 1] - im.at[bad]);
		ck_assert_int_eq(scan(&im, &n, &off), bad == 3 ? JEND_CLEAN : JEND_DAMAGED);

		build(&im, one_batch, 4); /* the sectors of one write come in any order */
		memset(im.buf + im.at[bad], 0, im.at[bad + 1] - im.at[bad]);
		ck_assert_int_eq(scan(&im, &n, &off), bad == 3 ? JEND_CLEAN : JEND_TORN);
		ck_assert_uint_eq(n, bad);
	}
}
END_TEST

START_TEST(scan_wants_consecutive_sequences)
{
	static const uint64_t durable[3] = { 4, 4, 4 };
	struct image im;
	unsigned n;
	size_t off;

	build(&im, durable, 3);
	struct jrec stale = alloc_rec(3, 2);
	jrec_encode(&stale, im.buf + im.at[3], sizeof(im.buf) - im.at[3]);
	ck_assert_int_eq(scan(&im, &n, &off), JEND_TORN);
	ck_assert_uint_eq(n, 3);
}
END_TEST

UNIT_MAIN("journal_format", crc_is_castagnoli, header_round_trip, every_type_round_trips,
	  one_wrong_bit_or_short_is_no_record, too_large_is_refused, scan_tells_torn_from_damaged,
	  scan_wants_consecutive_sequences)
