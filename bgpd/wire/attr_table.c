#include "bgpd/wire/attr.h"

/* ---- decoders: the row has checked flags and length ---- */

static const char *get_origin(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	(void)len;
	if (v[0] > ORIGIN_INCOMPLETE)
		return "a value that is not IGP, EGP or INCOMPLETE";
	d->a->origin = v[0];
	return NULL;
}

static const char *get_as_path(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	const char *why = d->u ? as_path_check(v, len, d->ctx->as4 ? 4 : 2, false) : NULL;

	if (!why)
		d->a->as_path = (struct blob){ v, (uint16_t)len };
	return why;
}

static const char *get_next_hop(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	d->next_hop = v;
	d->next_hop_len = (uint16_t)len;
	return NULL;
}

static const char *get_med(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	(void)len;
	d->a->has_med = true;
	d->a->med = get_u32(v);
	return NULL;
}

static const char *get_local_pref(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	(void)len;
	d->a->has_local_pref = true;
	d->a->local_pref = get_u32(v);
	return NULL;
}

static const char *get_atomic_aggregate(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	(void)v, (void)len;
	d->a->atomic_aggregate = true;
	return NULL;
}

static const char *get_aggregator(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	uint32_t as;

	if (len != (d->ctx->as4 ? 8 : 6))
		return "a length that does not fit the session's AS numbers";
	as = d->ctx->as4 ? get_u32(v) : get_u16(v);
	if (!as)
		return "AS number 0";
	d->a->has_aggregator = true;
	d->a->aggregator_as = as;
	d->a->aggregator_id = get_u32(v + len - 4);
	return NULL;
}

static const char *get_communities(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	d->a->communities = (struct blob){ v, (uint16_t)len };
	return NULL;
}

static const char *get_originator_id(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	(void)len;
	d->a->has_originator = true;
	d->a->originator = get_u32(v);
	return NULL;
}

static const char *get_cluster_list(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	d->a->cluster_list = (struct blob){ v, (uint16_t)len };
	return NULL;
}

static const char *get_ext_communities(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	d->a->ext_communities = (struct blob){ v, (uint16_t)len };
	return NULL;
}

static const char *get_large_communities(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	d->a->large_communities = (struct blob){ v, (uint16_t)len };
	return NULL;
}

/* RFC 6793 section 4.1: a speaker with 4-octet numbers must not send these two, and what it sends
 * is discarded. */
static const char new_speaker[] = "sent although AS numbers have 4 octets in this session";

static const char *get_as4_path(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	const char *why = d->ctx->as4 ? new_speaker : as_path_check(v, len, 4, true);

	if (!why)
		d->as4_path = (struct blob){ v, (uint16_t)len };
	return why;
}

static const char *get_as4_aggregator(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	(void)len;
	if (d->ctx->as4)
		return new_speaker;
	if (!get_u32(v))
		return "AS number 0";
	d->has_as4_aggregator = true;
	d->as4_aggregator_as = get_u32(v);
	d->as4_aggregator_id = get_u32(v + 4);
	return NULL;
}

/* The family where the session carries it, or FAM_NONE. A family that was not agreed is passed
 * over: its routes are nothing that this session could be reset to mend (RFC 4760 section 7 lets us
 * ignore all of them), and some speakers send them. */
static unsigned agreed_family(const struct attr_decoder *d, const uint8_t *v)
{
	unsigned afi = get_u16(v);

	if ((afi != FAM_V4 && afi != FAM_V6) || v[2] != SAFI_UNICAST)
		return FAM_NONE;
	return d->ctx->families & FAMILY_BIT(afi) ? afi : FAM_NONE;
}

static bool nlri_take(const struct attr_decoder *d, unsigned fam, const uint8_t *p, size_t len,
		      struct nlri *out)
{
	bool add_path = d->ctx->add_path & FAMILY_BIT(fam);

	if (!nlri_valid(p, len, family_bits(fam), add_path))
		return false;
	*out = (struct nlri){ (uint8_t)fam, add_path, p, len };
	return true;
}

static bool is_linklocal(const uint8_t *p)
{
	return p[0] == 0xfe && (p[1] & 0xc0) == 0x80;
}

/* One or two IPv6 addresses (RFC 2545 section 3). A speaker without a global address sends its
 * link-local one alone, or behind "::"; then it is both. */
static void take_next_hop_v6(struct bgp_nexthop *nh, const uint8_t *p, unsigned len)
{
	static const uint8_t none[16];

	nh->global = addr_make(FAM_V6, p);
	if (is_linklocal(p))
		nh->linklocal = nh->global;
	if (len == 32 && is_linklocal(p + 16)) {
		nh->linklocal = addr_make(FAM_V6, p + 16);
		if (memcmp(p, none, sizeof(none)) == 0)
			nh->global = nh->linklocal;
	}
}

