/* The options of BGP's TCP sockets (facts of their own for each family).
 */
#ifndef SELVAGE_BGPD_SOCKOPT_H
#define SELVAGE_BGPD_SOCKOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/prefix.h"

/* RFC 2385: the key that segments to and from this peer must carry, on a listener or before
 * connect(). password "" or NULL takes the key away (no error where there was none). */
int sockopt_md5(int fd, const struct addr *peer, const char *password, struct err *err);

/* What goes out carries this TTL (hop limit). */
int sockopt_ttl(int fd, unsigned fam, int ttl, struct err *err);
/* RFC 5082: what has travelled more than `hops` hops is dropped by the kernel; sends with TTL 255.
 */
int sockopt_gtsm(int fd, unsigned fam, unsigned hops, struct err *err);

/* CS6 (RFC 4594: network control), no Nagle. Failures are no reason to give up a session. */
void sockopt_common(int fd, unsigned fam);

/* AF_INET or AF_INET6 of a socket as FAM_V4 or FAM_V6; FAM_NONE if it is neither. */
enum family sockopt_family(int fd);

#endif
