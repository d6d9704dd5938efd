/* Flows that the kernel remembers: cut where an address changes hands or a policy revokes them.
 *
 * By ctnetlink (linux/netfilter/nfnetlink_conntrack.h). Blocks for the time of the kernel's answer.
 */
#ifndef SELVAGE_FELIX_CONNTRACK_H
#define SELVAGE_FELIX_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/prefix.h"

struct conntrack;

/* NULL and err where the kernel has no ctnetlink. */
struct conntrack *conntrack_open(struct err *err);
void conntrack_close(struct conntrack *c);

/* Forgets every flow that one of these addresses takes part in: as source or destination of either
 * direction, so also behind a DNAT or masquerade. The kernel filters where it can (5.8); else all
 * flows are looked at. *deleted (NULL allowed): how many went. 0 or -1. */
int conntrack_forget(struct conntrack *c, const struct addr *v, unsigned n, unsigned *deleted,
		     struct err *err);

/* A flow as policy saw its first packet in the forward hook: behind a DNAT, before a masquerade. */
struct ct_flow {
	struct addr src, dst;
	uint8_t proto;
	uint16_t sport, dport; /* host order; of ICMP: sport the code, dport the type */
};
/* Does it stay? */
typedef bool (*conntrack_keep)(void *arg, const struct ct_flow *f);

/* Looks at every flow there is now and deletes those that keep() refuses. In slices: start, then
 * step until it returns 0; a slice is one read of the kernel (some hundred flows, below 1 ms).
 * Starting anew while one runs begins again from the front. */
int conntrack_sweep_start(struct conntrack *c, conntrack_keep keep, void *arg, struct err *err);
/* 1: there is more; 0: done; -1: broken off, err says why. *deleted counts since the start. */
int conntrack_sweep_step(struct conntrack *c, unsigned *deleted, struct err *err);

#endif
