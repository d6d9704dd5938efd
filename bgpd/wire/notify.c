#include "bgpd/wire/attr.h"
#include "lib/utf8.h"

enum { REFRESH_BORR = 1, REFRESH_EORR = 2 };

/* Code points that turn or hide text on a terminal: U+200B..200F, 2028..202E, 2060..206F, FEFF. */
static bool is_invisible(const uint8_t *p)
{
	if (p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa0 && p[2] <= 0xaf;
	return p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
}

/* RFC 9003 section 2: one octet of length, then UTF-8. A wrong length leaves no text; section 4
 * wants the message treated as a shutdown all the same. */
static void read_shutdown_text(const uint8_t *data, size_t len, char out[256])
{
	char in[256];
	size_t n, o = 0;

	if (len < 1 || data[0] > len - 1)
		return;
	n = data[0];
	memcpy(in, data + 1, n);
	in[n] = '\0';
	for (size_t i = 0; i < n;) {
		size_t step = utf8_len(in + i);

		if (!step || !in[i] || utf8_is_control(in + i) ||
		    is_invisible((const uint8_t *)in + i)) {
			out[o++] = '?';
			i += step ? step : 1;
			continue;
		}
		memcpy(out + o, in + i, step);
		o += step;
		i += step;
	}
	out[o] = '\0';
}

static bool has_shutdown_text(uint8_t code, uint8_t subcode)
{
	return code == BERR_CEASE && (subcode == CEASE_SHUTDOWN || subcode == CEASE_RESET);
}

int bgp_notification_decode(const uint8_t *msg, size_t len, struct bgp_notification *out,
			    struct bgp_error *e)
{
	struct rd r = rd_over(msg, len);

	memset(out, 0, sizeof(*out));
	rd_bytes(&r, BGP_HEADER);
	out->code = rd_u8(&r);
	out->subcode = rd_u8(&r);
	if (r.bad)
		return bgp_fail(e, BERR_HEADER, HEADER_LENGTH, NULL, 0,
				"NOTIFICATION: %zu octets are too few", len);
	out->data = r.p;
	out->data_len = rd_left(&r);
	if (has_shutdown_text(out->code, out->subcode))
		read_shutdown_text(out->data, out->data_len, out->shutdown_text);
	/* RFC 8538 section 3.1: a hard reset carries the notification that it stands for. */
	else if (out->code == BERR_CEASE && out->subcode == CEASE_HARD_RESET &&
		 out->data_len >= 2 && has_shutdown_text(out->data[0], out->data[1]))
		read_shutdown_text(out->data + 2, out->data_len - 2, out->shutdown_text);
	return 0;
}

void bgp_notification_encode(struct wr *w, uint8_t code, uint8_t subcode, const void *data,
			     size_t data_len)
{
	size_t start = wr_message_begin(w, BGP_NOTIFICATION);

	wr_u8(w, code);
	wr_u8(w, subcode);
	wr_bytes(w, data, data_len);
	wr_message_end(w, start);
}

int bgp_refresh_decode(const uint8_t *msg, size_t len, struct bgp_refresh *out, struct bgp_error *e)
{
	struct rd r = rd_over(msg, len);
	uint16_t afi;

	rd_bytes(&r, BGP_HEADER);
	afi = rd_u16(&r);
	out->subtype = rd_u8(&r);
	out->safi = rd_u8(&r);
	if (r.bad)
		return bgp_fail(e, BERR_HEADER, HEADER_LENGTH, NULL, 0,
				"ROUTE-REFRESH: %zu octets are too few", len);
	/* RFC 7313 section 5; other subtypes may be longer (RFC 5291). */
	if ((out->subtype == REFRESH_BORR || out->subtype == REFRESH_EORR) && rd_left(&r))
		return bgp_fail(e, BERR_REFRESH, 1, msg, len,
				"ROUTE-REFRESH: %zu octets after subtype %u, where none may be",
				rd_left(&r), out->subtype);
	out->fam = FAM_NONE;
	if ((afi == FAM_V4 || afi == FAM_V6) && out->safi == SAFI_UNICAST)
		out->fam = (uint8_t)afi;
	return 0;
}

void bgp_refresh_encode(struct wr *w, uint8_t fam, uint8_t subtype)
{
	size_t start = wr_message_begin(w, BGP_ROUTE_REFRESH);

	wr_u16(w, fam);
	wr_u8(w, subtype);
	wr_u8(w, SAFI_UNICAST);
	wr_message_end(w, start);
}
