#include "bgpd/wire/attr.h"
#include "wire_util.h"

#define BOTH (FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6))

static uint8_t scratch[2 * BGP_MAX_EXTENDED];

/* Attributes with storage of their own. */
struct sample {
	struct attrs a;
	uint8_t path[2000], lists[4][600], unknown[300];
};

static void random_bytes(uint64_t *rng, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)random_u32(rng);
}

static struct blob random_list(uint64_t *rng, uint8_t *store, unsigned unit, unsigned most)
{
	unsigned n = random_u32(rng) % 3 ? random_u32(rng) % (most + 1) : 0;

	random_bytes(rng, store, (size_t)n * unit);
	return (struct blob){ store, (uint16_t)(n * unit) };
}

static void random_path(uint64_t *rng, struct sample *s, bool wide)
{
	struct wr w = wr_over(s->path, sizeof(s->path));

	for (unsigned seg = random_u32(rng) % 4; seg; seg--) {
		unsigned n = 1 + random_u32(rng) % (random_u32(rng) % 8 ? 6 : 100);

		wr_u8(&w, random_u32(rng) % 4 ? SEG_SEQUENCE : SEG_SET);
		wr_u8(&w, (uint8_t)n);
		while (n--)
			wr_u32(&w, 1 + (wide && random_u32(rng) % 2 ? random_u32(rng) % 4000000000u
								    : random_u32(rng) % 60000));
	}
	s->a.as_path = (struct blob){ s->path, (uint16_t)w.len };
}

static void random_sample(uint64_t *rng, struct sample *s)
{
	struct wr w = wr_over(s->unknown, sizeof(s->unknown));
	uint32_t bits = random_u32(rng);

	s->a = (struct attrs){ 0 };
	s->a.origin = (uint8_t)(bits % 3);
	s->a.has_med = bits & 0x10;
	s->a.has_local_pref = bits & 0x20;
	s->a.atomic_aggregate = bits & 0x40;
	s->a.has_aggregator = bits & 0x80;
	s->a.has_originator = bits & 0x100;
	s->a.med = s->a.has_med ? random_u32(rng) : 0;
	s->a.local_pref = s->a.has_local_pref ? random_u32(rng) : 0;
	s->a.aggregator_as = s->a.has_aggregator ? 1 + random_u32(rng) % 200000 : 0;
	s->a.aggregator_id = s->a.has_aggregator ? random_u32(rng) : 0;
	s->a.originator = s->a.has_originator ? random_u32(rng) : 0;
	random_path(rng, s, true);
	s->a.communities = random_list(rng, s->lists[0], 4, 80);
	s->a.ext_communities = random_list(rng, s->lists[1], 8, 40);
	s->a.large_communities = random_list(rng, s->lists[2], 12, 30);
	s->a.cluster_list = random_list(rng, s->lists[3], 4, 10);
	for (unsigned type = 200; type < 200 + (bits >> 9) % 4; type++) {
		unsigned n = random_u32(rng) % 40;

		wr_attr(&w, AF_OPTIONAL | AF_TRANSITIVE | AF_PARTIAL, (uint8_t)type, n);
		while (n--)
			wr_u8(&w, (uint8_t)random_u32(rng));
	}
	s->a.unknown = (struct blob){ s->unknown, (uint16_t)w.len };
}

static bool blob_same(struct blob a, struct blob b)
{
	return a.len == b.len && (!a.len || !memcmp(a.p, b.p, a.len));
}

