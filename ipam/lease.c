#include "config.h"

#include "ipam/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

enum { FIRST_BUCKETS = 64 };

static uint32_t hash_text(uint32_t h, const char *text)
{
	do
		h = (h ^ (uint8_t)*text) * 16777619u;
	while (*text++);
	return h;
}

static struct lease_chain *owner_bucket(const struct leases *t, const struct ipam_owner *o)
{
	uint32_t h = hash_text(2166136261u, o->container_id);

	h = hash_text(h, o->ifname);
	h = hash_text(h, o->network);
	return &t->by_owner[(h ^ h >> 16) & (t->nbuckets - 1)];
}

/* Two tables, for the first and the second address of a lease: an entry stands in one chain each.
 */
static struct lease_chain *addr_bucket(const struct leases *t, unsigned slot, const struct addr *a)
{
	uint32_t h = addr_hash(a);

	return &t->by_addr[slot][(h ^ h >> 16) & (t->nbuckets - 1)];
}

static void alloc_buckets(struct leases *t, unsigned n)
{
	t->nbuckets = n;
	t->by_owner = xcalloc(n, sizeof(*t->by_owner));
	for (unsigned i = 0; i < 2; i++)
		t->by_addr[i] = xcalloc(n, sizeof(*t->by_addr[i]));
}

static void free_buckets(struct leases *t)
{
	free(t->by_owner);
	free(t->by_addr[0]);
	free(t->by_addr[1]);
}

void leases_init(struct leases *t)
{
	TAILQ_INIT(&t->order);
	t->n = 0;
	alloc_buckets(t, FIRST_BUCKETS);
}

static void free_lease(struct lease *l)
{
	free((void *)l->pub.owner.network);
	free((void *)l->pub.owner.container_id);
	free((void *)l->pub.owner.ifname);
	free((void *)l->pub.owner.namespace_);
	free((void *)l->pub.owner.pod);
	free(l);
}

void leases_free(struct leases *t)
{
	struct lease *l;

	while ((l = TAILQ_FIRST(&t->order))) {
		TAILQ_REMOVE(&t->order, l, order);
		free_lease(l);
	}
	free_buckets(t);
}

static void insert(struct leases *t, struct lease *l)
{
	LIST_INSERT_HEAD(owner_bucket(t, &l->pub.owner), l, owner_chain);
	for (unsigned i = 0; i < l->pub.naddrs; i++)
		LIST_INSERT_HEAD(addr_bucket(t, i, &l->pub.addrs[i]), l, addr_chain[i]);
}

static void grow(struct leases *t)
{
	struct lease *l;

	free_buckets(t);
	alloc_buckets(t, t->nbuckets * 2);
	TAILQ_FOREACH(l, &t->order, order)
	insert(t, l);
}

struct lease *leases_add(struct leases *t, const struct ipam_owner *owner, const struct addr *addrs,
			 unsigned naddrs)
{
	struct lease *l = xcalloc(1, sizeof(*l));
	struct ipam_owner *o = &l->pub.owner;

	if (t->n >= t->nbuckets)
		grow(t);
	o->network = xstrdup(owner->network ? owner->network : "");
	o->container_id = xstrdup(owner->container_id ? owner->container_id : "");
	o->ifname = xstrdup(owner->ifname ? owner->ifname : "");
	o->namespace_ = xstrdup(owner->namespace_ ? owner->namespace_ : "");
	o->pod = xstrdup(owner->pod ? owner->pod : "");
	l->pub.host_ifname = l->host_ifname;
	l->pub.naddrs = naddrs;
	for (unsigned i = 0; i < naddrs; i++)
		l->pub.addrs[i] = addrs[i];
	TAILQ_INSERT_TAIL(&t->order, l, order);
	insert(t, l);
	t->n++;
	return l;
}

void leases_remove(struct leases *t, struct lease *l)
{
	LIST_REMOVE(l, owner_chain);
	for (unsigned i = 0; i < l->pub.naddrs; i++)
		LIST_REMOVE(l, addr_chain[i]);
	TAILQ_REMOVE(&t->order, l, order);
	t->n--;
	free_lease(l);
}

struct lease *leases_find(const struct leases *t, const struct ipam_owner *owner)
{
	struct lease *l;

	LIST_FOREACH(l, owner_bucket(t, owner), owner_chain)
	if (strcmp(l->pub.owner.container_id, owner->container_id) == 0 &&
	    strcmp(l->pub.owner.ifname, owner->ifname) == 0 &&
	    strcmp(l->pub.owner.network, owner->network) == 0)
		return l;
	return NULL;
}

struct lease *leases_find_addr(const struct leases *t, const struct addr *a)
{
	struct lease *l;

	for (unsigned i = 0; i < 2; i++)
		LIST_FOREACH(l, addr_bucket(t, i, a), addr_chain[i])
	if (addr_eq(&l->pub.addrs[i], a))
		return l;
	return NULL;
}

void lease_set_host(struct lease *l, const char *host_ifname)
{
	snprintf(l->host_ifname, sizeof(l->host_ifname), "%s", host_ifname);
}
