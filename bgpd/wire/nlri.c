#include "bgpd/wire/attr.h"

bool nlri_valid(const uint8_t *p, size_t len, unsigned max_bits, bool add_path)
{
	size_t i = 0;

	if (add_path) {
		while (i < len) {
			if (len - i < 5 || p[i + 4] > max_bits)
				return false;
			i += 5 + ((p[i + 4] + 7u) >> 3);
		}
		return i == len;
	}
	while (i < len) {
		if (p[i] > max_bits)
			return false;
		i += 1 + ((p[i] + 7u) >> 3);
	}
	return i == len;
}

/* Destinations that no unicast route may have. RFC 4271 section 6.3: a prefix that is semantically
 * incorrect, as a multicast address is, SHOULD be ignored. */
static bool v4_is_bogus(uint8_t first, unsigned bits)
{
	return (first >= 224 && first < 240 && bits >= 4) || (first == 127 && bits >= 8);
}

static bool v6_is_bogus(const uint8_t *b, unsigned bits)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (b[0] == 0xff)
		return bits >= 8;
	if (b[0] == 0xfe)
		return (b[1] & 0xc0) == 0x80 && bits >= 10;
	return bits == 128 && !b[0] && memcmp(b, loopback, sizeof(loopback)) == 0;
}

/* Copies the prefix's octets, with the host bits of the last one cleared. */
static void take_bits(uint8_t *to, const uint8_t *from, unsigned bits)
{
	unsigned n = (bits + 7) >> 3;

	memcpy(to, from, n);
	if (bits & 7)
		to[n - 1] &= (uint8_t)(0xff00 >> (bits & 7));
}

bool nlri_next_any(struct nlri *n, struct prefix *out, uint32_t *path_id)
{
	while (n->len) {
		const uint8_t *p = n->p;
		uint32_t id = 0;
		unsigned bits, used;

		if (n->add_path) {
			id = get_u32(p);
			p += 4;
		}
		bits = *p++;
		used = (bits + 7) >> 3;
		n->len -= (size_t)(p + used - n->p);
		n->p = p + used;
		*out = (struct prefix){ { .fam = n->fam }, (uint8_t)bits };
		take_bits(out->addr.b, p, bits);
		if (n->fam == FAM_V4 ? v4_is_bogus(out->addr.b[0], bits)
				     : v6_is_bogus(out->addr.b, bits))
			continue;
		if (path_id)
			*path_id = id;
		return true;
	}
	return false;
}
