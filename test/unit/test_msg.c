/* The codec: every message of the table goes out and comes back whole, and nothing that is not a
 * message is taken for one.
 */
#include "config.h"

#include "test/unit/unit.h"

#include <string.h>

#include "lib/log.h"
#include "lib/msg.h"
#include "lib/msg_def.h"

/* ---- bodies from the rows ---- */

static uint32_t seed;

static uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static struct prefix some_prefix(void)
{
	struct prefix p = { 0 };
	uint8_t bytes[16];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rnd();
	p.addr = addr_make(rnd() % 3, bytes);
	p.len = (uint8_t)(rnd() % (family_bits(p.addr.fam) + 1));
	return p;
}

static char *some_text(struct arena *a)
{
	unsigned n = rnd() % 9;
	char *text = arena_alloc(a, n + 1);

	for (unsigned i = 0; i < n; i++)
		text[i] = (char)(1 + rnd() % 255);
	return text;
}

static void fill_row(struct arena *a, const struct mrow *row, uint8_t *to);

static void fill_list(struct arena *a, const struct mrow *row, struct mlist *list)
{
	list->n = rnd() % 4;
	list->v = list->n ? arena_array(a, list->n, row->size) : NULL;
	for (uint32_t i = 0; i < list->n; i++)
		fill_row(a, row, (uint8_t *)list->v + i * row->size);
}

static void fill_prefixes(struct arena *a, msg_prefix_list *list)
{
	list->n = rnd() % 5;
	list->v = list->n ? arena_array(a, list->n, sizeof(*list->v)) : NULL;
	for (uint32_t i = 0; i < list->n; i++)
		list->v[i] = some_prefix();
}

static void fill_field(struct arena *a, const struct mfield *f, void *at)
{
	switch ((enum mfield_kind)f->kind) {
	case MF_BOOL:
		*(bool *)at = rnd() % 2;
		break;
	case MF_U8:
		*(uint8_t *)at = (uint8_t)(rnd() % (f->max + 1u));
		break;
	case MF_U16:
		*(uint16_t *)at = (uint16_t)rnd();
		break;
	case MF_U32:
		*(uint32_t *)at = rnd() << 16 ^ rnd();
		break;
	case MF_U64:
		*(uint64_t *)at = (uint64_t)rnd() << 40 ^ rnd();
		break;
	case MF_STR:
		*(char **)at = some_text(a);
		break;
	case MF_ADDR:
		*(struct addr *)at = some_prefix().addr;
		break;
	case MF_PREFIX:
		*(struct prefix *)at = some_prefix();
		break;
	case MF_PREFIXES:
		fill_prefixes(a, at);
		break;
	case MF_LIST:
		fill_list(a, f->item(), at);
		break;
	}
}

static void fill_row(struct arena *a, const struct mrow *row, uint8_t *to)
{
	for (unsigned i = 0; i < row->nfields; i++)
		fill_field(a, &row->fields[i], to + row->fields[i].offset);
}

static void *some_body(struct arena *a, unsigned type)
{
	const struct msg_def *def = msg_def(type);
	void *body;

	if (!def->row)
		return NULL;
	body = arena_alloc(a, def->row()->size);
	fill_row(a, def->row(), body);
	return body;
}

/* ---- comparing ---- */

static void same_row(const struct mrow *row, const uint8_t *x, const uint8_t *y);

static size_t kind_size(unsigned kind)
{
	static const size_t sizes[] = {
		[MF_BOOL] = 1,
		[MF_U8] = 1,
		[MF_U16] = 2,
		[MF_U32] = 4,
		[MF_U64] = 8,
		[MF_STR] = sizeof(char *),
		[MF_ADDR] = 17,
		[MF_PREFIX] = 18,
		[MF_PREFIXES] = sizeof(msg_prefix_list),
		[MF_LIST] = sizeof(struct mlist),
	};
	return sizes[kind];
}