static const char *get_mp_reach(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	unsigned fam = agreed_family(d, v), nh_len = v[3];
	struct bgp_nexthop *nh = &d->u->nexthop[1];
	bool v4 = fam == FAM_V4 && nh_len == 4;
	bool v6 = (nh_len == 16 || nh_len == 32) &&
		  (fam == FAM_V6 || (d->ctx->ext_nexthop & FAMILY_BIT(FAM_V4)));

	if (fam == FAM_NONE) {
		d->reach = true;
		return NULL;
	}
	if (!v4 && !v6)
		return "a next hop of a length that its family does not have";
	if (nh_len + 5 > len)
		return "the next hop runs past the end";
	if (!nlri_take(d, fam, v + 5 + nh_len, len - 5 - nh_len, &d->u->reach[1]))
		return "a prefix that is too long or runs past the end";
	if (d->u->reach[1].len == 0)
		return NULL;
	d->reach = true;
	if (v4)
		nh->global = addr_make(FAM_V4, v + 4);
	else
		take_next_hop_v6(nh, v + 4, nh_len);
	if (addr_is_martian(&nh->global)) {
		char text[ADDR_STRLEN];

		update_note(d->u, UPDATE_WITHDRAW, UPD_OPTIONAL_ATTR, NULL, 0,
			    "MP_REACH_NLRI: %s cannot be a next hop",
			    addr_format(&nh->global, text, sizeof(text)));
	}
	return NULL;
}

static const char *get_mp_unreach(struct attr_decoder *d, const uint8_t *v, unsigned len)
{
	unsigned fam = agreed_family(d, v);

	if (fam != FAM_NONE && !nlri_take(d, fam, v + 3, len - 3, &d->u->withdrawn[1]))
		return "a prefix that is too long or runs past the end";
	return NULL;
}

/* ---- encoders ---- */

static void put_head(struct wr *w, uint8_t type, size_t len)
{
	wr_attr(w, attr_table[type].flags, type, len);
}

static void put_value(struct wr *w, uint8_t type, const void *value, size_t len)
{
	put_head(w, type, len);
	wr_bytes(w, value, len);
}

static void put_blob(struct wr *w, uint8_t type, struct blob b)
{
	if (b.len)
		put_value(w, type, b.p, b.len);
}

static void put_number(struct wr *w, uint8_t type, bool present, uint32_t v)
{
	if (!present)
		return;
	put_head(w, type, 4);
	wr_u32(w, v);
}

#define ENCODER(name)                                                                              \
	static void name(struct wr *w, const struct attrs *a, const struct bgp_session_ctx *ctx)

ENCODER(put_origin)
{
	(void)ctx;
	put_value(w, ATTR_ORIGIN, &a->origin, 1);
}

ENCODER(put_as_path)
{
	size_t narrow = a->as_path.len;

	if (ctx->as4) {
		put_value(w, ATTR_AS_PATH, a->as_path.p, a->as_path.len);
		return;
	}
	for (size_t i = 0; i + 2 <= a->as_path.len; i += 2 + a->as_path.p[i + 1] * 4u)
		narrow -= a->as_path.p[i + 1] * 2u;
	put_head(w, ATTR_AS_PATH, narrow);
	as_path_narrow(w, a->as_path);
}

ENCODER(put_med)
{
	(void)ctx;
	put_number(w, ATTR_MED, a->has_med, a->med);
}

ENCODER(put_local_pref)
{
	(void)ctx;
	put_number(w, ATTR_LOCAL_PREF, a->has_local_pref, a->local_pref);
}

ENCODER(put_atomic_aggregate)
{
	(void)ctx;
	if (a->atomic_aggregate)
		put_head(w, ATTR_ATOMIC_AGGREGATE, 0);
}

ENCODER(put_aggregator)
{
	if (!a->has_aggregator)
		return;
	put_head(w, ATTR_AGGREGATOR, ctx->as4 ? 8 : 6);
	if (ctx->as4)
		wr_u32(w, a->aggregator_as);
	else
		wr_u16(w, a->aggregator_as > UINT16_MAX ? AS_TRANS : (uint16_t)a->aggregator_as);
	wr_u32(w, a->aggregator_id);
}

ENCODER(put_communities)
{
	(void)ctx;
	put_blob(w, ATTR_COMMUNITIES, a->communities);
}

ENCODER(put_originator_id)
{
	(void)ctx;
	put_number(w, ATTR_ORIGINATOR_ID, a->has_originator, a->originator);
}

ENCODER(put_cluster_list)
{
	(void)ctx;
	put_blob(w, ATTR_CLUSTER_LIST, a->cluster_list);
}

ENCODER(put_ext_communities)
{
	(void)ctx;
	put_blob(w, ATTR_EXT_COMMUNITIES, a->ext_communities);
}

/* RFC 6793 section 4.2.2: only where AS_PATH has lost something. */
ENCODER(put_as4_path)
{
	if (!ctx->as4 && as_path_needs_as4(a->as_path))
		put_blob(w, ATTR_AS4_PATH, a->as_path);
}

ENCODER(put_as4_aggregator)
{
	if (ctx->as4 || !a->has_aggregator || a->aggregator_as <= UINT16_MAX)
		return;
	put_head(w, ATTR_AS4_AGGREGATOR, 8);
	wr_u32(w, a->aggregator_as);
	wr_u32(w, a->aggregator_id);
}

ENCODER(put_large_communities)
{
	(void)ctx;
	put_blob(w, ATTR_LARGE_COMMUNITIES, a->large_communities);
}

