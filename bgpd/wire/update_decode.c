#include "bgpd/wire/attr.h"

#include <stdarg.h>
#include <stdio.h>

enum { UPDATE_MIN = 23 };

void update_note(struct bgp_update *u, enum update_outcome outcome, uint8_t subcode,
		 const uint8_t *data, size_t data_len, const char *fmt, ...)
{
	char text[sizeof(u->error.text)];
	va_list ap;

	if (outcome <= u->outcome)
		return;
	u->outcome = outcome;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	bgp_fail(&u->error, BERR_UPDATE, subcode, data, data_len, "%s", text);
}

/* An attribute as it lies in the message. */
struct item {
	const uint8_t *p, *v; /* header, value */
	uint32_t len;	      /* of the value */
	uint8_t flags, type;
};

static size_t item_size(const struct item *it)
{
	return (size_t)(it->v - it->p) + it->len;
}

static void item_note(struct attr_decoder *d, const struct item *it, enum update_outcome outcome,
		      uint8_t subcode, const char *why)
{
	const struct attr_row *row = it->type < ATTR_ROWS ? &attr_table[it->type] : NULL;

	if (row && row->name)
		update_note(d->u, outcome, subcode, it->p, item_size(it), "%s: %s", row->name, why);
	else
		update_note(d->u, outcome, subcode, it->p, item_size(it), "attribute %u: %s",
			    it->type, why);
}

/* RFC 4271 section 5: what we do not know goes on with Partial set where it is transitive. */
static void pass_on(struct attr_decoder *d, const struct item *it)
{
	size_t at = d->scratch.len;

	wr_bytes(&d->scratch, it->p, item_size(it));
	if (d->scratch.full) {
		item_note(d, it, UPDATE_WITHDRAW, UPD_ATTR_LIST, "no room to keep it");
		return;
	}
	d->scratch.buf[at] |= AF_PARTIAL;
	if (!d->a->unknown.len)
		d->a->unknown.p = d->scratch.buf + at;
	else if (it->type < d->last_unknown)
		d->unsorted = true;
	d->a->unknown.len = (uint16_t)(d->a->unknown.len + item_size(it));
	d->last_unknown = it->type;
}

static void unknown_item(struct attr_decoder *d, const struct item *it)
{
	if (!(it->flags & AF_OPTIONAL))
		item_note(d, it, UPDATE_RESET, UPD_UNKNOWN_WELL_KNOWN,
			  "well-known, but not known here");
	else if (it->flags & AF_TRANSITIVE)
		pass_on(d, it);
}

/* RFC 7606 section 3 (c), and RFC 4271 section 4.3: Partial only where a speaker in between may
 * not have known the attribute. */
static bool flags_conflict(uint8_t flags, uint8_t want)
{
	return ((flags ^ want) & AF_KIND) || ((flags & AF_PARTIAL) && (want & AF_KIND) != AF_KIND);
}

static bool was_seen(const struct attr_decoder *d, uint8_t type)
{
	return d->seen[type >> 6] >> (type & 63) & 1;
}

static bool length_fits(const struct attr_row *row, uint32_t len)
{
	return len >= row->len_min && len <= row->len_max &&
	       !(row->len_unit && len % row->len_unit);
}

/* One attribute with everything that can be wrong with it. */
static void take_item(struct attr_decoder *d, const struct item *it)
{
	const struct attr_row *row = it->type < ATTR_ROWS ? &attr_table[it->type] : NULL;
	const char *why;

	/* RFC 7606 section 3 (g) */
	if (was_seen(d, it->type)) {
		item_note(d, it, attr_is_mp(it->type) ? UPDATE_RESET : UPDATE_DISCARD,
			  UPD_ATTR_LIST, "more than once");
		return;
	}
	d->seen[it->type >> 6] |= (uint64_t)1 << (it->type & 63);
	if (!row || !row->name) {
		unknown_item(d, it);
		return;
	}
	if (flags_conflict(it->flags, row->flags)) {
		item_note(d, it, row->bad_flags, UPD_ATTR_FLAGS, "flags that it must not have");
		return;
	}
	/* RFC 7606 sections 7.5, 7.9, 7.10 */
	if ((row->flags & ROW_INTERNAL) && d->ctx->ebgp) {
		item_note(d, it, UPDATE_DISCARD, UPD_ATTR_LIST, "from an external peer, dropped");
		return;
	}
	if (!length_fits(row, it->len)) {
		item_note(d, it, row->malformed, UPD_ATTR_LENGTH, "a wrong length");
		return;
	}
	if (!row->decode) {
		pass_on(d, it);
		return;
	}
	why = row->decode(d, it->v, it->len);
	if (why)
		item_note(d, it, row->malformed, row->subcode, why);
}