static void same_field(const struct mfield *f, const void *x, const void *y)
{
	const struct mlist *lx = x, *ly = y;

	if (f->kind == MF_STR) {
		ck_assert_str_eq(*(const char *const *)x, *(const char *const *)y);
	} else if (f->kind == MF_PREFIXES) {
		ck_assert_uint_eq(lx->n, ly->n);
		if (lx->n)
			ck_assert_mem_eq(lx->v, ly->v, lx->n * sizeof(struct prefix));
	} else if (f->kind == MF_LIST) {
		ck_assert_uint_eq(lx->n, ly->n);
		for (uint32_t i = 0; i < lx->n; i++)
			same_row(f->item(), (uint8_t *)lx->v + i * f->item()->size,
				 (uint8_t *)ly->v + i * f->item()->size);
	} else {
		ck_assert_msg(!memcmp(x, y, kind_size(f->kind)), "%s differs", f->name);
	}
}

static void same_row(const struct mrow *row, const uint8_t *x, const uint8_t *y)
{
	for (unsigned i = 0; i < row->nfields; i++)
		same_field(&row->fields[i], x + row->fields[i].offset, y + row->fields[i].offset);
}

START_TEST(every_message_comes_back)
{
	static uint8_t buf[MSG_MAX], again[MSG_MAX];
	unsigned types = 0;

	for (unsigned type = 0; type < M_TYPE_END; type++) {
		if (!msg_def(type))
			continue;
		types++;
		for (seed = 1; seed < 40; seed += 2) {
			struct arena a = { 0 }, b = { 0 };
			struct wr w = wr_over(buf, sizeof(buf));
			struct wr w2 = wr_over(again, sizeof(again));
			uint32_t kept = seed;
			struct err err;
			struct msg m = { 0 };
			void *body = some_body(&a, type);

			msg_encode(&w, type, body);
			ck_assert(!w.full);
			ck_assert_msg(!msg_decode(buf, w.len, &b, &m, &err), "%s", err.text);
			ck_assert_uint_eq(m.type, type);
			if (body)
				same_row(msg_def(type)->row(), body, m.body);
			else
				ck_assert_ptr_null(m.body);
			msg_encode(&w2, type, m.body);
			ck_assert_uint_eq(w.len, w2.len);
			ck_assert_mem_eq(buf, again, w.len);
			arena_free(&a);
			arena_free(&b);
			seed = kept;
		}
	}
	ck_assert_uint_ge(types, 40);
}
END_TEST

/* Cut anywhere, or one byte longer, it is no message; whatever single byte is changed, decoding
 * ends and what it takes is of one form. */
START_TEST(only_the_whole_message_decodes)
{
	static uint8_t buf[MSG_MAX], again[MSG_MAX];

	for (unsigned type = 0; type < M_TYPE_END; type++) {
		struct arena a = { 0 };
		struct wr w = wr_over(buf, sizeof(buf));
		struct err err;
		struct msg m;

		if (!msg_def(type))
			continue;
		seed = type;
		msg_encode(&w, type, some_body(&a, type));
		for (size_t len = 0; len < w.len; len++)
			ck_assert_int_eq(msg_decode(buf, len, &a, &m, &err), -1);
		buf[w.len] = 0;
		ck_assert_int_eq(msg_decode(buf, w.len + 1, &a, &m, &err), -1);
		for (size_t i = 0; i < w.len * 256; i++) {
			uint8_t kept = buf[i / 256];
			struct wr w2 = wr_over(again, sizeof(again));

			arena_reset(&a);
			buf[i / 256] = (uint8_t)i;
			if (!msg_decode(buf, w.len, &a, &m, &err)) {
				msg_encode(&w2, m.type, m.body);
				ck_assert_uint_eq(w2.len, w.len);
				ck_assert_mem_eq(again, buf, w.len);
			}
			buf[i / 256] = kept;
		}
		arena_free(&a);
	}
}
END_TEST

/* ---- the wire, byte by byte ---- */