static void check_attrs(const struct attrs *a, const struct attrs *b)
{
	ck_assert_uint_eq(a->origin, b->origin);
	ck_assert(a->has_med == b->has_med && a->med == b->med);
	ck_assert(a->has_local_pref == b->has_local_pref && a->local_pref == b->local_pref);
	ck_assert(a->atomic_aggregate == b->atomic_aggregate);
	ck_assert(a->has_aggregator == b->has_aggregator);
	ck_assert_uint_eq(a->aggregator_as, b->aggregator_as);
	ck_assert_uint_eq(a->aggregator_id, b->aggregator_id);
	ck_assert(a->has_originator == b->has_originator && a->originator == b->originator);
	ck_assert(blob_same(a->as_path, b->as_path));
	ck_assert(blob_same(a->communities, b->communities));
	ck_assert(blob_same(a->ext_communities, b->ext_communities));
	ck_assert(blob_same(a->large_communities, b->large_communities));
	ck_assert(blob_same(a->cluster_list, b->cluster_list));
	ck_assert(blob_same(a->unknown, b->unknown));
}

static struct prefix random_prefix(uint64_t *rng, unsigned fam)
{
	struct prefix p = { { .fam = (uint8_t)fam },
			    (uint8_t)(random_u32(rng) % (family_bits(fam) + 1)) };

	random_bytes(rng, p.addr.b, family_bytes(fam));
	/* Nothing that nlri_next() passes over. */
	p.addr.b[0] = fam == FAM_V4 ? 10 : 0x20;
	return prefix_mask(&p);
}

struct entry {
	struct prefix p;
	uint32_t id;
};

enum { ENTRIES = 4000 };
static struct entry entries[ENTRIES];
static uint8_t out[1 << 20], attr[65536];

/* Puts entries into messages; returns how many messages. */
static unsigned build(struct wr *w, const struct bgp_session_ctx *ctx, unsigned fam,
		      const struct bgp_nexthop *nh, size_t attr_len, unsigned n, bool withdraw)
{
	unsigned at = 0, messages = 0;

	while (at < n) {
		struct update_builder b;
		unsigned before = at;

		if (withdraw)
			withdraw_begin(&b, w, ctx, (uint8_t)fam);
		else
			update_begin(&b, w, ctx, (uint8_t)fam, nh, attr, attr_len);
		while (at < n && update_add(&b, &entries[at].p, entries[at].id))
			at++;
		update_end(&b);
		ck_assert_uint_gt(at, before);
		messages++;
	}
	ck_assert(!w->full);
	return messages;
}

/* Reads the messages back: every prefix in order, the same attributes in each, none longer than
 * agreed, and each one full but for the last. */
static void check_messages(const struct wr *w, const struct bgp_session_ctx *ctx, unsigned fam,
			   const struct attrs *a, const struct bgp_nexthop *nh, unsigned n,
			   bool withdraw)
{
	size_t at = 0, last_len = 0;
	unsigned i = 0;

	while (at < w->len) {
		struct bgp_update u;
		struct bgp_error e = { 0 };
		struct nlri *list;
		struct prefix p;
		uint32_t id;
		uint8_t type;
		int len = bgp_header_check(w->buf + at, w->len - at, ctx->max_message, &type, &e);

		ck_assert_msg(len > 0 && type == BGP_UPDATE, "%s", e.text);
		if (last_len) /* the first prefix here had no room in the one before */
			ck_assert_uint_gt(last_len + 1 + (entries[i].p.len + 7u) / 8 +
						  (ctx->add_path ? 4 : 0),
					  ctx->max_message);
		bgp_update_decode(w->buf + at, (size_t)len, ctx, scratch, sizeof(scratch), &u);
		ck_assert_msg(u.outcome == UPDATE_OK, "%s", u.error.text);
		ck_assert(!u.end_of_rib);
		list = withdraw ? u.withdrawn : u.reach;
		list += !list[0].len;
		while (nlri_next(list, &p, &id)) {
			ck_assert_uint_lt(i, n);
			ck_assert(prefix_eq(&p, &entries[i].p));
			ck_assert_uint_eq(id, ctx->add_path ? entries[i].id : 0);
			i++;
		}
		if (!withdraw) {
			struct bgp_nexthop *got = &u.nexthop[u.reach[0].fam ? 0 : 1];

			ck_assert(addr_eq(&got->global, &nh->global));
			ck_assert(addr_eq(&got->linklocal, &nh->linklocal));
			check_attrs(&u.attrs, a);
		}
		at += (size_t)len;
		last_len = (size_t)len;
		(void)fam;
	}
	ck_assert_uint_eq(i, n);
}

