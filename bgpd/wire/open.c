#include "bgpd/wire/attr.h"

enum { PARAM_CAPABILITIES = 2, PARAM_EXTENDED = 255 };
enum { GR_R = 0x8000, GR_N = 0x4000, GR_TIME = 0x0fff, GR_F = 0x80 };
enum { ADD_PATH_RECEIVE = 1, ADD_PATH_SEND = 2 };

struct open_reader {
	struct bgp_open *open;
	bool saw_mp;
};

static unsigned family_of(uint16_t afi, uint16_t safi)
{
	return (afi == FAM_V4 || afi == FAM_V6) && safi == SAFI_UNICAST ? afi : FAM_NONE;
}

static family_set family_bit_of(uint16_t afi, uint16_t safi)
{
	unsigned fam = family_of(afi, safi);

	return fam == FAM_NONE ? 0 : FAMILY_BIT(fam);
}

static void cap_mp(struct open_reader *o, struct rd *r)
{
	uint16_t afi = rd_u16(r);

	rd_u8(r);
	o->saw_mp = true;
	o->open->caps.mp |= family_bit_of(afi, rd_u8(r));
}

static void cap_refresh(struct open_reader *o, struct rd *r)
{
	(void)r;
	o->open->caps.route_refresh = true;
}

static void cap_enhanced(struct open_reader *o, struct rd *r)
{
	(void)r;
	o->open->caps.enhanced_refresh = true;
}

static void cap_ext_msg(struct open_reader *o, struct rd *r)
{
	(void)r;
	o->open->caps.extended_messages = true;
}

static void cap_ext_nexthop(struct open_reader *o, struct rd *r)
{
	while (rd_left(r) >= 6) {
		uint16_t afi = rd_u16(r), safi = rd_u16(r);

		if (rd_u16(r) == FAM_V6 && family_of(afi, safi) == FAM_V4)
			o->open->caps.ext_nexthop |= FAMILY_BIT(FAM_V4);
	}
}

static void cap_gr(struct open_reader *o, struct rd *r)
{
	struct bgp_caps *c = &o->open->caps;
	uint16_t head = rd_u16(r);

	/* Of several instances the last one counts: RFC 4724 section 3. */
	c->gr = true;
	c->gr_restarting = head & GR_R;
	c->gr_notification = head & GR_N;
	c->gr_time = head & GR_TIME;
	c->gr_families = c->gr_forwarding = 0;
	while (rd_left(r) >= 4) {
		uint16_t afi = rd_u16(r);
		uint8_t safi = rd_u8(r), flags = rd_u8(r);

		c->gr_families |= family_bit_of(afi, safi);
		if (flags & GR_F)
			c->gr_forwarding |= family_bit_of(afi, safi);
	}
}

static void cap_as4(struct open_reader *o, struct rd *r)
{
	o->open->caps.as4 = true;
	o->open->asn = rd_u32(r);
}

static void cap_add_path(struct open_reader *o, struct rd *r)
{
	while (rd_left(r) >= 4) {
		uint16_t afi = rd_u16(r);
		uint8_t safi = rd_u8(r), mode = rd_u8(r);

		/* Another value is to be ignored: RFC 7911 section 4. */
		if (mode > (ADD_PATH_RECEIVE | ADD_PATH_SEND))
			continue;
		if (mode & ADD_PATH_RECEIVE)
			o->open->caps.add_path_receive |= family_bit_of(afi, safi);
		if (mode & ADD_PATH_SEND)
			o->open->caps.add_path_send |= family_bit_of(afi, safi);
	}
}

/* The length is head octets and then a multiple of unit (0: nothing follows). */
static const struct capability {
	uint8_t code, head, unit;
	const char *name;
	void (*read)(struct open_reader *o, struct rd *r);
} capabilities[] = {
	{ CAP_MP, 4, 0, "multiprotocol", cap_mp },
	{ CAP_REFRESH, 0, 0, "route refresh", cap_refresh },
	{ CAP_EXT_NEXTHOP, 0, 6, "extended next hop", cap_ext_nexthop },
	{ CAP_EXT_MSG, 0, 0, "extended message", cap_ext_msg },
	{ CAP_GR, 2, 4, "graceful restart", cap_gr },
	{ CAP_AS4, 4, 0, "4-octet AS", cap_as4 },
	{ CAP_ADD_PATH, 0, 4, "add-path", cap_add_path },
	{ CAP_ENHANCED_REFRESH, 0, 0, "enhanced route refresh", cap_enhanced },
};

