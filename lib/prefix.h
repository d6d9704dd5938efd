/* Addresses and prefixes of both families, one tagged type each; never twins foo4 and foo6.
 *
 * enum family has BGP's AFI values (RFC 4760 section 10). Bytes after the family's length are
 * always zero, so that memcmp, hashing and struct copies hold. A prefix may carry host bits
 * ("10.0.0.1/24", an interface's address); prefix_mask() clears them, and functions that need a
 * network say so.
 */
#ifndef SELVAGE_LIB_PREFIX_H
#define SELVAGE_LIB_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;
struct sockaddr_storage;

enum family { FAM_NONE = 0, FAM_V4 = 1, FAM_V6 = 2 };

struct addr {
	uint8_t fam; /* enum family */
	uint8_t b[16];
};

struct prefix {
	struct addr addr;
	uint8_t len; /* bits */
};

enum { ADDR_STRLEN = 46, PREFIX_STRLEN = 50 };

/* 4, 16, or 0 for FAM_NONE: bytes; and the same in bits. */
static inline unsigned family_bytes(unsigned fam)
{
	return fam == FAM_V4 ? 4 : fam == FAM_V6 ? 16 : 0;
}

static inline unsigned family_bits(unsigned fam)
{
	return family_bytes(fam) * 8;
}

struct addr addr_make(enum family fam, const void *bytes);
struct addr addr_v4(uint32_t host_order);
uint32_t addr_to_u32(const struct addr *a); /* an IPv4 address in host order */

/* Text to address: 0, or -1 where the text is no IPv4 or IPv6 address (no zone, no brackets). */
int addr_parse(const char *text, struct addr *out);
/* Writes to buf (at least ADDR_STRLEN) and returns it; FAM_NONE gives "-". RFC 5952 form. */
const char *addr_format(const struct addr *a, char *buf, size_t size);

bool addr_eq(const struct addr *a, const struct addr *b);
int addr_cmp(const struct addr *a, const struct addr *b); /* family first, then value */
bool addr_is_linklocal(const struct addr *a);
/* Unspecified, loopback, multicast, class E or broadcast: no host and no next hop. */
bool addr_is_martian(const struct addr *a);
/* a + n within its family, wrapping at its end. */
struct addr addr_add(const struct addr *a, uint64_t n);

/* An IPv4-mapped IPv6 address becomes IPv4. *port (host order) and *scope may be NULL. */
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *out, uint16_t *port,
		       uint32_t *scope);
/* Returns the length that bind() and connect() want. */
unsigned addr_to_sockaddr(const struct addr *a, uint16_t port, uint32_t scope,
			  struct sockaddr_storage *out);

/* "10.0.0.0/8"; a bare address is a host prefix. Host bits are kept. 0 or -1. */
int prefix_parse(const char *text, struct prefix *out);
const char *prefix_format(const struct prefix *p, char *buf, size_t size);
struct prefix prefix_host(const struct addr *a); /* /32 or /128 */
struct prefix prefix_mask(const struct prefix *p); /* host bits cleared */
bool prefix_has_host_bits(const struct prefix *p);
bool prefix_eq(const struct prefix *a, const struct prefix *b);
int prefix_cmp(const struct prefix *a, const struct prefix *b); /* family, address, length */
bool prefix_contains(const struct prefix *net, const struct addr *a);
bool prefix_covers(const struct prefix *net, const struct prefix *sub); /* sub inside or equal */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
/* How many addresses; UINT64_MAX where 2^64 or more. */
uint64_t prefix_size(const struct prefix *p);
/* How far a lies behind the network's first address; UINT64_MAX where it does not fit. */
uint64_t prefix_offset(const struct prefix *net, const struct addr *a);
uint32_t addr_hash(const struct addr *a);
uint32_t prefix_hash(const struct prefix *p);

#endif