static struct addr addr_of(const char *text)
{
	struct addr a = { 0 };

	if (*text)
		ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static const struct {
	const char *name, *global, *linklocal;
	unsigned fam;
	struct bgp_session_ctx ctx;
} kinds[] = {
	{ "IPv4", "10.0.0.1", "", FAM_V4, { .as4 = true, .max_message = BGP_MAX } },
	{ "IPv4, 2 octets", "10.0.0.1", "", FAM_V4, { .max_message = BGP_MAX } },
	{ "IPv4, add-path",
	  "10.0.0.1",
	  "",
	  FAM_V4,
	  { .as4 = true, .add_path = BOTH, .max_message = BGP_MAX } },
	{ "IPv4, extended",
	  "10.0.0.1",
	  "",
	  FAM_V4,
	  { .as4 = true, .max_message = BGP_MAX_EXTENDED } },
	{ "IPv4 over IPv6",
	  "2001:db8::1",
	  "fe80::1",
	  FAM_V4,
	  { .as4 = true, .ext_nexthop = FAMILY_BIT(FAM_V4), .max_message = BGP_MAX } },
	{ "IPv6", "2001:db8::1", "", FAM_V6, { .as4 = true, .max_message = BGP_MAX } },
	{ "IPv6, 2 octets", "2001:db8::1", "fe80::1", FAM_V6, { .max_message = BGP_MAX } },
	{ "IPv6, link-local",
	  "fe80::1",
	  "fe80::1",
	  FAM_V6,
	  { .as4 = true, .max_message = BGP_MAX } },
	{ "IPv6, add-path",
	  "2001:db8::1",
	  "fe80::1",
	  FAM_V6,
	  { .as4 = true, .add_path = BOTH, .max_message = BGP_MAX } },
	{ "IPv6, add-path, extended",
	  "2001:db8::1",
	  "",
	  FAM_V6,
	  { .as4 = true, .add_path = BOTH, .max_message = BGP_MAX_EXTENDED } },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void round_trip(uint64_t *rng, unsigned kind, unsigned n)
{
	static struct sample s;
	struct bgp_session_ctx ctx = kinds[kind].ctx;
	struct bgp_nexthop nh = { addr_of(kinds[kind].global), addr_of(kinds[kind].linklocal) };
	struct wr aw = wr_over(attr, sizeof(attr)), w = wr_over(out, sizeof(out));
	struct attrs want;
	uint8_t path[4000];
	struct wr pw = wr_over(path, sizeof(path)), nw;
	static uint8_t narrow[2000];

	ctx.families = BOTH;
	do
		random_sample(rng, &s);
	while (s.a.as_path.len > 1500);
	want = s.a;
	/* An old session joins the segments that AS4_PATH was split off. */
	if (!ctx.as4) {
		nw = wr_over(narrow, sizeof(narrow));
		as_path_narrow(&nw, s.a.as_path);
		as_path_widen(&pw, (struct blob){ narrow, (uint16_t)nw.len },
			      as_path_needs_as4(s.a.as_path) ? s.a.as_path : (struct blob){ 0 });
		want.as_path = (struct blob){ path, (uint16_t)pw.len };
		ck_assert(blob_same(want.as_path, s.a.as_path));
	}
	for (unsigned i = 0; i < n; i++)
		entries[i] = (struct entry){ random_prefix(rng, kinds[kind].fam), random_u32(rng) };
	attrs_encode(&aw, &s.a, &ctx);
	ck_assert(!aw.full);
	if (aw.len > 3500 && ctx.max_message == BGP_MAX)
		return;
	build(&w, &ctx, kinds[kind].fam, &nh, aw.len, n, false);
	check_messages(&w, &ctx, kinds[kind].fam, &want, &nh, n, false);
	w.len = 0;
	build(&w, &ctx, kinds[kind].fam, &nh, 0, n, true);
	check_messages(&w, &ctx, kinds[kind].fam, &want, &nh, n, true);
}

START_TEST(random_round_trips)
{
	uint64_t rng = 7;

	for (unsigned kind = 0; kind < KINDS; kind++) {
		for (unsigned i = 0; i < 60; i++)
			round_trip(&rng, kind, 1 + random_u32(&rng) % 50);
		for (unsigned i = 0; i < 4; i++)
			round_trip(&rng, kind, ENTRIES);
	}
}
END_TEST

/* Interned blobs: what attrs_encode() wrote for 4-octet numbers. */
START_TEST(own_blobs)
{
	static const struct bgp_session_ctx own = { .as4 = true };
	static struct sample s;
	uint64_t rng = 11;

	for (unsigned i = 0; i < 2000; i++) {
		struct wr w = wr_over(attr, sizeof(attr));
		struct attrs got;

		random_sample(&rng, &s);
		attrs_encode(&w, &s.a, &own);
		memset(&got, 0xa5, sizeof(got));
		attrs_decode_own(attr, w.len, &got);
		check_attrs(&got, &s.a);
	}
}
END_TEST

/* 19 + 2 + 2 octets, 4 of ORIGIN, 3 of an empty AS_PATH, 7 of NEXT_HOP: 4059 are left. With /24s
 * of 4 octets 1014 fit and 3 octets stay. A message of exactly 4096 needs a /16 more. */
START_TEST(exactly_full)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct bgp_nexthop nh = { .global = addr_of("10.0.0.1") };
	struct attrs a = { 0 };
	struct wr aw = wr_over(attr, sizeof(attr)), w = wr_over(out, sizeof(out));
	struct update_builder b;
	struct prefix p, last;
	unsigned n = 0;

	attrs_encode(&aw, &a, &ctx);
	ck_assert_uint_eq(aw.len, 7);
	ck_assert_int_eq(prefix_parse("10.1.0.0/24", &p), 0);
	ck_assert_int_eq(prefix_parse("10.2.0.0/16", &last), 0);
	update_begin(&b, &w, &ctx, FAM_V4, &nh, attr, aw.len);
	while (update_add(&b, &p, 0))
		n++;
	ck_assert_uint_eq(n, 1014);
	ck_assert(update_add(&b, &last, 0));
	ck_assert(!update_add(&b, &(struct prefix){ { .fam = FAM_V4 }, 0 }, 0));
	update_end(&b);
	ck_assert_uint_eq(w.len, 4096);
	ck_assert_uint_eq(get_u16(out + 16), 4096);
}
END_TEST

/* The same for MP_REACH, whose attributes come behind the prefixes, and the withdrawals, behind
 * which two octets follow. */
START_TEST(exactly_full_others)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct bgp_nexthop nh = { .global = addr_of("2001:db8::1") };
	struct attrs a = { 0 };
	struct wr aw = wr_over(attr, sizeof(attr));
	static const struct prefix v6 = { { .fam = FAM_V6 }, 0 }, v4 = { { .fam = FAM_V4 }, 0 };