/* RFC 7606 section 4: the rest of the attributes cannot be read, but the NLRI field can be found.
 * An MP attribute that is cut is one whose prefixes cannot be told: section 3 (j). */
static void note_overrun(struct attr_decoder *d, const uint8_t *p, size_t left)
{
	bool mp = left >= 2 && attr_is_mp(p[1]);
	enum update_outcome outcome = mp ? UPDATE_RESET : UPDATE_WITHDRAW;

	if (left < 3)
		update_note(d->u, outcome, UPD_ATTR_LIST, p, left,
			    "%zu octets behind the last path attribute", left);
	else
		update_note(d->u, outcome, UPD_ATTR_LIST, p, left,
			    "path attribute %u runs past the end of the attributes", p[1]);
}

/* Where the attributes other than MP_REACH and MP_UNREACH lie: MP attributes in front of them move
 * `from`, those behind are counted, and what is then missing up to the end lies in between. */
struct run {
	const uint8_t *from, *to;
	size_t behind;
};

static void run_skip(struct run *r, const uint8_t *p, size_t size)
{
	if (p == r->from) {
		r->from = p + size;
		return;
	}
	if (!r->to)
		r->to = p;
	r->behind += size;
}

static struct blob run_block(const struct run *r, const uint8_t *end)
{
	const uint8_t *to = r->to ? r->to : end;

	if (to + r->behind != end)
		return (struct blob){ 0 };
	return (struct blob){ r->from, (uint16_t)(to - r->from) };
}

/* The common case in few steps: an attribute that is known, well-formed, and here for the first
 * time. false: nothing was done, take_item() has to look at it. */
static inline bool take_common(struct attr_decoder *d, const uint8_t *p, unsigned head,
			       uint32_t len, uint8_t check)
{
	const struct attr_row *row = &attr_table[p[1]];
	uint64_t bit = (uint64_t)1 << p[1];
	const char *why;

	if ((((p[0] & (AF_KIND | AF_PARTIAL)) ^ row->flags) & check) || !row->decode ||
	    (d->seen[0] & bit) || !length_fits(row, len))
		return false;
	d->seen[0] |= bit;
	why = row->decode(d, p + head, len);
	if (why) {
		struct item it = { p, p + head, len, p[0], p[1] };

		item_note(d, &it, row->malformed, row->subcode, why);
	}
	return true;
}

static void take_rare(struct attr_decoder *d, const uint8_t *p, unsigned head, uint32_t len,
		      struct run *run)
{
	struct item it = { p, p + head, len, p[0], p[1] };

	if (attr_is_mp(it.type))
		run_skip(run, p, head + len);
	take_item(d, &it);
}

static void walk_attributes(struct attr_decoder *d, const uint8_t *p, size_t len)
{
	/* A row's flags that differ in one of these make the attribute a case for take_item(). */
	const uint8_t check = AF_KIND | AF_PARTIAL | ROW_MP | (d->ctx->ebgp ? ROW_INTERNAL : 0);
	const uint8_t *end = p + len;
	struct run run = { .from = p };

	while (p < end) {
		size_t left = (size_t)(end - p);
		unsigned head = 3;
		uint32_t n;

		if (left < 3) {
			note_overrun(d, p, left);
			return;
		}
		n = p[2];
		if (p[0] & AF_EXTENDED) {
			head = 4;
			n = left < 4 ? UINT16_MAX : get_u16(p + 2);
		}
		if (n + head > left) {
			note_overrun(d, p, left);
			return;
		}
		if (p[1] >= ATTR_ROWS || !take_common(d, p, head, n, check)) {
			take_rare(d, p, head, n, &run);
			if (d->u->outcome == UPDATE_RESET)
				return;
		}
		p += head + n;
	}
	d->u->raw = run_block(&run, end);
}