static const struct {
	const char *what, *bytes;
	size_t len;
	const char *error; /* NULL: decodes */
} wire[] = {
#define W(s) s, sizeof(s) - 1
	{ "no body", W("\xb6\x01\x00\x24"), NULL },
	{ "bool and text", W("\xb6\x01\x00\x05\x01\x00\x02ok"), NULL },
	{ "nothing", W(""), "0 bytes" },
	{ "half a header", W("\xb6\x01\x00"), "3 bytes" },
	{ "magic", W("\xb5\x01\x00\x24"), "0xb5" },
	{ "version", W("\xb6\x02\x00\x24"), "version 2" },
	{ "type 0", W("\xb6\x01\x00\x00"), "type 0 is unknown" },
	{ "a hole between types", W("\xb6\x01\x00\x10"), "type 16" },
	{ "last type", W("\xb6\x01\x00\x6f"), "type 111" },
	{ "type above a byte", W("\xb6\x01\xff\xff"), "type 65535" },
	{ "a body where none belongs", W("\xb6\x01\x00\x24\x00"), "M_BGP_END: 1 bytes too many" },
	{ "bool 2", W("\xb6\x01\x00\x05\x02\x00\x02ok"), "M_READY: ready: 2 is neither" },
	{ "text cut", W("\xb6\x01\x00\x05\x01\x00\x03ok"), "M_READY: reason: " },
	{ "text with NUL", W("\xb6\x01\x00\x05\x01\x00\x02o\0"), "M_READY: reason: a NUL" },
	{ "trailing", W("\xb6\x01\x00\x05\x01\x00\x02ok!"), "M_READY: 1 bytes too many" },
	{ "level 4", W("\xb6\x01\x00\x04\x00\x00\x04"), "M_LOG_LEVEL: level: 4 is above" },
	{ "family 3", W("\xb6\x01\x00\x2a\x03\x01"), "M_NH_TRACK: nexthop: address family 3" },
	{ "one prefix", W("\xb6\x01\x00\x2d\x00\x00\x00\x07\x00\x01\x01\x18\x0a\x01\x02\x00"),
	  NULL },
	{ "length 33", W("\xb6\x01\x00\x2d\x00\x00\x00\x07\x00\x01\x01\x21\x0a\x01\x02\x00"),
	  "M_ROUTES: prefixes: item 1: prefix length 33 is above 32" },
	{ "a length without family", W("\xb6\x01\x00\x2d\x00\x00\x00\x07\x00\x01\x00\x01"),
	  "prefix length 1 is above 0" },
	{ "count beyond the packet",
	  W("\xb6\x01\x00\x2d\x00\x00\x00\x07\xff\xff\x01\x18\x0a\x01\x02\x00"),
	  "65535 items do not fit into the 6 bytes" },
	{ "nested count beyond the packet", W("\xb6\x01\x00\x22\x00\x02\x00\x00\x00\x00"),
	  "M_BGP_ORIGIN" },
#undef W
};

START_TEST(all_wire_forms)
{
	for (size_t i = 0; i < sizeof(wire) / sizeof(wire[0]); i++) {
		struct arena a = { 0 };
		struct err err = { 0 };
		struct msg m;
		int rc = msg_decode(wire[i].bytes, wire[i].len, &a, &m, &err);

		ck_assert_msg(rc == (wire[i].error ? -1 : 0), "%s: %d, %s", wire[i].what, rc,
			      err.text);
		ck_assert_msg(!wire[i].error || strstr(err.text, wire[i].error),
			      "%s: said \"%s\", not \"%s\"", wire[i].what, err.text, wire[i].error);
		arena_free(&a);
	}
}
END_TEST

START_TEST(routes_on_the_wire)
{
	static const uint8_t expect[] = { 0xb6, 1, 0, 45, 0, 0,	 1,    2, 0,   2,    1, 24,
					  10,	1, 2, 0,  2, 64, 0x20, 1, 0xd, 0xb8, 0, 0,
					  0,	0, 0, 0,  0, 0,	 0,    0, 0,   0 };
	struct prefix p[2];
	struct m_routes body = { 0x102, { 2, p } };
	uint8_t buf[64];
	struct wr w = wr_over(buf, sizeof(buf));

	ck_assert(!prefix_parse("10.1.2.0/24", &p[0]) && !prefix_parse("2001:db8::/64", &p[1]));
	msg_encode(&w, M_ROUTES, &body);
	ck_assert(!w.full);
	ck_assert_uint_eq(w.len, sizeof(expect));
	ck_assert_mem_eq(buf, expect, sizeof(expect));
}
END_TEST

