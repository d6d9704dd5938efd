#include "config.h"

#include "lib/prefix.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/bytes.h"

static uint64_t load64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void store64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

struct addr addr_make(enum family fam, const void *bytes)
{
	struct addr a = { .fam = (uint8_t)fam };

	memcpy(a.b, bytes, family_bytes(fam));
	return a;
}

struct addr addr_v4(uint32_t host_order)
{
	struct addr a = { .fam = FAM_V4 };

	put_u32(a.b, host_order);
	return a;
}

uint32_t addr_to_u32(const struct addr *a)
{
	return (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 | (uint32_t)a->b[2] << 8 | a->b[3];
}

int addr_parse(const char *text, struct addr *out)
{
	struct addr a = { .fam = FAM_V4 };

	if (inet_pton(AF_INET, text, a.b) != 1) {
		a = (struct addr){ .fam = FAM_V6 };
		if (inet_pton(AF_INET6, text, a.b) != 1)
			return -1;
	}
	*out = a;
	return 0;
}

const char *addr_format(const struct addr *a, char *buf, size_t size)
{
	int af = a->fam == FAM_V4 ? AF_INET : AF_INET6;

	if (!family_bytes(a->fam) || !inet_ntop(af, a->b, buf, (socklen_t)size))
		snprintf(buf, size, "-");
	return buf;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	if (a->fam != b->fam)
		return a->fam < b->fam ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool addr_is_linklocal(const struct addr *a)
{
	if (a->fam == FAM_V4)
		return a->b[0] == 169 && a->b[1] == 254;
	return a->fam == FAM_V6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool addr_is_martian(const struct addr *a)
{
	if (a->fam == FAM_V4)
		return a->b[0] == 0 || a->b[0] == 127 || a->b[0] >= 224;
	if (a->fam != FAM_V6)
		return true;
	return a->b[0] == 0xff || (load64(a->b) == 0 && load64(a->b + 8) <= 1);
}

struct addr addr_add(const struct addr *a, uint64_t n)
{
	struct addr sum = *a;
	uint64_t lo;

	if (a->fam == FAM_V4)
		return addr_v4((uint32_t)(addr_to_u32(a) + n));
	lo = load64(a->b + 8) + n;
	if (lo < n)
		store64(sum.b, load64(a->b) + 1);
	store64(sum.b + 8, lo);
	return sum;
}

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *out, uint16_t *port, uint32_t *scope)
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;

	if (scope)
		*scope = 0;
	if (sa->sa_family == AF_INET) {
		memcpy(&sin, sa, sizeof(sin));
		*out = addr_make(FAM_V4, &sin.sin_addr);
		if (port)
			*port = ntohs(sin.sin_port);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -1;
	memcpy(&sin6, sa, sizeof(sin6));
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr))
		*out = addr_make(FAM_V4, sin6.sin6_addr.s6_addr + 12);
	else
		*out = addr_make(FAM_V6, &sin6.sin6_addr);
	if (port)
		*port = ntohs(sin6.sin6_port);
	if (scope)
		*scope = sin6.sin6_scope_id;
	return 0;
}

unsigned addr_to_sockaddr(const struct addr *a, uint16_t port, uint32_t scope,
			  struct sockaddr_storage *out)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };

	memset(out, 0, sizeof(*out));
	if (a->fam == FAM_V4) {
		sin.sin_port = htons(port);
		memcpy(&sin.sin_addr, a->b, 4);
		memcpy(out, &sin, sizeof(sin));
		return sizeof(sin);
	}
	if (a->fam != FAM_V6)
		return 0;
	sin6.sin6_port = htons(port);
	sin6.sin6_scope_id = scope;
	memcpy(&sin6.sin6_addr, a->b, 16);
	memcpy(out, &sin6, sizeof(sin6));
	return sizeof(sin6);
}

/* Decimal, no sign, no space, no leading zero: -1 otherwise. */
static int parse_len(const char *text, unsigned max)
{
	unsigned v = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		v = v * 10 + (unsigned)(*text - '0');
		if (v > max)
			return -1;
	}
	return (int)v;
}