static const struct capability *capability_of(uint8_t code)
{
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		if (capabilities[i].code == code)
			return &capabilities[i];
	return NULL;
}

static int read_capabilities(struct open_reader *o, struct rd *r, struct bgp_error *e)
{
	while (rd_left(r)) {
		uint8_t code = rd_u8(r), len = rd_u8(r);
		struct rd value = rd_sub(r, len);
		const struct capability *cap = capability_of(code);

		if (r->bad)
			return bgp_fail(e, BERR_OPEN, 0, NULL, 0,
					"OPEN: capability %u runs past the end of its parameter",
					code);
		if (!cap)
			continue; /* RFC 5492 section 3: ignored */
		if (len < cap->head ||
		    (cap->unit ? (len - cap->head) % cap->unit : len != cap->head))
			return bgp_fail(e, BERR_OPEN, 0, NULL, 0,
					"OPEN: %s capability (%u) with a wrong length of %u",
					cap->name, code, len);
		cap->read(o, &value);
	}
	return 0;
}

/* RFC 5492 section 4; RFC 9072: with wide, lengths of parameters have two octets. */
static int read_parameters(struct open_reader *o, struct rd *r, bool wide, struct bgp_error *e)
{
	while (rd_left(r)) {
		uint8_t type = rd_u8(r);
		uint16_t len = wide ? rd_u16(r) : rd_u8(r);
		struct rd value = rd_sub(r, len);

		if (r->bad)
			return bgp_fail(
				e, BERR_OPEN, 0, NULL, 0,
				"OPEN: optional parameter %u runs past the end of the message",
				type);
		if (type != PARAM_CAPABILITIES)
			return bgp_fail(e, BERR_OPEN, OPEN_PARAM, NULL, 0,
					"OPEN: optional parameter %u is not supported", type);
		if (read_capabilities(o, &value, e) < 0)
			return -1;
	}
	return 0;
}

static int check_fields(const struct bgp_open *o, uint16_t as2, struct bgp_error *e)
{
	if (o->asn == 0 || as2 == 0)
		return bgp_fail(e, BERR_OPEN, OPEN_PEER_AS, NULL, 0,
				"OPEN: AS number 0 (RFC 7607 forbids it)");
	if (o->hold_time == 1 || o->hold_time == 2)
		return bgp_fail(e, BERR_OPEN, OPEN_HOLD, NULL, 0,
				"OPEN: hold time %u s is neither 0 nor at least 3", o->hold_time);
	if (o->id == 0)
		return bgp_fail(e, BERR_OPEN, OPEN_ID, NULL, 0, "OPEN: BGP identifier 0.0.0.0");
	return 0;
}

int bgp_open_decode(const uint8_t *msg, size_t len, struct bgp_open *out, struct bgp_error *e)
{
	struct rd r = rd_over(msg, len);
	struct open_reader o = { out, false };
	bool wide = false;
	uint8_t version;
	uint16_t as2;
	size_t params;

	*out = (struct bgp_open){ 0 };
	rd_bytes(&r, BGP_HEADER);
	version = rd_u8(&r);
	as2 = rd_u16(&r);
	out->asn = as2;
	out->hold_time = rd_u16(&r);
	out->id = rd_u32(&r);
	params = rd_u8(&r);
	if (r.bad)
		return bgp_fail(e, BERR_HEADER, HEADER_LENGTH, NULL, 0,
				"OPEN: %zu octets are too few", len);
	if (version != BGP_VERSION)
		return bgp_fail(e, BERR_OPEN, OPEN_VERSION, (uint8_t[]){ 0, BGP_VERSION }, 2,
				"OPEN: version %u, only 4 is spoken here", version);
	/* RFC 9072 section 2: a first parameter of type 255 announces the extended form. */
	if (params && rd_left(&r) >= 3 && r.p[0] == PARAM_EXTENDED) {
		wide = true;
		rd_u8(&r);
		params = rd_u16(&r);
	}
	if (params != rd_left(&r))
		return bgp_fail(e, BERR_OPEN, 0, NULL, 0,
				"OPEN: %zu octets of parameters announced, %zu received", params,
				rd_left(&r));
	if (read_parameters(&o, &r, wide, e) < 0 || check_fields(out, as2, e) < 0)
		return -1;
	if (!o.saw_mp)
		out->caps.mp = FAMILY_BIT(FAM_V4);
	return 0;
}

