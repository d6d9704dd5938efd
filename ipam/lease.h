/* The leases of a node, found by owner and by address, kept in the order in which they were made.
 * Internal to ipam/.
 */
#ifndef SELVAGE_IPAM_LEASE_H
#define SELVAGE_IPAM_LEASE_H

#include <sys/queue.h>

#include "ipam/ipam.h"

struct lease {
	TAILQ_ENTRY(lease) order;
	LIST_ENTRY(lease) owner_chain;
	LIST_ENTRY(lease) addr_chain[2];
	struct ipam_lease pub; /* its strings are owned by this lease */
	char host_ifname[16];
};

LIST_HEAD(lease_chain, lease);
TAILQ_HEAD(lease_order, lease);

struct leases {
	struct lease_order order;
	unsigned n;
	unsigned nbuckets; /* a power of two */
	struct lease_chain *by_owner, *by_addr[2];
};

void leases_init(struct leases *t);
void leases_free(struct leases *t);
/* Copies owner's strings. Owner and addresses must be unknown so far. */
struct lease *leases_add(struct leases *t, const struct ipam_owner *owner, const struct addr *addrs,
			 unsigned naddrs);
void leases_remove(struct leases *t, struct lease *l); /* frees it */
/* By the key alone: network, container_id, ifname. */
struct lease *leases_find(const struct leases *t, const struct ipam_owner *owner);
struct lease *leases_find_addr(const struct leases *t, const struct addr *a);
/* Cut to what an interface's name can hold. */
void lease_set_host(struct lease *l, const char *host_ifname);

#endif
