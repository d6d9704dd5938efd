/* The kernel's routes as felix wants them: desired against actual, next-hop objects and groups,
 * one protocol id of our own (RTPROT_SELVAGE). Only routes of that protocol are ever touched.
 *
 * Local routes: a pod's /32 or /128 by its veth, a blackhole for each own block. Learned
 * routes: by bgpd's next-hop groups. Each class is desired state; differences are sent in batches
 * by routes_flush().
 */
#ifndef SELVAGE_FELIX_ROUTES_H
#define SELVAGE_FELIX_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/msg.h"

enum { RTPROT_SELVAGE = 80, NHID_BASE = 0x53560000 };

struct nl;
struct nlmsghdr;
struct routes;

struct routes_ops {
	/* The kernel refused these learned routes. */
	void (*on_failed)(void *arg, const struct prefix *p, unsigned n, const char *why);
};

/* Dumps what the kernel has of ours: learned routes found are *stale* until bgpd names them again
 * or routes_sweep(). nl is borrowed. table: RT_TABLE_MAIN ... */
struct routes *routes_new(struct nl *nl, uint32_t table, const struct routes_ops *ops, void *arg,
			  struct err *err);
void routes_free(struct routes *r); /* leaves the kernel as it is */

void routes_set_block(struct routes *r, const struct prefix *block, bool present);
void routes_set_pod(struct routes *r, const struct prefix *host, uint32_t ifindex); /* 0 = remove */

void routes_nhg(struct routes *r, const struct m_nhg *g); /* define or change */
void routes_nhg_del(struct routes *r, uint32_t id);
void routes_learned(struct routes *r, uint32_t nhg, const struct prefix *p, unsigned n);
/* A new bgpd: everything learned becomes stale but stays in the kernel. */
void routes_bgpd_reset(struct routes *r);
/* M_ROUTES_END: what is still stale goes, also blocks and pods that were found at the start and not
 * set again: set those that are known before. */
void routes_sweep(struct routes *r);

/* Kernel events: a link went up, down or away; someone else deleted or changed a route or next hop
 * of ours; events were lost. Marks what has to be reinstalled. */
void routes_on_event(struct routes *r, const struct nlmsghdr *nlh);
void routes_resync(struct routes *r); /* dump and compare again */

/* Sends differences, at most about `budget` requests; true: more is left. */
bool routes_flush(struct routes *r, unsigned budget);
/* Clean stop: learned and pod routes stay (they must forward), next hops stay. */

struct routes_stats {
	uint32_t learned, local, stale, failed, groups;
};
void routes_stats(const struct routes *r, struct routes_stats *out);

#endif
