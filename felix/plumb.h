/* Pods' interfaces: a veth with its peer made in the pod's netns, addresses, routes, neighbours and
 * sysctls, by netlink alone. felix holds CAP_NET_ADMIN only; the pod's side is configured through
 * the NETLINK_ROUTE socket that the plugin opened inside the netns and passed.
 */
#ifndef SELVAGE_FELIX_PLUMB_H
#define SELVAGE_FELIX_PLUMB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/prefix.h"

struct nl;

enum { PLUMB_IFNAME = 16, PLUMB_MAC_STRLEN = 18 };

struct plumb_request {
	int pod_sock;	    /* borrowed */
	const char *ifname; /* in the pod */
	const char *host_ifname;
	struct addr addrs[2];
	unsigned naddrs;
	uint32_t mtu;
	const char *mac; /* of the pod's end, "" = the kernel's choice */
};

struct plumb_result {
	uint32_t host_ifindex;
	char pod_mac[PLUMB_MAC_STRLEN], host_mac[PLUMB_MAC_STRLEN];
};

/* Decision 4's name: "cali" and 11 hex digits of SHA-1(namespace "." pod), or of containerID and
 * ifname where there is no pod name or ifname is not eth0. */
void plumb_host_ifname(const char *namespace_, const char *pod, const char *container_id,
		       const char *ifname, char out[PLUMB_IFNAME]);

/* What every pod's default route goes through: 169.254.1.1; fe80::ecee:eeff:feee:eeee. */
struct addr plumb_gateway(enum family fam);

/* Is this socket's netns our own (the host's)? 1 yes, 0 no, -1 not a netlink socket of a netns. */
int plumb_is_own_netns(int pod_sock, struct err *err);

/* Makes everything, or leaves nothing. An interface of that name on the host is deleted first (an
 * older container's). IFNAME that exists in the pod is an error. Host side: sysctls (proxy_arp,
 * forwarding, accept_dad 0, ...), up, MAC ee:ee:ee:ee:ee:ee; the /32 and /128 routes are
 * felix/routes' to add. */
int plumb_add(struct nl *host, const struct plumb_request *rq, struct plumb_result *out,
	      struct err *err);
/* Deletes the host's end, which takes the pod's along. Gone already: 0. */
int plumb_del(struct nl *host, const char *host_ifname, struct err *err);
/* Does the pod still look as plumb_add() left it? addresses, routes, link up. -1 says what differs.
 */
int plumb_check(struct nl *host, const struct plumb_request *rq, struct err *err);

/* sysctls of the node that must hold for forwarding: ip_forward, ipv6 forwarding,
 * nexthop_compat_mode=0, fib_multipath_hash_policy=1 ... -1 names the first that could not be set
 * and how to mend it. */
int plumb_node_sysctls(struct err *err);

#endif