	attrs_encode(&aw, &a, &ctx);
	for (int kind = 0; kind < 3; kind++) {
		struct wr w = wr_over(out, sizeof(out));
		const struct prefix *p = kind == 2 ? &v4 : &v6;
		struct update_builder b;

		if (kind == 0)
			update_begin(&b, &w, &ctx, FAM_V6, &nh, attr, aw.len);
		else
			withdraw_begin(&b, &w, &ctx, p->addr.fam);
		while (update_add(&b, p, 0))
			;
		update_end(&b);
		ck_assert(!w.full);
		ck_assert_uint_eq(w.len, 4096);
	}
}
END_TEST

/* RFC 7606 section 5.1: MP_REACH_NLRI and MP_UNREACH_NLRI are the first attribute. */
START_TEST(mp_comes_first)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct bgp_nexthop nh = { .global = addr_of("2001:db8::1") };
	struct attrs a = { 0 };
	struct wr aw = wr_over(attr, sizeof(attr)), w = wr_over(out, sizeof(out));

	attrs_encode(&aw, &a, &ctx);
	entries[0].p = (struct prefix){ { .fam = FAM_V6 }, 0 };
	build(&w, &ctx, FAM_V6, &nh, aw.len, 1, false);
	ck_assert_uint_eq(out[BGP_HEADER + 5], ATTR_MP_REACH);
	w.len = 0;
	build(&w, &ctx, FAM_V6, &nh, 0, 1, true);
	ck_assert_uint_eq(out[BGP_HEADER + 5], ATTR_MP_UNREACH);
}
END_TEST

