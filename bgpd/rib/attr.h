/* Path attributes as one peer sent them with one next hop: interned, immutable, counted.
 *
 * The bytes are canonical (attrs_encode() with 4-octet AS numbers, no NEXT_HOP); what the decision
 * looks at stands decoded before them. Peer and next hop belong to the identity, so that a path,
 * and an Adj-RIB-Out entry, is one 32-bit number. Small ones live in slabs of their size.
 */
#ifndef SELVAGE_BGPD_RIB_ATTR_H
#define SELVAGE_BGPD_RIB_ATTR_H

#include "bgpd/rib/hidx.h"
#include "bgpd/rib/slab.h"
#include "bgpd/wire/wire.h"

/* Why a path cannot be chosen: found once for the attributes, not for every path. */
enum {
	ATTR_OWN_AS = 1,	 /* RFC 4271 9.1.2: our AS is in AS_PATH more often than allowed */
	ATTR_OWN_ORIGINATOR = 2, /* RFC 4456 section 8 */
	ATTR_OWN_CLUSTER = 4,
	ATTR_NO_POLICY = 8, /* RFC 8212 */
	ATTR_REJECTED = 15,
	ATTR_NO_EXPORT = 16, /* RFC 1997 */
	ATTR_NO_ADVERTISE = 32,
	ATTR_HAS_MED = 64,
	ATTR_BIG = 128, /* the bytes lie outside the slab */
};

struct attr {
	uint32_t refs;
	uint32_t nh;	     /* nexthop.h; 0: local */
	uint32_t local_pref; /* as decided with: 100 where the peer sent none */
	uint32_t med;
	uint32_t neighbour_as; /* first AS of the path; 0: none */
	uint32_t router_id;    /* ORIGINATOR_ID, or the peer's identifier */
	uint16_t peer, len;
	uint16_t path_len;
	uint8_t cluster_len, origin;
	uint8_t flags;
	uint8_t blob[]; /* ATTR_BIG: a pointer to the bytes */
};

struct attr_set {
	struct slab *classes;
	struct hidx index;
	uint64_t seed;
	size_t big_bytes;
	uint64_t count;
};

void attr_set_init(struct attr_set *s, uint64_t seed);
void attr_set_fini(struct attr_set *s);
size_t attr_set_bytes(const struct attr_set *s);

/* *as but for refs and len, with those bytes: found or made, with one more reference. *fresh tells
 * which; a fresh one holds no reference to its next hop and peer yet: that is the caller's. */
uint32_t attr_intern(struct attr_set *s, const struct attr *as, const uint8_t *blob, uint16_t len,
		     bool *fresh);
/* Drops the memory; refs must be 0. */
void attr_delete(struct attr_set *s, uint32_t i);

enum { ATTR_INDEX_BITS = 27 }; /* the bits above name the size class */

static inline struct attr *attr_at(const struct attr_set *s, uint32_t i)
{
	return slab_at(&s->classes[i >> ATTR_INDEX_BITS], i & ((1u << ATTR_INDEX_BITS) - 1));
}

static inline const uint8_t *attr_blob(const struct attr *a)
{
	const uint8_t *p = a->blob;
	if (a->flags & ATTR_BIG)
		memcpy(&p, a->blob, sizeof(p));
	return p;
}

/* Every attribute set, for a change of what flags depend on. */
typedef void (*attr_fn)(void *arg, uint32_t i, struct attr *a);
void attr_each(const struct attr_set *s, attr_fn fn, void *arg);

#endif
