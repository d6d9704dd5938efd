#include "bgpd/wire/attr.h"

static const uint8_t marker[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* RFC 4271 section 6.1; RFC 2918 section 3. */
static const struct {
	const char *name;
	uint16_t min, max;
} types[] = {
	[BGP_OPEN] = { "OPEN", 29, BGP_MAX }, /* never extended: RFC 8654 section 4 */
	[BGP_UPDATE] = { "UPDATE", 23, BGP_MAX_EXTENDED },
	[BGP_NOTIFICATION] = { "NOTIFICATION", 21, BGP_MAX_EXTENDED },
	[BGP_KEEPALIVE] = { "KEEPALIVE", 19, 19 },
	[BGP_ROUTE_REFRESH] = { "ROUTE-REFRESH", 23, BGP_MAX_EXTENDED },
};

int bgp_header_check(const uint8_t *buf, size_t len, size_t max, uint8_t *type, struct bgp_error *e)
{
	unsigned length;

	if (len < BGP_HEADER)
		return 0;
	if (memcmp(buf, marker, sizeof(marker)) != 0)
		return bgp_fail(e, BERR_HEADER, HEADER_SYNC, NULL, 0,
				"the message header's marker is not all ones: the stream is out of "
				"step or the peer does not speak BGP");
	length = get_u16(buf + 16);
	if (length < BGP_HEADER || length > max)
		return bgp_fail(e, BERR_HEADER, HEADER_LENGTH, buf + 16, 2,
				"message length %u is not between %d and %zu", length, BGP_HEADER,
				max);
	*type = buf[18];
	if (*type < BGP_OPEN || *type > BGP_ROUTE_REFRESH)
		return bgp_fail(e, BERR_HEADER, HEADER_TYPE, buf + 18, 1,
				"message type %u is unknown", *type);
	if (length < types[*type].min || length > types[*type].max)
		return bgp_fail(e, BERR_HEADER, HEADER_LENGTH, buf + 16, 2,
				"%s: length %u is not between %u and %u", types[*type].name, length,
				types[*type].min, types[*type].max);
	return len < length ? 0 : (int)length;
}

size_t wr_message_begin(struct wr *w, uint8_t type)
{
	size_t start = w->len;

	wr_bytes(w, marker, sizeof(marker));
	wr_u16(w, 0);
	wr_u8(w, type);
	return start;
}

void wr_message_end(struct wr *w, size_t start)
{
	if (!w->full)
		put_u16(w->buf + start + 16, (uint16_t)(w->len - start));
}

void bgp_keepalive_encode(struct wr *w)
{
	wr_message_end(w, wr_message_begin(w, BGP_KEEPALIVE));
}