/* RFC 4271 section 5: attributes in ascending order, NEXT_HOP among them. */
START_TEST(ascending)
{
	static struct sample s;
	struct bgp_session_ctx ctx = { .families = BOTH, .max_message = BGP_MAX_EXTENDED };
	struct bgp_nexthop nh = { .global = addr_of("10.0.0.1") };
	uint64_t rng = 3;

	entries[0].p = (struct prefix){ { .fam = FAM_V4 }, 0 };
	for (int i = 0; i < 200; i++) {
		struct wr aw = wr_over(attr, sizeof(attr)), w = wr_over(out, sizeof(out));
		size_t at = BGP_HEADER + 4, end;
		bool hop = false;
		int last = 0;

		random_sample(&rng, &s);
		attrs_encode(&aw, &s.a, &ctx);
		build(&w, &ctx, FAM_V4, &nh, aw.len, 1, false);
		end = at + get_u16(out + BGP_HEADER + 2);
		while (at < end) {
			ck_assert_int_gt(out[at + 1], last);
			last = out[at + 1];
			hop |= last == ATTR_NEXT_HOP;
			at += out[at] & AF_EXTENDED ? 4u + get_u16(out + at + 2) : 3u + out[at + 2];
		}
		ck_assert(hop);
	}
}
END_TEST

/* A message without a prefix leaves nothing behind. */
START_TEST(taken_back)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct bgp_nexthop nh = { .global = addr_of("2001:db8::1") };
	struct wr w = wr_over(out, sizeof(out));
	struct update_builder b;

	wr_u8(&w, 1);
	update_begin(&b, &w, &ctx, FAM_V6, &nh, attr, 0);
	update_end(&b);
	withdraw_begin(&b, &w, &ctx, FAM_V4);
	update_end(&b);
	ck_assert_uint_eq(w.len, 1);
}
END_TEST

/* Attributes that leave no room for a prefix: the first update_add() says so. */
START_TEST(too_large)
{
	static uint8_t list[4096];
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct bgp_nexthop v6 = { .global = addr_of("2001:db8::1") };
	struct bgp_nexthop v4 = { .global = addr_of("10.0.0.1") };
	struct attrs a = { .communities = { list, sizeof(list) } };
	struct prefix p = { { .fam = FAM_V4 }, 0 };
	struct wr aw = wr_over(attr, sizeof(attr)), w = wr_over(out, sizeof(out));
	struct update_builder b;

	attrs_encode(&aw, &a, &ctx);
	update_begin(&b, &w, &ctx, FAM_V4, &v4, attr, aw.len);
	ck_assert(!update_add(&b, &p, 0));
	update_end(&b);
	update_begin(&b, &w, &ctx, FAM_V4, &v6, attr, aw.len);
	ck_assert(!update_add(&b, &p, 0));
	update_end(&b);
	ck_assert_uint_eq(w.len, 0);
	ctx.max_message = BGP_MAX_EXTENDED;
	update_begin(&b, &w, &ctx, FAM_V4, &v4, attr, aw.len);
	ck_assert(update_add(&b, &p, 0));
	update_end(&b);
	ck_assert_uint_gt(w.len, BGP_MAX);
}
END_TEST

