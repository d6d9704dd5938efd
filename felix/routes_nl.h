/* The netlink side of felix/routes: requests written, answers and events read. */
#ifndef SELVAGE_FELIX_ROUTES_NL_H
#define SELVAGE_FELIX_ROUTES_NL_H

#include "felix/routes_core.h"

struct nl;
struct nl_batch;
struct nlmsghdr;

/* Our routes have a metric of their own: a route's key in the kernel is prefix, table and metric,
 * so NLM_F_REPLACE can only ever replace a route with this metric, never a connected
 * (0, 256), static (0, 1024), DHCP (100) or router advertisement's (1024) one. Higher than all of
 * those: what an administrator sets by hand for the same prefix wins. */
enum { ROUTE_METRIC = 1080 };

void rnl_put(struct nl_batch *b, uint32_t table, const struct rc_op *op, uint64_t cookie);
void rnl_put_nh_del(struct nl_batch *b, uint32_t id, uint64_t cookie);

struct rnl_route {
	struct prefix prefix;
	struct rc_what what;
	uint32_t table, metric;
	uint8_t protocol;
};
/* An RTM_NEWROUTE or DELROUTE; false for what is no unicast or blackhole route of a prefix. */
bool rnl_route(const struct nlmsghdr *nlh, struct rnl_route *out);

struct rnl_nexthop {
	uint32_t id;
	uint8_t protocol;
	bool is_group;
	struct rc_hop hop;
	unsigned n;
	struct rc_member members[RC_MAX_MEMBERS];
};
/* An RTM_NEWNEXTHOP or DELNEXTHOP; false where it is malformed or has too many members. */
bool rnl_nexthop(const struct nlmsghdr *nlh, struct rnl_nexthop *out);

/* Lists routes of our protocol, or all next hops, to cb (as nl_dump's). */
int rnl_dump_routes(struct nl *nl, enum family fam, uint32_t table,
		    int (*cb)(const struct nlmsghdr *, void *), void *arg, struct err *err);
int rnl_dump_nexthops(struct nl *nl, int (*cb)(const struct nlmsghdr *, void *), void *arg,
		      struct err *err);

/* Does the kernel have this next-hop object? A failed query counts as yes. */
bool rnl_nexthop_exists(struct nl *nl, uint32_t id);
/* Up with carrier: the kernel takes no next hop on another. */
bool rnl_link_up(struct nl *nl, uint32_t ifindex);
/* The gateway and link by which the kernel reaches gw, not counting our own routes: a BGP next hop
 * resolved by a BGP route could resolve through itself. */
bool rnl_resolve(struct nl *nl, const struct addr *gw, struct addr *via, uint32_t *ifindex);

#endif