static void put_cap(struct wr *w, uint8_t code, uint8_t len)
{
	wr_u8(w, code);
	wr_u8(w, len);
}

/* One entry of AFI, SAFI and an octet; nothing for a family that is not in the set. */
static void put_family(struct wr *w, unsigned fam, uint8_t octet)
{
	wr_u16(w, (uint16_t)fam);
	wr_u8(w, SAFI_UNICAST);
	wr_u8(w, octet);
}

static unsigned families_in(family_set set)
{
	return !!(set & FAMILY_BIT(FAM_V4)) + !!(set & FAMILY_BIT(FAM_V6));
}

static void put_mp(struct wr *w, family_set mp)
{
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
		if (!(mp & FAMILY_BIT(fam)))
			continue;
		put_cap(w, CAP_MP, 4);
		wr_u16(w, (uint16_t)fam);
		wr_u8(w, 0);
		wr_u8(w, SAFI_UNICAST);
	}
}

static void put_gr(struct wr *w, const struct bgp_caps *c)
{
	put_cap(w, CAP_GR, (uint8_t)(2 + 4 * families_in(c->gr_families)));
	wr_u16(w, (uint16_t)((c->gr_restarting ? GR_R : 0) | (c->gr_notification ? GR_N : 0) |
			     (c->gr_time & GR_TIME)));
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		if (c->gr_families & FAMILY_BIT(fam))
			put_family(w, fam, c->gr_forwarding & FAMILY_BIT(fam) ? GR_F : 0);
}

static void put_add_path(struct wr *w, const struct bgp_caps *c)
{
	family_set any = c->add_path_send | c->add_path_receive;

	put_cap(w, CAP_ADD_PATH, (uint8_t)(4 * families_in(any)));
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		if (any & FAMILY_BIT(fam))
			put_family(
				w, fam,
				(c->add_path_receive & FAMILY_BIT(fam) ? ADD_PATH_RECEIVE : 0) |
					(c->add_path_send & FAMILY_BIT(fam) ? ADD_PATH_SEND : 0));
}

static void put_capabilities(struct wr *w, const struct bgp_open *open)
{
	const struct bgp_caps *c = &open->caps;

	put_mp(w, c->mp);
	if (c->route_refresh)
		put_cap(w, CAP_REFRESH, 0);
	if (c->ext_nexthop & FAMILY_BIT(FAM_V4)) {
		put_cap(w, CAP_EXT_NEXTHOP, 6);
		wr_u16(w, FAM_V4);
		wr_u16(w, SAFI_UNICAST);
		wr_u16(w, FAM_V6);
	}
	if (c->extended_messages)
		put_cap(w, CAP_EXT_MSG, 0);
	if (c->gr)
		put_gr(w, c);
	if (c->as4) {
		put_cap(w, CAP_AS4, 4);
		wr_u32(w, open->asn);
	}
	if (c->add_path_send | c->add_path_receive)
		put_add_path(w, c);
	if (c->enhanced_refresh)
		put_cap(w, CAP_ENHANCED_REFRESH, 0);
}

void bgp_open_encode(struct wr *w, const struct bgp_open *open)
{
	size_t start = wr_message_begin(w, BGP_OPEN), params, caps;

	wr_u8(w, BGP_VERSION);
	wr_u16(w, open->asn > UINT16_MAX ? AS_TRANS : (uint16_t)open->asn);
	wr_u16(w, open->hold_time);
	wr_u32(w, open->id);
	wr_u8(w, 0);
	params = w->len;
	wr_u8(w, PARAM_CAPABILITIES);
	wr_u8(w, 0);
	caps = w->len;
	put_capabilities(w, open);
	if (w->full)
		return;
	if (w->len == caps)
		w->len = params; /* an empty parameter says nothing */
	else
		w->buf[caps - 1] = (uint8_t)(w->len - caps);
	w->buf[params - 1] = (uint8_t)(w->len - params);
	wr_message_end(w, start);
}
