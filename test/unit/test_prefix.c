#include "config.h"

#include "test/unit/unit.h"

#include <netinet/in.h>
#include <string.h>

#include "lib/prefix.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct addr A(const char *text) {
	struct addr a;

	ck_assert_msg(!addr_parse(text, &a), "%s", text);
	return a;
}

static struct prefix
P(const char *text) {
	struct prefix p;

	memset(&p, 0xaa, sizeof(p));
	ck_assert_msg(!prefix_parse(text, &p), "%s", text);
	return p;
}

/* in -> out; NULL: no address. RFC 5952 section 4. */
static const struct {
	const char *in, *out;
} addresses[] = {
	{ "10.0.0.1", "10.0.0.1" },
	{ "0.0.0.0", "0.0.0.0" },
	{ "255.255.255.255", "255.255.255.255" },
	{ "::", "::" },
	{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
	{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
	{ "", NULL },
	{ "10.0.0", NULL },
	{ "10.0.0.256", NULL },
	{ "10.0.0.1 ", NULL },
	{ " 10.0.0.1", NULL },
	{ "010.0.0.1", NULL },
	{ "10.0.0.1/24", NULL },
	{ "fe80::1%eth0", NULL },
	{ "[::1]", NULL },
	{ "1::2::3", NULL },
	{ "host", NULL },
};

START_TEST(address_text)
{
	char buf[ADDR_STRLEN];
	struct addr a, none = { 0 };

	for (size_t i = 0; i < COUNT(addresses); i++) {
		int rc = addr_parse(addresses[i].in, &a);

		ck_assert_msg(rc == (addresses[i].out ? 0 : -1), "'%s'", addresses[i].in);
		if (!rc)
			ck_assert_str_eq(addr_format(&a, buf, sizeof(buf)), addresses[i].out);
	}
	ck_assert_str_eq(addr_format(&none, buf, sizeof(buf)), "-");
}
END_TEST

static const struct {
	const char *in, *out;
} prefixes[] = {
	{ "10.0.0.0/8", "10.0.0.0/8" },
	{ "10.0.0.1/24", "10.0.0.1/24" },
	{ "10.0.0.1", "10.0.0.1/32" },
	{ "0.0.0.0/0", "0.0.0.0/0" },
	{ "2001:db8::/32", "2001:db8::/32" },
	{ "::1", "::1/128" },
	{ "::/0", "::/0" },
	{ "::/128", "::/128" },
	{ "10.0.0.0/33", NULL },
	{ "::/129", NULL },
	{ "10.0.0.0/", NULL },
	{ "10.0.0.0/-1", NULL },
	{ "10.0.0.0/+8", NULL },
	{ "10.0.0.0/ 8", NULL },
	{ "10.0.0.0/8 ", NULL },
	{ "10.0.0.0/08", NULL },
	{ "10.0.0.0/8/8", NULL },
	{ "10.0.0.0/99999999999999999999", NULL },
	{ "/8", NULL },
	{ "", NULL },
	{ "10.0.0.0/a", NULL },
	{ "10/8", NULL },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1", NULL },
};

START_TEST(prefix_text)
{
	char buf[PREFIX_STRLEN];
	struct prefix p, none = { 0 };

	for (size_t i = 0; i < COUNT(prefixes); i++) {
		int rc = prefix_parse(prefixes[i].in, &p);

		ck_assert_msg(rc == (prefixes[i].out ? 0 : -1), "'%s'", prefixes[i].in);
		if (!rc)
			ck_assert_str_eq(prefix_format(&p, buf, sizeof(buf)), prefixes[i].out);
	}
	ck_assert_str_eq(prefix_format(&none, buf, sizeof(buf)), "-");
}
END_TEST

/* memcmp, hashing and copies rely on it. */
START_TEST(bytes_behind_the_family_are_zero)
{
	struct prefix p = P("10.1.2.3/32");
	uint8_t raw[16];
	struct addr a;

	memset(raw, 0xff, sizeof(raw));
	ck_assert_mem_eq(p.addr.b, "\x0a\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	a = addr_make(FAM_V4, raw);
	ck_assert_mem_eq(a.b, "\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	a = addr_make(FAM_NONE, raw);
	ck_assert_mem_eq(a.b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	a = addr_v4(0x0a000001);
	ck_assert(addr_eq(&a, &(struct addr){ FAM_V4, { 10, 0, 0, 1 } }));
	ck_assert_uint_eq(addr_to_u32(&a), 0x0a000001);
}
END_TEST

START_TEST(masks)
{
	static const char *const rows[][2] = {
		{ "10.1.2.3/24", "10.1.2.0/24" },
		{ "10.1.2.3/32", "10.1.2.3/32" },
		{ "255.255.255.255/0", "0.0.0.0/0" },
		{ "255.255.255.255/9", "255.128.0.0/9" },
		{ "255.255.255.255/31", "255.255.255.254/31" },
		{ "2001:db8::1/64", "2001:db8::/64" },
		{ "ffff::ffff/1", "8000::/1" },
		{ "::1/128", "::1/128" },
		{ "ff::ff/127", "ff::fe/127" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct prefix p = P(rows[i][0]), want = P(rows[i][1]), got = prefix_mask(&p);

		ck_assert_msg(prefix_eq(&got, &want), "%s", rows[i][0]);
		ck_assert_int_eq(prefix_has_host_bits(&p), strcmp(rows[i][0], rows[i][1]) != 0);
		ck_assert(!prefix_has_host_bits(&got));
	}
}
END_TEST

START_TEST(containment)
{
	static const struct {
		const char *net, *sub;
		bool covers, overlaps;
	} rows[] = {
		{ "10.0.0.0/8", "10.1.0.0/16", true, true },
		{ "10.1.0.0/16", "10.0.0.0/8", false, true },
		{ "10.0.0.0/8", "10.0.0.0/8", true, true },
		{ "10.0.0.0/9", "10.128.0.0/9", false, false },
		{ "0.0.0.0/0", "192.0.2.1/32", true, true },
		{ "0.0.0.0/0", "::/0", false, false },
		{ "::/0", "10.0.0.0/8", false, false },
		{ "2001:db8::/32", "2001:db8:ffff::/48", true, true },
		{ "2001:db8::/33", "2001:db8:8000::/33", false, false },
		{ "10.0.0.5/24", "10.0.0.9/32", true, true },
		{ "1.2.3.4/32", "1.2.3.4/32", true, true },
		{ "1.2.3.4/32", "1.2.3.5/32", false, false },
	};
	struct prefix none = { 0 };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct prefix n = P(rows[i].net), s = P(rows[i].sub);

		ck_assert_msg(prefix_covers(&n, &s) == rows[i].covers, "row %zu", i);
		ck_assert_msg(prefix_overlaps(&n, &s) == rows[i].overlaps, "row %zu", i);
		ck_assert_msg(prefix_overlaps(&s, &n) == rows[i].overlaps, "row %zu", i);
	}
	ck_assert(!prefix_contains(&none, &none.addr));
}
END_TEST

START_TEST(order)
{
	static const char *const sorted[] = { "0.0.0.0/0",  "9.0.0.0/8",   "10.0.0.0/8",
					      "10.0.0.0/9", "200.0.0.0/8", "::/0",
					      "::/1",	    "::1/128",	   "2001::/16" };

	for (size_t i = 0; i < COUNT(sorted); i++)
		for (size_t k = 0; k < COUNT(sorted); k++) {
			struct prefix a = P(sorted[i]), b = P(sorted[k]);
			int c = prefix_cmp(&a, &b);

			ck_assert_int_eq(c < 0 ? -1 : c > 0, i < k ? -1 : i > k);
			ck_assert_int_eq(prefix_eq(&a, &b), i == k);
		}
}
END_TEST

START_TEST(sizes_and_offsets)
{
	static const struct {
		const char *net;
		uint64_t size;
		const char *addr;
		uint64_t offset;
	} rows[] = {
		{ "10.0.0.64/26", 64, "10.0.0.127", 63 },
		{ "10.0.0.70/26", 64, "10.0.0.70", 6 },
		{ "10.0.0.0/32", 1, "10.0.0.0", 0 },
		{ "0.0.0.0/0", UINT64_C(1) << 32, "255.255.255.255", UINT32_MAX },
		{ "10.0.0.0/24", 256, "10.0.1.0", UINT64_MAX },
		{ "10.0.0.0/24", 256, "::1", UINT64_MAX },
		{ "2001:db8::40/122", 64, "2001:db8::7f", 63 },
		{ "2001:db8::/65", UINT64_C(1) << 63, "2001:db8::1", 1 },
		{ "2001:db8::/64", UINT64_MAX, "2001:db8::ffff:ffff:ffff:ffff", UINT64_MAX },
		{ "2001:db8::/48", UINT64_MAX, "2001:db8::5", 5 },
		{ "2001:db8::/48", UINT64_MAX, "2001:db8:0:1::", UINT64_MAX },
		{ "::/0", UINT64_MAX, "::", 0 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct prefix n = P(rows[i].net);
		struct addr a = A(rows[i].addr);

		ck_assert_msg(prefix_size(&n) == rows[i].size, "row %zu", i);
		ck_assert_msg(prefix_offset(&n, &a) == rows[i].offset, "row %zu", i);
	}
}
END_TEST

START_TEST(adding)
{
	static const struct {
		const char *a;
		uint64_t n;
		const char *sum;
	} rows[] = {
		{ "10.0.0.255", 1, "10.0.1.0" },
		{ "255.255.255.255", 1, "0.0.0.0" },
		{ "10.0.0.0", UINT64_C(1) << 32, "10.0.0.0" },
		{ "2001:db8::ffff", 1, "2001:db8::1:0" },
		{ "2001:db8::ffff:ffff:ffff:ffff", 1, "2001:db8:0:1::" },
		{ "2001:db8::1", UINT64_MAX, "2001:db8:0:1::" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2, "::1" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = A(rows[i].a), want = A(rows[i].sum);
		struct addr got = addr_add(&a, rows[i].n);

		ck_assert_msg(addr_eq(&got, &want), "row %zu", i);
	}
}
END_TEST

START_TEST(kinds_of_addresses)
{
	static const struct {
		const char *a;
		bool martian, linklocal;
	} rows[] = {
		{ "0.0.0.0", true, false },
		{ "127.0.0.1", true, false },
		{ "224.0.0.5", true, false },
		{ "240.0.0.1", true, false },
		{ "255.255.255.255", true, false },
		{ "223.255.255.255", false, false },
		{ "10.0.0.1", false, false },
		{ "169.254.1.1", false, true },
		{ "169.253.1.1", false, false },
		{ "::", true, false },
		{ "::1", true, false },
		{ "::2", false, false },
		{ "ff02::1", true, false },
		{ "fe80::1", false, true },
		{ "febf::1", false, true },
		{ "fec0::1", false, false },
		{ "2001:db8::1", false, false },
	};
	struct addr none = { 0 };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = A(rows[i].a);

		ck_assert_msg(addr_is_martian(&a) == rows[i].martian, "%s", rows[i].a);
		ck_assert_msg(addr_is_linklocal(&a) == rows[i].linklocal, "%s", rows[i].a);
	}
	ck_assert(addr_is_martian(&none) && !addr_is_linklocal(&none));
}
END_TEST

START_TEST(socket_addresses)
{
	static const char *const texts[] = { "192.0.2.7", "fe80::7" };
	struct sockaddr_storage ss;
	struct addr a, b, none = { 0 };
	uint32_t scope;
	uint16_t port;

	for (size_t i = 0; i < COUNT(texts); i++) {
		a = A(texts[i]);
		ck_assert_uint_eq(addr_to_sockaddr(&a, 179, 3, &ss),
				  i ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		ck_assert(!addr_from_sockaddr((struct sockaddr *)&ss, &b, &port, &scope));
		ck_assert(addr_eq(&a, &b));
		ck_assert_uint_eq(port, 179);
		ck_assert_uint_eq(scope, i ? 3 : 0);
	}
	a = A("::ffff:192.0.2.7");
	addr_to_sockaddr(&a, 1, 0, &ss);
	ck_assert(!addr_from_sockaddr((struct sockaddr *)&ss, &b, NULL, NULL));
	a = A("192.0.2.7");
	ck_assert(addr_eq(&a, &b));
	ck_assert_uint_eq(addr_to_sockaddr(&none, 1, 0, &ss), 0);
	ck_assert_int_eq(addr_from_sockaddr((struct sockaddr *)&ss, &b, NULL, NULL), -1);
}
END_TEST

/* A table that is half full of a pod network's host routes must not pile them up. */
START_TEST(hashes_spread)
{
	enum { N = 8192, SLOTS = 16384 };
	static uint8_t slots[2][SLOTS];
	struct prefix v4 = P("10.0.0.0/32"), v6 = P("2001:db8::/128"), other = P("10.0.0.0/31");
	unsigned worst = 0;

	ck_assert_uint_ne(prefix_hash(&v4), prefix_hash(&other));
	ck_assert_uint_eq(addr_hash(&v4.addr), addr_hash(&other.addr));
	for (unsigned i = 0; i < N; i++) {
		struct prefix a = { addr_add(&v4.addr, i), 32 };
		struct prefix b = { addr_add(&v6.addr, (uint64_t)i << 16), 128 };

		slots[0][prefix_hash(&a) % SLOTS]++;
		slots[1][prefix_hash(&b) % SLOTS]++;
	}
	for (unsigned i = 0; i < SLOTS; i++)
		for (int k = 0; k < 2; k++)
			if (slots[k][i] > worst)
				worst = slots[k][i];
	/* Random placement gives 6 or 7 in the fullest slot. */
	ck_assert_uint_le(worst, 9);
}
END_TEST

UNIT_MAIN("prefix", address_text, prefix_text, bytes_behind_the_family_are_zero, masks, containment,
	  order, sizes_and_offsets, adding, kinds_of_addresses, socket_addresses, hashes_spread)