START_TEST(null_text_is_empty_text)
{
	struct m_ready body = { true, NULL };
	struct arena a = { 0 };
	uint8_t buf[16];
	struct wr w = wr_over(buf, sizeof(buf));
	struct err err;
	struct msg m;

	msg_encode(&w, M_READY, &body);
	ck_assert(!msg_decode(buf, w.len, &a, &m, &err));
	ck_assert_str_eq(((const struct m_ready *)m.body)->reason, "");
	arena_free(&a);
}
END_TEST

/* IPC_BATCH prefixes of the longer family are promised to fit. */
START_TEST(a_batch_fits_and_more_says_full)
{
	static uint8_t buf[2 * MSG_MAX];
	static struct prefix p[4000];
	struct m_routes body = { 1, { 1024, p } };
	struct wr w = wr_over(buf, MSG_MAX);
	struct wr big = wr_over(buf, sizeof(buf)), tiny = wr_over(buf, 9);

	for (unsigned i = 0; i < 4000; i++)
		ck_assert(!prefix_parse("2001:db8::1/128", &p[i]));
	msg_encode(&w, M_ROUTES, &body);
	ck_assert(!w.full);
	msg_encode(&tiny, M_ROUTES, &body);
	ck_assert(tiny.full);
	body.prefixes.n = 4000;
	msg_encode(&big, M_ROUTES, &body);
	ck_assert_msg(big.full, "a message above MSG_MAX was encoded");
}
END_TEST

START_TEST(a_packet_above_the_maximum_is_refused)
{
	static uint8_t buf[MSG_MAX + 1] = { MSG_MAGIC, MSG_VERSION, 0, M_BGP_END };
	struct arena a = { 0 };
	struct err err;
	struct msg m;

	ck_assert_int_eq(msg_decode(buf, sizeof(buf), &a, &m, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "above"));
	arena_free(&a);
}
END_TEST

/* Between two fields of a row only padding may lie: what would hold one more field is a field that
 * the row forgot. */
START_TEST(rows_leave_no_gap)
{
	static const size_t align[] = {
		1, 1, 2, 4, 8, sizeof(char *), 1, 1, sizeof(char *), sizeof(char *)
	};

	for (unsigned type = 0; type < M_TYPE_END; type++) {
		const struct msg_def *def = msg_def(type);
		size_t end = 0;

		if (!def || !def->row)
			continue;
		for (unsigned i = 0; i < def->row()->nfields; i++) {
			const struct mfield *f = &def->row()->fields[i];

			ck_assert_uint_ge(f->offset, end);
			ck_assert_msg(f->offset - end < align[f->kind], "%s.%s", def->name,
				      f->name);
			end = f->offset + kind_size(f->kind);
		}
		ck_assert_msg(def->row()->size - end < def->row()->align, "%s ends early",
			      def->name);
	}
}
END_TEST

START_TEST(names_and_descriptors)
{
	ck_assert_str_eq(msg_name(M_ROUTES), "M_ROUTES");
	ck_assert_str_eq(msg_name(0), "?");
	ck_assert_str_eq(msg_name(M_TYPE_END), "?");
	ck_assert_str_eq(msg_name(70000), "?");
	ck_assert_uint_eq(msg_max_fds(M_INIT), MSG_MAX_FDS);
	ck_assert_uint_eq(msg_max_fds(M_CHANNEL), 1);
	ck_assert_uint_eq(msg_max_fds(M_CTL_CLIENT), 1);
	ck_assert_uint_eq(msg_max_fds(M_CNI_ADD), 1);
	ck_assert_uint_eq(msg_max_fds(M_CNI_CHECK), 1);
	ck_assert_uint_eq(msg_max_fds(M_CNI_DEL), 0);
	ck_assert_uint_eq(msg_max_fds(M_ROUTES), 0);
	ck_assert_uint_eq(msg_max_fds(9999), 0);
}
END_TEST

UNIT_MAIN("msg", every_message_comes_back, only_the_whole_message_decodes, all_wire_forms,
	  routes_on_the_wire, null_text_is_empty_text, a_batch_fits_and_more_says_full,
	  a_packet_above_the_maximum_is_refused, rows_leave_no_gap, names_and_descriptors)
