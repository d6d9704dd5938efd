/* Which of the paths to a prefix is best: RFC 4271 section 9.1.2.2, RFC 4456 section 9. Pure.
 *
 * The order of steps: own routes, LOCAL_PREF, AS_PATH length, ORIGIN, MED among paths of one
 * neighbour AS, eBGP over iBGP, metric to the next hop, router id, CLUSTER_LIST length, peer
 * address, path id. MED is compared as a set, not pair by pair, so the outcome does not depend on
 * the order of arrival.
 */
#ifndef SELVAGE_BGPD_RIB_DECISION_H
#define SELVAGE_BGPD_RIB_DECISION_H

#include "lib/prefix.h"

enum decision_reason {
	DECISION_BEST,
	DECISION_LOCAL, /* from here on: the step that a path lost at */
	DECISION_LOCAL_PREF,
	DECISION_PATH_LEN,
	DECISION_ORIGIN,
	DECISION_MED,
	DECISION_EBGP,
	DECISION_METRIC,
	DECISION_ROUTER_ID,
	DECISION_CLUSTER_LEN,
	DECISION_PEER_ADDRESS,
	DECISION_PATH_ID,
	/* never a candidate */
	DECISION_NEXTHOP,
	DECISION_OWN_NEXTHOP,
	DECISION_OWN_AS,
	DECISION_OWN_ORIGINATOR,
	DECISION_OWN_CLUSTER,
	DECISION_NO_POLICY,
};

struct candidate {
	bool local, ebgp;
	uint8_t origin, cluster_len;
	uint16_t path_len;
	uint32_t local_pref, med, neighbour_as, metric, router_id, path_id;
	const struct addr *peer; /* NULL sorts first */
	/* set by the decision */
	bool multipath;
	enum decision_reason lost;
};

/* The index of the best of n >= 1 candidates. Sets `multipath` of all that are equal to it up to
 * the metric (AS_PATHs of equal length count as equal), the best one included; not `lost`. */
unsigned decision_best(struct candidate *c, unsigned n);
/* Below 0: a is better than b, by which step. For paths without a difference in MED, among which
 * the steps are one total order. */
int decision_compare(const struct candidate *a, const struct candidate *b,
		     enum decision_reason *why);
/* The same as decision_best(), and sets `lost` of everyone: DECISION_BEST or the step that decided
 * against it. */
unsigned decision_explain(struct candidate *c, unsigned n);

/* For nodectl: "longer AS path"; "" for the best. */
const char *decision_reason_text(enum decision_reason r);

#endif