/* ---- the table ---- */

enum {
	WELL_KNOWN = AF_TRANSITIVE,
	NON_TRANSITIVE = AF_OPTIONAL,
	TRANSITIVE = AF_OPTIONAL | AF_TRANSITIVE,
	INTERNAL = ROW_INTERNAL,
	MP = ROW_MP | NON_TRANSITIVE,
	ANY = UINT16_MAX, /* length */
	D = UPDATE_DISCARD,
	W = UPDATE_WITHDRAW,
	R = UPDATE_RESET,
};

/* Lengths and outcomes: RFC 7606 section 7; for AS4_* RFC 6793 section 6, for LARGE_COMMUNITIES RFC
 * 8092 section 5, for OTC RFC 9234 section 5. NEXT_HOP's length counts only in a message that
 * needs one (RFC 4760 section 3) and is looked at there.
 *
 * Columns: name, decode, encode; shortest, longest, unit; flags; malformed, bad flags; subcode. */
/* clang-format off */
const struct attr_row attr_table[ATTR_ROWS] = {
	[ATTR_ORIGIN] = { "ORIGIN", get_origin, put_origin,
		1, 1, 0,     WELL_KNOWN,                W, W, UPD_ORIGIN },
	[ATTR_AS_PATH] = { "AS_PATH", get_as_path, put_as_path,
		0, ANY, 0,   WELL_KNOWN,                W, W, UPD_AS_PATH },
	[ATTR_NEXT_HOP] = { "NEXT_HOP", get_next_hop, NULL,
		0, ANY, 0,   WELL_KNOWN,                W, W, UPD_NEXT_HOP },
	[ATTR_MED] = { "MULTI_EXIT_DISC", get_med, put_med,
		4, 4, 0,     NON_TRANSITIVE,            W, W, UPD_OPTIONAL_ATTR },
	[ATTR_LOCAL_PREF] = { "LOCAL_PREF", get_local_pref, put_local_pref,
		4, 4, 0,     WELL_KNOWN | INTERNAL,     W, W, UPD_ATTR_LIST },
	[ATTR_ATOMIC_AGGREGATE] = { "ATOMIC_AGGREGATE", get_atomic_aggregate, put_atomic_aggregate,
		0, 0, 0,     WELL_KNOWN,                D, W, UPD_ATTR_LIST },
	[ATTR_AGGREGATOR] = { "AGGREGATOR", get_aggregator, put_aggregator,
		6, 8, 2,     TRANSITIVE,                D, W, UPD_OPTIONAL_ATTR },
	[ATTR_COMMUNITIES] = { "COMMUNITIES", get_communities, put_communities,
		4, ANY, 4,   TRANSITIVE,                W, W, UPD_OPTIONAL_ATTR },
	[ATTR_ORIGINATOR_ID] = { "ORIGINATOR_ID", get_originator_id, put_originator_id,
		4, 4, 0,     NON_TRANSITIVE | INTERNAL, W, W, UPD_OPTIONAL_ATTR },
	[ATTR_CLUSTER_LIST] = { "CLUSTER_LIST", get_cluster_list, put_cluster_list,
		4, ANY, 4,   NON_TRANSITIVE | INTERNAL, W, W, UPD_OPTIONAL_ATTR },
	[ATTR_MP_REACH] = { "MP_REACH_NLRI", get_mp_reach, NULL,
		5, ANY, 0,   MP,                        R, R, UPD_OPTIONAL_ATTR },
	[ATTR_MP_UNREACH] = { "MP_UNREACH_NLRI", get_mp_unreach, NULL,
		3, ANY, 0,   MP,                        R, R, UPD_OPTIONAL_ATTR },
	[ATTR_EXT_COMMUNITIES] = { "EXTENDED_COMMUNITIES", get_ext_communities, put_ext_communities,
		8, ANY, 8,   TRANSITIVE,                W, W, UPD_OPTIONAL_ATTR },
	[ATTR_AS4_PATH] = { "AS4_PATH", get_as4_path, put_as4_path,
		6, ANY, 2,   TRANSITIVE,                D, W, UPD_OPTIONAL_ATTR },
	[ATTR_AS4_AGGREGATOR] = { "AS4_AGGREGATOR", get_as4_aggregator, put_as4_aggregator,
		8, 8, 0,     TRANSITIVE,                D, W, UPD_OPTIONAL_ATTR },
	[ATTR_IPV6_EXT_COMMUNITIES] = { "IPV6_EXTENDED_COMMUNITIES", NULL, NULL,
		20, ANY, 20, TRANSITIVE,                W, W, UPD_OPTIONAL_ATTR },
	[ATTR_LARGE_COMMUNITIES] = { "LARGE_COMMUNITIES", get_large_communities, put_large_communities,
		12, ANY, 12, TRANSITIVE,                W, W, UPD_OPTIONAL_ATTR },
	[ATTR_OTC] = { "ONLY_TO_CUSTOMER", NULL, NULL,
		4, 4, 0,     TRANSITIVE,                W, W, UPD_OPTIONAL_ATTR },
};
/* clang-format on */
