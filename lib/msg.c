/* The codec: walks the rows of lib/msg_table.c.
 */
#include "config.h"

#include "lib/msg_def.h"

#include <stdlib.h>

#include "lib/log.h"

enum { HEADER = 4, DEPTH_MAX = 4 };

/* ---- encode ---- */

static void put_str(struct wr *w, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n > UINT16_MAX) {
		w->full = true;
		return;
	}
	wr_u16(w, (uint16_t)n);
	wr_bytes(w, text, n);
}

static void put_addr(struct wr *w, const struct addr *a)
{
	wr_u8(w, a->fam);
	wr_bytes(w, a->b, family_bytes(a->fam));
}

static void put_prefix(struct wr *w, const struct prefix *p)
{
	unsigned bytes = family_bytes(p->addr.fam);
	uint8_t *at = wr_space(w, 2 + bytes);

	if (!at)
		return;
	at[0] = p->addr.fam;
	at[1] = p->len;
	/* The two sizes as constants: copies of one or two instructions. */
	if (bytes == 4)
		memcpy(at + 2, p->addr.b, 4);
	else if (bytes == 16)
		memcpy(at + 2, p->addr.b, 16);
}

static bool put_count(struct wr *w, uint32_t n)
{
	if (n > UINT16_MAX)
		w->full = true;
	wr_u16(w, (uint16_t)n);
	return !w->full;
}

static void put_prefixes(struct wr *w, const msg_prefix_list *list)
{
	if (!put_count(w, list->n))
		return;
	for (uint32_t i = 0; i < list->n && !w->full; i++)
		put_prefix(w, &list->v[i]);
}

static void put_row(struct wr *w, const struct mrow *row, const uint8_t *from);

static void put_list(struct wr *w, const struct mrow *row, const struct mlist *list)
{
	if (!put_count(w, list->n))
		return;
	for (uint32_t i = 0; i < list->n && !w->full; i++)
		put_row(w, row, (const uint8_t *)list->v + (size_t)i * row->size);
}

static void put_field(struct wr *w, const struct mfield *f, const void *at)
{
	switch ((enum mfield_kind)f->kind) {
	case MF_BOOL:
		wr_u8(w, *(const bool *)at);
		break;
	case MF_U8:
		wr_u8(w, *(const uint8_t *)at);
		break;
	case MF_U16:
		wr_u16(w, *(const uint16_t *)at);
		break;
	case MF_U32:
		wr_u32(w, *(const uint32_t *)at);
		break;
	case MF_U64:
		wr_u64(w, *(const uint64_t *)at);
		break;
	case MF_STR:
		put_str(w, *(const char *const *)at);
		break;
	case MF_ADDR:
		put_addr(w, at);
		break;
	case MF_PREFIX:
		put_prefix(w, at);
		break;
	case MF_PREFIXES:
		put_prefixes(w, at);
		break;
	case MF_LIST:
		put_list(w, f->item(), at);
		break;
	}
}

static void put_row(struct wr *w, const struct mrow *row, const uint8_t *from)
{
	for (unsigned i = 0; i < row->nfields; i++)
		put_field(w, &row->fields[i], from + row->fields[i].offset);
}

void msg_encode(struct wr *w, enum msg_type type, const void *body)
{
	const struct msg_def *def = msg_def(type);
	size_t start = w->len;

	if (!def || (def->row && !body)) {
		log_error("ipc",
			  "message type %u (%s) sent without a row or a body: a fault in "
			  "the program",
			  (unsigned)type, msg_name(type));
		abort();
	}
	wr_u8(w, MSG_MAGIC);
	wr_u8(w, MSG_VERSION);
	wr_u16(w, (uint16_t)type);
	if (def->row)
		put_row(w, def->row(), body);
	if (w->len - start > MSG_MAX)
		w->full = true;
}

/* ---- decode ---- */

/* Where a decoder stands: what is left, where memory comes from, where a failure is told. */
struct dec {
	struct rd r;
	struct arena *arena;
	struct err *err;
};

static int short_of(struct dec *d)
{
	return err_set(d->err, "the message ends too early");
}

static int get_str(struct dec *d, const char **out)
{
	uint16_t n = rd_u16(&d->r);
	const uint8_t *p = rd_bytes(&d->r, n);
	char *text;

	if (!p)
		return short_of(d);
	if (memchr(p, 0, n))
		return err_set(d->err, "a NUL byte inside a text");
	text = arena_alloc(d->arena, (size_t)n + 1);
	memcpy(text, p, n);
	*out = text;
	return 0;
}

static int get_addr(struct dec *d, struct addr *out)
{
	uint8_t fam = rd_u8(&d->r);

	if (fam > FAM_V6)
		return err_set(d->err, "address family %u is unknown", fam);
	out->fam = fam;
	rd_copy(&d->r, out->b, family_bytes(fam));
	return d->r.bad ? short_of(d) : 0;
}

static int get_prefix(struct dec *d, struct prefix *out)
{
	const uint8_t *p = rd_bytes(&d->r, 2);
	unsigned fam, len;

	if (!p)
		return short_of(d);
	fam = p[0];
	len = p[1];
	if (fam > FAM_V6)
		return err_set(d->err, "address family %u is unknown", fam);
	if (len > family_bits(fam))
		return err_set(d->err, "prefix length %u is above %u", len, family_bits(fam));
	p = rd_bytes(&d->r, family_bytes(fam));
	if (!p)
		return short_of(d);
	out->addr.fam = (uint8_t)fam;
	out->len = (uint8_t)len;
	if (fam == FAM_V4)
		memcpy(out->addr.b, p, 4);
	else if (fam == FAM_V6)
		memcpy(out->addr.b, p, 16);
	return 0;
}