int prefix_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char host[ADDR_STRLEN];
	struct prefix p;
	int len;

	if (n >= sizeof(host))
		return -1;
	memcpy(host, text, n);
	host[n] = '\0';
	if (addr_parse(host, &p.addr))
		return -1;
	len = slash ? parse_len(slash + 1, family_bits(p.addr.fam)) : (int)family_bits(p.addr.fam);
	if (len < 0)
		return -1;
	p.len = (uint8_t)len;
	*out = p;
	return 0;
}

const char *prefix_format(const struct prefix *p, char *buf, size_t size)
{
	size_t n;

	addr_format(&p->addr, buf, size);
	if (!family_bytes(p->addr.fam))
		return buf;
	n = strlen(buf);
	snprintf(buf + n, size - n, "/%u", p->len);
	return buf;
}

struct prefix prefix_host(const struct addr *a)
{
	return (struct prefix){ *a, (uint8_t)family_bits(a->fam) };
}

struct prefix prefix_mask(const struct prefix *p)
{
	struct prefix m = *p;
	unsigned whole = p->len / 8, bits = p->len % 8;

	if (whole >= sizeof(m.addr.b))
		return m;
	m.addr.b[whole] &= (uint8_t)(0xff00 >> bits);
	memset(m.addr.b + whole + 1, 0, sizeof(m.addr.b) - whole - 1);
	return m;
}

bool prefix_has_host_bits(const struct prefix *p)
{
	struct prefix m = prefix_mask(p);

	return !prefix_eq(&m, p);
}

bool prefix_eq(const struct prefix *a, const struct prefix *b)
{
	return !memcmp(a, b, sizeof(*a));
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	int c = addr_cmp(&a->addr, &b->addr);

	return c ? c : (int)a->len - (int)b->len;
}

/* Do the first len bits agree? */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned len)
{
	unsigned whole = len / 8, bits = len % 8;

	return !memcmp(a, b, whole) &&
	       (!bits || !((a[whole] ^ b[whole]) & (uint8_t)(0xff00 >> bits)));
}

bool prefix_contains(const struct prefix *net, const struct addr *a)
{
	return net->addr.fam == a->fam && a->fam != FAM_NONE &&
	       same_bits(net->addr.b, a->b, net->len);
}

bool prefix_covers(const struct prefix *net, const struct prefix *sub)
{
	return net->len <= sub->len && prefix_contains(net, &sub->addr);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return prefix_covers(a, b) || prefix_covers(b, a);
}

uint64_t prefix_size(const struct prefix *p)
{
	unsigned bits = family_bits(p->addr.fam) - p->len;

	if (!family_bits(p->addr.fam))
		return 0;
	return bits < 64 ? (uint64_t)1 << bits : UINT64_MAX;
}

uint64_t prefix_offset(const struct prefix *net, const struct addr *a)
{
	struct prefix m = prefix_mask(net);

	if (!prefix_contains(net, a))
		return UINT64_MAX;
	if (a->fam == FAM_V4)
		return addr_to_u32(a) - addr_to_u32(&m.addr);
	if (load64(a->b) != load64(m.addr.b))
		return UINT64_MAX;
	return load64(a->b + 8) - load64(m.addr.b + 8);
}

/* The finishing steps of MurmurHash3's 64-bit variant: every input bit moves every output bit. */
static uint64_t mix(uint64_t h)
{
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

static uint32_t hash(const struct addr *a, uint64_t more)
{
	uint64_t hi, lo;

	memcpy(&hi, a->b, 8);
	memcpy(&lo, a->b + 8, 8);
	return (uint32_t)mix(mix(hi + more) ^ lo * UINT64_C(0x9e3779b97f4a7c15));
}

uint32_t addr_hash(const struct addr *a)
{
	return hash(a, a->fam);
}

uint32_t prefix_hash(const struct prefix *p)
{
	return hash(&p->addr, (uint64_t)p->len << 8 | p->addr.fam);
}
