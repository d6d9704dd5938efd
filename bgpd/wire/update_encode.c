#include "bgpd/wire/attr.h"

void wr_attr(struct wr *w, uint8_t flags, uint8_t type, size_t len)
{
	bool wide = len > UINT8_MAX;

	wr_u8(w, (uint8_t)(flags | (wide ? AF_EXTENDED : 0)));
	wr_u8(w, type);
	if (wide)
		wr_u16(w, (uint16_t)len);
	else
		wr_u8(w, (uint8_t)len);
}

void attrs_encode(struct wr *w, const struct attrs *a, const struct bgp_session_ctx *ctx)
{
	for (unsigned type = 0; type < ATTR_ROWS; type++)
		if (attr_table[type].encode)
			attr_table[type].encode(w, a, ctx);
	wr_bytes(w, a->unknown.p, a->unknown.len);
}

/* Where NEXT_HOP goes: behind ORIGIN and AS_PATH. */
static size_t next_hop_at(const uint8_t *attr, size_t len)
{
	size_t i = 0;

	while (len - i >= 4 && attr[i + 1] < ATTR_NEXT_HOP)
		i += attr[i] & AF_EXTENDED ? 4u + get_u16(attr + i + 2) : 3u + attr[i + 2];
	return i;
}

/* Opens MP_REACH or MP_UNREACH; its length is filled in at the end, so it is the extended one. */
static void mp_begin(struct update_builder *b, uint8_t type)
{
	wr_u8(b->w, AF_OPTIONAL | AF_EXTENDED);
	wr_u8(b->w, type);
	b->mp_len_at = b->w->len;
	wr_u16(b->w, 0);
	wr_u16(b->w, b->fam);
	wr_u8(b->w, SAFI_UNICAST);
}

static void put_mp_next_hop(struct wr *w, const struct bgp_nexthop *nh)
{
	const struct addr *first = nh->global.fam ? &nh->global : &nh->linklocal;
	bool two = first->fam == FAM_V6 && nh->linklocal.fam == FAM_V6 && !addr_is_linklocal(first);
	unsigned n = family_bytes(first->fam);

	wr_u8(w, (uint8_t)(two ? 2 * n : n));
	wr_bytes(w, first->b, n);
	if (two)
		wr_bytes(w, nh->linklocal.b, n);
	wr_u8(w, 0);
}

static void builder_begin(struct update_builder *b, struct wr *w, const struct bgp_session_ctx *ctx,
			  uint8_t fam, bool withdraw)
{
	*b = (struct update_builder){
		.w = w,
		.fam = fam,
		.withdraw = withdraw,
		.add_path = ctx->add_path & FAMILY_BIT(fam),
		.max = ctx->max_message,
	};
	b->start = wr_message_begin(w, BGP_UPDATE);
	b->nlri_len_at = w->len;
	wr_u16(w, 0);
}

/* The last octet that a prefix may take: what follows the prefixes has its room kept. */
static void builder_limit(struct update_builder *b, size_t behind)
{
	size_t end = b->start + b->max < b->w->cap ? b->start + b->max : b->w->cap;

	b->limit = b->w->full || end < behind ? 0 : end - behind;
}

void update_begin(struct update_builder *b, struct wr *w, const struct bgp_session_ctx *ctx,
		  uint8_t fam, const struct bgp_nexthop *nh, const uint8_t *attr, size_t attr_len)
{
	builder_begin(b, w, ctx, fam, false);
	b->mp = fam != FAM_V4 || nh->global.fam != FAM_V4;
	b->attr_len_at = w->len;
	wr_u16(w, 0);
	if (b->mp) {
		/* RFC 7606 section 5.1: MP_REACH_NLRI comes first, so the rest waits. */
		b->attr = attr;
		b->attr_len = attr_len;
		mp_begin(b, ATTR_MP_REACH);
		put_mp_next_hop(w, nh);
		builder_limit(b, attr_len);
	} else {
		size_t at = next_hop_at(attr, attr_len);

		wr_bytes(w, attr, at);
		wr_attr(w, AF_TRANSITIVE, ATTR_NEXT_HOP, 4);
		wr_bytes(w, nh->global.b, 4);
		wr_bytes(w, attr + at, attr_len - at);
		if (!w->full)
			put_u16(w->buf + b->attr_len_at, (uint16_t)(w->len - b->attr_len_at - 2));
		builder_limit(b, 0);
	}
}

void withdraw_begin(struct update_builder *b, struct wr *w, const struct bgp_session_ctx *ctx,
		    uint8_t fam)
{
	builder_begin(b, w, ctx, fam, true);
	b->mp = fam != FAM_V4;
	if (b->mp) {
		b->attr_len_at = w->len;
		wr_u16(w, 0);
		mp_begin(b, ATTR_MP_UNREACH);
		builder_limit(b, 0);
	} else {
		builder_limit(b, 2); /* the length of no attributes */
	}
}

bool update_add(struct update_builder *b, const struct prefix *p, uint32_t path_id)
{
	unsigned n = (p->len + 7u) >> 3;
	size_t need = 1 + n + (b->add_path ? 4 : 0);
	uint8_t *out = b->w->buf + b->w->len;

	if (b->w->len + need > b->limit)
		return false;
	if (b->add_path) {
		put_u32(out, path_id);
		out += 4;
	}
	*out++ = p->len;
	memcpy(out, p->addr.b, n);
	if (p->len & 7)
		out[n - 1] &= (uint8_t)(0xff00 >> (p->len & 7));
	b->w->len += need;
	b->count++;
	return true;
}

void update_end(struct update_builder *b)
{
	struct wr *w = b->w;

	if (!b->count) {
		w->len = b->start;
		return;
	}
	if (b->mp) {
		put_u16(w->buf + b->mp_len_at, (uint16_t)(w->len - b->mp_len_at - 2));
		wr_bytes(w, b->attr, b->attr_len);
		put_u16(w->buf + b->attr_len_at, (uint16_t)(w->len - b->attr_len_at - 2));
	} else if (b->withdraw) {
		put_u16(w->buf + b->nlri_len_at, (uint16_t)(w->len - b->nlri_len_at - 2));
		wr_u16(w, 0);
	}
	wr_message_end(w, b->start);
}

void end_of_rib_encode(struct wr *w, uint8_t fam)
{
	size_t start = wr_message_begin(w, BGP_UPDATE);

	wr_u16(w, 0);
	if (fam == FAM_V4) {
		wr_u16(w, 0);
	} else {
		wr_u16(w, 6);
		wr_attr(w, AF_OPTIONAL, ATTR_MP_UNREACH, 3);
		wr_u16(w, fam);
		wr_u8(w, SAFI_UNICAST);
	}
	wr_message_end(w, start);
}
