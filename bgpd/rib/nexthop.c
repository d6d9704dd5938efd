#include "bgpd/rib/nexthop.h"

void nexthop_set_init(struct nexthop_set *s, uint64_t seed)
{
	*s = (struct nexthop_set){ .seed = seed };
	slab_init(&s->slab, (sizeof(struct nexthop) + 7) & ~7u);
	hidx_init(&s->index, 0);
}

void nexthop_each(const struct nexthop_set *s, nexthop_fn fn, void *arg)
{
	for (uint32_t k = 0; k < s->index.segs[0].cap; k++) {
		uint32_t i = s->index.segs[0].slots[k].item;
		if (i)
			fn(arg, i, nexthop_at(s, i));
	}
}

static void drop_regions(void *arg, uint32_t i, struct nexthop *n)
{
	(void)arg;
	(void)i;
	bits_clear(&n->regions[0]);
	bits_clear(&n->regions[1]);
}

void nexthop_set_fini(struct nexthop_set *s)
{
	nexthop_each(s, drop_regions, NULL);
	slab_fini(&s->slab);
	hidx_fini(&s->index);
}

static void add_bytes(void *arg, uint32_t i, struct nexthop *n)
{
	(void)i;
	*(size_t *)arg += bits_bytes(&n->regions[0]) + bits_bytes(&n->regions[1]);
}

size_t nexthop_set_bytes(const struct nexthop_set *s)
{
	size_t sum = s->slab.bytes + hidx_bytes(&s->index);
	nexthop_each(s, add_bytes, &sum);
	return sum;
}

static uint64_t via_hash(const struct nexthop_set *s, const struct addr *via, uint32_t ifindex)
{
	return hash_bytes(s->seed ^ ifindex, via->b, sizeof(via->b));
}

struct nexthop_key {
	const struct nexthop_set *s;
	const struct bgp_nexthop *addr;
	const struct addr *via;
	uint32_t ifindex, after;
	uint16_t direct;
	bool found;
};

static bool same_object(const void *ctx, uint32_t item)
{
	const struct nexthop_key *k = ctx;
	const struct nexthop *n = nexthop_at(k->s, item);
	return n->direct == k->direct && n->ifindex == k->ifindex &&
	       addr_eq(&n->addr.global, &k->addr->global) &&
	       addr_eq(&n->addr.linklocal, &k->addr->linklocal);
}

/* Matches after the one given; the index's order stands as long as nothing is added. */
static bool same_via(const void *ctx, uint32_t item)
{
	struct nexthop_key *k = (struct nexthop_key *)(uintptr_t)ctx;
	const struct nexthop *n = nexthop_at(k->s, item);
	if (n->direct || n->ifindex != k->ifindex || !addr_eq(&n->via, k->via))
		return false;
	bool now = k->found;
	if (item == k->after)
		k->found = true;
	return now;
}

uint32_t nexthop_same(const struct nexthop_set *s, const struct addr *via, uint32_t ifindex,
		      uint32_t after)
{
	struct nexthop_key k = {
		.s = s, .via = via, .ifindex = ifindex, .after = after, .found = after == 0
	};
	return hidx_find(&s->index, via_hash(s, via, ifindex), same_via, &k);
}

uint32_t nexthop_get(struct nexthop_set *s, const struct bgp_nexthop *addr, uint32_t ifindex,
		     uint16_t direct, bool *fresh, bool *first)
{
	bool ll = addr->linklocal.fam && ifindex;
	const struct addr *via = ll ? &addr->linklocal : &addr->global;
	if (!addr_is_linklocal(via))
		ifindex = 0;
	uint64_t hash = via_hash(s, via, ifindex);
	struct nexthop_key key = { .s = s, .addr = addr, .ifindex = ifindex, .direct = direct };
	uint32_t i = hidx_find(&s->index, hash, same_object, &key);
	*fresh = !i;
	*first = false;
	if (i) {
		nexthop_at(s, i)->refs++;
		return i;
	}
	uint32_t other = direct ? 0 : nexthop_same(s, via, ifindex, 0);
	*first = !direct && !other;
	i = slab_alloc(&s->slab);
	struct nexthop *n = nexthop_at(s, i);
	*n = (struct nexthop){
		.addr = *addr, .via = *via, .ifindex = ifindex, .refs = 1, .direct = direct
	};
	if (other) {
		n->reachable = nexthop_at(s, other)->reachable;
		n->metric = nexthop_at(s, other)->metric;
	}
	hidx_add(&s->index, hash, i);
	return i;
}

bool nexthop_put(struct nexthop_set *s, uint32_t i, struct nexthop *gone)
{
	struct nexthop *n = nexthop_at(s, i);
	if (--n->refs)
		return false;
	*gone = *n;
	drop_regions(NULL, i, n);
	hidx_del(&s->index, via_hash(s, &n->via, n->ifindex), i);
	slab_free(&s->slab, i);
	return true;
}