/* A cursor that is too small is never overrun. */
START_TEST(small_cursor)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct bgp_nexthop nh = { .global = addr_of("2001:db8::1") };
	struct attrs a = { 0 };
	struct wr aw = wr_over(attr, sizeof(attr));
	struct prefix p = { { .fam = FAM_V6 }, 128 };

	attrs_encode(&aw, &a, &ctx);
	for (size_t cap = 0; cap < 120; cap++) {
		uint8_t *exact = malloc(cap ? cap : 1);
		struct wr w = wr_over(exact, cap);
		struct update_builder b;

		update_begin(&b, &w, &ctx, FAM_V6, &nh, attr, aw.len);
		while (update_add(&b, &p, 0))
			;
		update_end(&b);
		ck_assert_uint_le(w.len, cap);
		withdraw_begin(&b, &w, &ctx, FAM_V4);
		while (update_add(&b, &p, 0))
			;
		update_end(&b);
		free(exact);
	}
}
END_TEST

/* Host bits never go out. */
START_TEST(host_bits)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };
	struct wr w = wr_over(out, sizeof(out));

	ck_assert_int_eq(prefix_parse("10.1.255.255/20", &entries[0].p), 0);
	build(&w, &ctx, FAM_V4, NULL, 0, 1, true);
	ck_assert_uint_eq(out[BGP_HEADER + 2 + 3], 0xf0);
}
END_TEST

START_TEST(end_of_rib)
{
	struct bgp_session_ctx ctx = { .as4 = true, .families = BOTH, .max_message = BGP_MAX };

	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
		struct wr w = wr_over(out, sizeof(out));
		struct bgp_update u;

		end_of_rib_encode(&w, (uint8_t)fam);
		ck_assert_uint_eq(w.len, fam == FAM_V4 ? 23 : 29);
		bgp_update_decode(out, w.len, &ctx, scratch, sizeof(scratch), &u);
		ck_assert_int_eq(u.outcome, UPDATE_OK);
		ck_assert_uint_eq(u.end_of_rib, FAMILY_BIT(fam));
	}
}
END_TEST

/* RFC 6793 section 4.2.2: AS4_PATH and AS4_AGGREGATOR only where a number was lost. */
START_TEST(as4_only_where_needed)
{
	static const struct {
		const char *path;
		uint32_t aggregator;
		const char *want;
	} cases[] = {
		{ "0201 0000fde9", 65001, "40010100 400204 0201fde9 c00706 fde9 0a000001" },
		{ "0201 00011170", 65001,
		  "40010100 400204 02015ba0 c00706 fde9 0a000001 c01106 020100011170" },
		{ "0201 0000fde9", 70000,
		  "40010100 400204 0201fde9 c00706 5ba0 0a000001 c01208 00011170 0a000001" },
	};
	static const struct bgp_session_ctx old = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t path[16], got[64], want[64];
		struct wr pw = wr_over(path, sizeof(path)), gw = wr_over(got, sizeof(got));
		struct wr ww = wr_over(want, sizeof(want));
		struct attrs a = { .has_aggregator = true, .aggregator_id = 0x0a000001 };

		wr_hex(&pw, cases[i].path);
		wr_hex(&ww, cases[i].want);
		a.as_path = (struct blob){ path, (uint16_t)pw.len };
		a.aggregator_as = cases[i].aggregator;
		attrs_encode(&gw, &a, &old);
		ck_assert_uint_eq(gw.len, ww.len);
		ck_assert_mem_eq(got, want, gw.len);
	}
}
END_TEST

UNIT_MAIN("wire_encode", random_round_trips, own_blobs, exactly_full, exactly_full_others,
	  mp_comes_first, ascending, taken_back, too_large, small_cursor, host_bits, end_of_rib,
	  as4_only_where_needed)