/* RFC 6793 section 4.2.3: numbers of 2 octets, and what AS4_* say of them. */
static void merge_as4(struct attr_decoder *d)
{
	struct attrs *a = d->a;
	size_t at = d->scratch.len;

	if (d->has_as4_aggregator && a->has_aggregator) {
		if (a->aggregator_as == AS_TRANS) {
			a->aggregator_as = d->as4_aggregator_as;
			a->aggregator_id = d->as4_aggregator_id;
		} else {
			d->as4_path.len = 0;
		}
	}
	if (!a->as_path.len)
		return;
	as_path_widen(&d->scratch, a->as_path, d->as4_path);
	if (d->scratch.full || d->scratch.len - at > UINT16_MAX) {
		a->as_path.len = 0;
		update_note(d->u, UPDATE_WITHDRAW, UPD_AS_PATH, NULL, 0,
			    "AS_PATH: too long with AS numbers of 4 octets");
		return;
	}
	a->as_path = (struct blob){ d->scratch.buf + at, (uint16_t)(d->scratch.len - at) };
}

static size_t whole_size(const uint8_t *p)
{
	return p[0] & AF_EXTENDED ? 4u + get_u16(p + 2) : 3u + p[2];
}

/* One set of attributes has one form: sorted by type code. Rare, so a selection sort into fresh
 * scratch will do. */
static void sort_unknown(struct attr_decoder *d)
{
	struct blob in = d->a->unknown;
	size_t at = d->scratch.len;

	for (int last = -1;;) {
		const uint8_t *best = NULL;

		for (size_t i = 0; i < in.len; i += whole_size(in.p + i))
			if (in.p[i + 1] > last && (!best || in.p[i + 1] < best[1]))
				best = in.p + i;
		if (!best)
			break;
		last = best[1];
		wr_bytes(&d->scratch, best, whole_size(best));
	}
	if (!d->scratch.full)
		d->a->unknown.p = d->scratch.buf + at;
}

static void check_next_hop(struct attr_decoder *d)
{
	struct bgp_nexthop *nh = &d->u->nexthop[0];
	char text[ADDR_STRLEN];

	if (!d->next_hop) {
		update_note(d->u, UPDATE_WITHDRAW, UPD_MISSING_WELL_KNOWN,
			    (uint8_t[]){ ATTR_NEXT_HOP }, 1, "NEXT_HOP is missing");
		return;
	}
	if (d->next_hop_len != 4) {
		update_note(d->u, UPDATE_WITHDRAW, UPD_ATTR_LENGTH, NULL, 0,
			    "NEXT_HOP: a wrong length");
		return;
	}
	nh->global = addr_make(FAM_V4, d->next_hop);
	if (addr_is_martian(&nh->global))
		update_note(d->u, UPDATE_WITHDRAW, UPD_NEXT_HOP, NULL, 0,
			    "NEXT_HOP: %s cannot be a next hop",
			    addr_format(&nh->global, text, sizeof(text)));
}

static void check_first_as(struct attr_decoder *d)
{
	uint32_t first = as_path_first(d->a->as_path);

	if (first != d->ctx->peer_as)
		update_note(d->u, UPDATE_WITHDRAW, UPD_AS_PATH, NULL, 0,
			    "AS_PATH: starts with AS %u, not with the peer's %u", first,
			    d->ctx->peer_as);
}

/* RFC 7606 section 3 (d) */
static void check_mandatory(struct attr_decoder *d)
{
	static const uint8_t mandatory[] = { ATTR_ORIGIN, ATTR_AS_PATH };

	for (size_t i = 0; i < sizeof(mandatory); i++)
		if (!was_seen(d, mandatory[i]))
			update_note(d->u, UPDATE_WITHDRAW, UPD_MISSING_WELL_KNOWN, mandatory + i, 1,
				    "%s is missing", attr_table[mandatory[i]].name);
	if (d->u->reach[0].len)
		check_next_hop(d);
	if (d->ctx->ebgp && d->ctx->check_first_as)
		check_first_as(d);
}

/* The message's own fields are IPv4 unicast; without that family in the session they are passed
 * over. */
static bool take_field(const struct bgp_session_ctx *ctx, const uint8_t *p, size_t len,
		       struct nlri *out)
{
	bool add_path = ctx->add_path & FAMILY_BIT(FAM_V4);

	if (!len || !(ctx->families & FAMILY_BIT(FAM_V4)))
		return true;
	if (!nlri_valid(p, len, 32, add_path))
		return false;
	*out = (struct nlri){ FAM_V4, add_path, p, len };
	return true;
}