/* The fewest bytes that one struct of this row takes, to bound a count by what is left. */
static size_t row_least(const struct mrow *row)
{
	static const uint8_t least[] = {
		[MF_BOOL] = 1, [MF_U8] = 1,   [MF_U16] = 2,    [MF_U32] = 4,	  [MF_U64] = 8,
		[MF_STR] = 2,  [MF_ADDR] = 1, [MF_PREFIX] = 2, [MF_PREFIXES] = 2, [MF_LIST] = 2,
	};
	size_t sum = 0;

	for (unsigned i = 0; i < row->nfields; i++)
		sum += least[row->fields[i].kind];
	return sum;
}

/* A list's count, checked against what is left, and its zeroed array. */
static int get_count(struct dec *d, size_t least, size_t size, struct mlist *out)
{
	out->n = rd_u16(&d->r);
	if (d->r.bad)
		return short_of(d);
	if (out->n > rd_left(&d->r) / least)
		return err_set(d->err, "%u items do not fit into the %zu bytes that are left",
			       out->n, rd_left(&d->r));
	out->v = out->n ? arena_array(d->arena, out->n, size) : NULL;
	return 0;
}

static int get_prefixes(struct dec *d, msg_prefix_list *out)
{
	struct mlist list;

	if (get_count(d, 2, sizeof(*out->v), &list))
		return -1;
	out->n = list.n;
	out->v = list.v;
	for (uint32_t i = 0; i < out->n; i++)
		if (get_prefix(d, &out->v[i]))
			return err_ctx(d->err, "item %u", i + 1);
	return 0;
}

static int get_row(struct dec *d, const struct mrow *row, uint8_t *to, unsigned depth);

static int get_list(struct dec *d, const struct mrow *row, struct mlist *out, unsigned depth)
{
	if (get_count(d, row_least(row), row->size, out))
		return -1;
	for (uint32_t i = 0; i < out->n; i++)
		if (get_row(d, row, (uint8_t *)out->v + (size_t)i * row->size, depth + 1))
			return err_ctx(d->err, "item %u", i + 1);
	return 0;
}

static int get_u8(struct dec *d, unsigned max, uint8_t *out)
{
	*out = rd_u8(&d->r);
	if (*out > max)
		return err_set(d->err, "%u is above the highest known value, %u", *out, max);
	return d->r.bad ? short_of(d) : 0;
}

static int get_bool(struct dec *d, bool *out)
{
	uint8_t v = rd_u8(&d->r);

	if (v > 1)
		return err_set(d->err, "%u is neither false (0) nor true (1)", v);
	*out = v;
	return d->r.bad ? short_of(d) : 0;
}

static int get_field(struct dec *d, const struct mfield *f, void *at, unsigned depth)
{
	switch ((enum mfield_kind)f->kind) {
	case MF_BOOL:
		return get_bool(d, at);
	case MF_U8:
		return get_u8(d, f->max, at);
	case MF_U16:
		*(uint16_t *)at = rd_u16(&d->r);
		break;
	case MF_U32:
		*(uint32_t *)at = rd_u32(&d->r);
		break;
	case MF_U64:
		*(uint64_t *)at = rd_u64(&d->r);
		break;
	case MF_STR:
		return get_str(d, at);
	case MF_ADDR:
		return get_addr(d, at);
	case MF_PREFIX:
		return get_prefix(d, at);
	case MF_PREFIXES:
		return get_prefixes(d, at);
	case MF_LIST:
		return get_list(d, f->item(), at, depth);
	}
	return d->r.bad ? short_of(d) : 0;
}

static int get_row(struct dec *d, const struct mrow *row, uint8_t *to, unsigned depth)
{
	if (depth > DEPTH_MAX)
		return err_set(d->err, "lists in lists beyond %d", DEPTH_MAX);
	for (unsigned i = 0; i < row->nfields; i++)
		if (get_field(d, &row->fields[i], to + row->fields[i].offset, depth))
			return err_ctx(d->err, "%s", row->fields[i].name);
	return 0;
}

static int get_body(struct dec *d, const struct msg_def *def, struct msg *out)
{
	const struct mrow *row = def->row ? def->row() : NULL;
	uint8_t *body = NULL;

	if (row) {
		body = arena_alloc(d->arena, row->size);
		if (get_row(d, row, body, 0))
			return -1;
	}
	if (rd_left(&d->r))
		return err_set(d->err, "%zu bytes too many", rd_left(&d->r));
	out->body = body;
	return 0;
}

int msg_decode(const void *data, size_t len, struct arena *arena, struct msg *out, struct err *err)
{
	struct dec d = { rd_over(data, len), arena, err };
	const struct msg_def *def;
	unsigned magic, version, type;

	if (len < HEADER)
		return err_set(err, "a packet of %zu bytes is no message", len);
	if (len > MSG_MAX)
		return err_set(err, "a packet of %zu bytes is above the %d of a message", len,
			       MSG_MAX);
	magic = rd_u8(&d.r);
	version = rd_u8(&d.r);
	type = rd_u16(&d.r);
	if (magic != MSG_MAGIC)
		return err_set(err, "the first byte is 0x%02x, not a message's 0x%02x", magic,
			       MSG_MAGIC);
	if (version != MSG_VERSION)
		return err_set(err,
			       "message version %u, this program speaks %d: are all parts of "
			       "the same release?",
			       version, MSG_VERSION);
	def = msg_def(type);
	if (!def)
		return err_set(err, "message type %u is unknown", type);
	if (get_body(&d, def, out))
		return err_ctx(err, "%s", def->name);
	out->type = (uint16_t)type;
	return 0;
}
