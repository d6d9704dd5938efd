#include "bgpd/wire/attr.h"

#include <inttypes.h>
#include <stdio.h>

/* RFC 1997, 8326, 7999, 9494, 3765 and the IANA registry. */
static const struct {
	uint32_t value;
	const char *name;
} well_known[] = {
	{ 0xFFFF0000, "graceful-shutdown" }, { 0xFFFF0001, "accept-own" },
	{ 0xFFFF0006, "llgr-stale" },	     { 0xFFFF0007, "no-llgr" },
	{ 0xFFFF029A, "blackhole" },	     { 0xFFFFFF01, "no-export" },
	{ 0xFFFFFF02, "no-advertise" },	     { 0xFFFFFF03, "no-export-subconfed" },
	{ 0xFFFFFF04, "no-peer" },
};

const char *community_format(uint32_t c, char *buf, size_t size)
{
	for (size_t i = 0; i < sizeof(well_known) / sizeof(well_known[0]); i++) {
		if (well_known[i].value == c) {
			snprintf(buf, size, "%s", well_known[i].name);
			return buf;
		}
	}
	snprintf(buf, size, "%u:%u", c >> 16, c & 0xffff);
	return buf;
}

const char *large_community_format(const uint8_t *p12, char *buf, size_t size)
{
	snprintf(buf, size, "%u:%u:%u", get_u32(p12), get_u32(p12 + 4), get_u32(p12 + 8));
	return buf;
}

enum { EXT_AS2 = 0, EXT_IPV4 = 1, EXT_AS4 = 2, EXT_NON_TRANSITIVE = 0x40 };
enum { EXT_RT = 2, EXT_SOO = 3, EXT_BANDWIDTH = 4 };

/* draft-ietf-idr-link-bandwidth: an AS number and octets a second as an IEEE float. */
static const char *format_bandwidth(const uint8_t *p, char *buf, size_t size)
{
	uint32_t bits = get_u32(p + 4);
	float rate;

	memcpy(&rate, &bits, sizeof(rate));
	snprintf(buf, size, "bandwidth:%u:%.0f", get_u16(p + 2), (double)rate);
	return buf;
}

const char *ext_community_format(const uint8_t *p8, char *buf, size_t size)
{
	uint8_t type = p8[0] & (uint8_t)~EXT_NON_TRANSITIVE;
	const char *kind = p8[1] == EXT_RT ? "rt" : p8[1] == EXT_SOO ? "soo" : NULL;

	if (type == EXT_AS2 && p8[1] == EXT_BANDWIDTH)
		return format_bandwidth(p8, buf, size);
	if (type > EXT_AS4 || !kind || (p8[0] & EXT_NON_TRANSITIVE))
		snprintf(buf, size, "0x%08" PRIx32 "%08" PRIx32, get_u32(p8), get_u32(p8 + 4));
	else if (type == EXT_AS2)
		snprintf(buf, size, "%s:%u:%u", kind, get_u16(p8 + 2), get_u32(p8 + 4));
	else if (type == EXT_IPV4)
		snprintf(buf, size, "%s:%u.%u.%u.%u:%u", kind, p8[2], p8[3], p8[4], p8[5],
			 get_u16(p8 + 6));
	else
		snprintf(buf, size, "%s:%u:%u", kind, get_u32(p8 + 2), get_u16(p8 + 6));
	return buf;
}

bool community_has(struct blob communities, uint32_t c)
{
	for (unsigned i = 0; i + 4 <= communities.len; i += 4)
		if (get_u32(communities.p + i) == c)
			return true;
	return false;
}