static void check_end_of_rib(struct attr_decoder *d, const uint8_t *attr, size_t attr_len,
			     bool other)
{
	struct bgp_update *u = d->u;

	/* RFC 4724 section 2: an UPDATE with nothing in it, or with nothing but an empty
	 * MP_UNREACH. */
	if (other || u->outcome != UPDATE_OK)
		return;
	if (!attr_len)
		u->end_of_rib = d->ctx->families & FAMILY_BIT(FAM_V4);
	else if (u->withdrawn[1].fam != FAM_NONE && !u->withdrawn[1].len &&
		 attr_len == whole_size(attr))
		u->end_of_rib = FAMILY_BIT(u->withdrawn[1].fam);
}

static void finish(struct attr_decoder *d, bool nlri)
{
	struct bgp_update *u = d->u;

	if (u->outcome == UPDATE_RESET)
		return;
	if (!d->ctx->as4)
		merge_as4(d);
	if (d->unsorted)
		sort_unknown(d);
	if (u->reach[0].len || u->reach[1].len)
		check_mandatory(d);
	/* RFC 7606 section 5.2: without a route that could be withdrawn, nobody can be sure that
	 * the prefixes were read at all. */
	if (u->outcome == UPDATE_WITHDRAW && !nlri && !d->reach)
		u->outcome = UPDATE_RESET;
	if (u->outcome >= UPDATE_WITHDRAW)
		u->raw.len = 0;
}

void bgp_update_decode(const uint8_t *msg, size_t len, const struct bgp_session_ctx *ctx,
		       uint8_t *scratch, size_t scratch_len, struct bgp_update *out)
{
	struct attr_decoder d = { .ctx = ctx, .a = &out->attrs, .u = out };
	size_t wlen, alen = 0, nlen;
	const uint8_t *attr, *nlri;

	out->outcome = UPDATE_OK;
	out->error.code = out->error.subcode = out->error.data_len = 0;
	out->error.text[0] = '\0';
	memset(out->withdrawn, 0, sizeof(*out) - offsetof(struct bgp_update, withdrawn));
	d.scratch = wr_over(scratch, scratch_len);

	/* RFC 7606 section 3 (b) */
	wlen = len < UPDATE_MIN ? len : get_u16(msg + BGP_HEADER);
	if (wlen + UPDATE_MIN <= len)
		alen = get_u16(msg + BGP_HEADER + 2 + wlen);
	if (wlen + alen + UPDATE_MIN > len) {
		update_note(out, UPDATE_RESET, UPD_ATTR_LIST, NULL, 0,
			    "UPDATE: its lengths of withdrawn routes (%zu) and attributes (%zu) "
			    "exceed the message (%zu)",
			    wlen, alen, len);
		return;
	}
	attr = msg + UPDATE_MIN + wlen;
	nlri = attr + alen;
	nlen = (size_t)(msg + len - nlri);
	if (!take_field(ctx, msg + BGP_HEADER + 2, wlen, &out->withdrawn[0])) {
		update_note(out, UPDATE_RESET, UPD_NETWORK, NULL, 0,
			    "UPDATE: a withdrawn prefix is too long or runs past the end");
		return;
	}
	if (!take_field(ctx, nlri, nlen, &out->reach[0])) {
		update_note(out, UPDATE_RESET, UPD_NETWORK, NULL, 0,
			    "UPDATE: a prefix is too long or runs past the end");
		return;
	}
	walk_attributes(&d, attr, alen);
	finish(&d, nlen > 0);
	check_end_of_rib(&d, attr, alen, wlen || nlen);
}

void attrs_decode_own(const uint8_t *p, size_t len, struct attrs *out)
{
	static const struct bgp_session_ctx own = { .as4 = true };
	struct attr_decoder d = { .ctx = &own, .a = out };
	const uint8_t *end = p + len;

	*out = (struct attrs){ 0 };
	for (; p < end; p += whole_size(p)) {
		const struct attr_row *row = p[1] < ATTR_ROWS ? &attr_table[p[1]] : NULL;
		size_t head = p[0] & AF_EXTENDED ? 4 : 3;

		/* attrs_encode() writes the unknown ones last. */
		if (!row || !row->encode) {
			out->unknown = (struct blob){ p, (uint16_t)(end - p) };
			return;
		}
		row->decode(&d, p + head, (unsigned)(whole_size(p) - head));
	}
}
