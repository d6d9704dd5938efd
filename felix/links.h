/* What the kernel says of links and addresses, kept current from events: told to bgpd as M_IFACE
 * rows, used to find the node's address and networks and to resolve next hops.
 */
#ifndef SELVAGE_FELIX_LINKS_H
#define SELVAGE_FELIX_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/nodeconf.h"
#include "lib/prefix.h"

struct nl;
struct nlmsghdr;
struct links;

struct link {
	uint32_t ifindex, mtu;
	char name[16];
	bool up; /* administratively up and carrier */
	bool loopback;
	unsigned naddrs;
	struct prefix *addrs; /* with host bits; tentative and failed ones are left out */
};

struct links_ops {
	void (*on_link)(void *arg, const struct link *l); /* new or changed */
	void (*on_gone)(void *arg, uint32_t ifindex, const char *name);
};

struct links *links_new(struct nl *nl, const struct links_ops *ops, void *arg, struct err *err);
void links_free(struct links *l);
void links_on_event(struct links *l, const struct nlmsghdr *nlh);
int links_resync(struct links *l, struct err *err); /* dump; differences go to ops */
void links_each(const struct links *l, void (*cb)(void *arg, const struct link *link), void *arg);
const struct link *links_by_index(const struct links *l, uint32_t ifindex);
/* The link with a connected network that contains a; NULL none. */
const struct link *links_connected(const struct links *l, const struct addr *a);

/* The node's own address of each family, by node.address, else node.addressFrom, else the link of
 * the default route (asked of the kernel through nl); never loopback, link-local, /32 on lo, or an
 * address on a cali* link. out[0..1], with prefix lengths; returns how many. -1: what was looked
 * for and what there is. */
int links_node_addresses(const struct links *l, struct nl *nl, const struct nodeconf *conf,
			 struct prefix out[2], struct err *err);
/* The MTU for pods where dataplane.mtu is auto: the smallest of the uplinks (up, with a global
 * address; where there is none, with any), 1500 if none. */
uint32_t links_auto_mtu(const struct links *l);

#endif
