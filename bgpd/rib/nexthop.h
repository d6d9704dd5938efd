/* The next hops of learned paths: is one usable, and which prefixes depend on it. */
#ifndef SELVAGE_BGPD_RIB_NEXTHOP_H
#define SELVAGE_BGPD_RIB_NEXTHOP_H

#include "bgpd/rib/bits.h"
#include "bgpd/rib/hidx.h"
#include "bgpd/rib/slab.h"
#include "bgpd/wire/wire.h"

/* Prefixes are grouped in regions of 64 indices: who depends on something is known by region, which
 * costs a bit for 64 prefixes instead of a list entry a path. */
enum { REGION_SHIFT = 6 };

struct nexthop {
	struct bgp_nexthop addr; /* as received */
	struct addr via; /* what the kernel is to use: the link-local one where its link is known */
	uint32_t ifindex; /* of a link-local via */
	uint32_t refs;
	uint32_t metric;
	uint16_t direct; /* the peer that it is itself, on a shared link: not tracked, usable while
			    the peer is; 0: tracked */
	bool reachable;	 /* tracked: the shell's last answer */
	bool own;	 /* one of our addresses */
	bool changed;	 /* queued for a sweep, which stands at: */
	uint8_t sweep_f;
	uint32_t sweep_at;
	struct bits regions[2]; /* by family, those with a path through it */
};

struct nexthop_set {
	struct slab slab;
	struct hidx index; /* by via and ifindex */
	uint64_t seed;
};

typedef void (*nexthop_fn)(void *arg, uint32_t i, struct nexthop *n);

void nexthop_set_init(struct nexthop_set *s, uint64_t seed);
void nexthop_set_fini(struct nexthop_set *s);
size_t nexthop_set_bytes(const struct nexthop_set *s);
void nexthop_each(const struct nexthop_set *s, nexthop_fn fn, void *arg);

static inline struct nexthop *nexthop_at(const struct nexthop_set *s, uint32_t i)
{
	return slab_at(&s->slab, i);
}

static inline bool nexthop_usable(const struct nexthop *n)
{
	return (n->direct || n->reachable) && !n->own;
}

/* Found or made, with one more reference; *fresh tells which. A fresh one copies the state of
 * another with the same via that is tracked; *first: there is none, so tracking has to begin. */
uint32_t nexthop_get(struct nexthop_set *s, const struct bgp_nexthop *addr, uint32_t ifindex,
		     uint16_t direct, bool *fresh, bool *first);
/* One reference less. true: it was the last; *gone receives a copy of what it was. */
bool nexthop_put(struct nexthop_set *s, uint32_t i, struct nexthop *gone);
/* The next tracked one after `after` (0: the first) with that via, or 0. */
uint32_t nexthop_same(const struct nexthop_set *s, const struct addr *via, uint32_t ifindex,
		      uint32_t after);

#endif
