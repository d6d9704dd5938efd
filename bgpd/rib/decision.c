#include "bgpd/rib/decision.h"

#include <stdlib.h>

#include "lib/arena.h"

#define PREFER(x, y, reason)                                                                       \
	do {                                                                                       \
		if ((x) != (y)) {                                                                  \
			*why = (reason);                                                           \
			return (x) < (y) ? -1 : 1;                                                 \
		}                                                                                  \
	} while (0)

/* Steps before MED: below 0 when a is better. */
static int cmp_before_med(const struct candidate *a, const struct candidate *b,
			  enum decision_reason *why)
{
	PREFER(!a->local, !b->local, DECISION_LOCAL);
	PREFER(b->local_pref, a->local_pref, DECISION_LOCAL_PREF);
	PREFER(a->path_len, b->path_len, DECISION_PATH_LEN);
	PREFER(a->origin, b->origin, DECISION_ORIGIN);
	return 0;
}

static int cmp_to_metric(const struct candidate *a, const struct candidate *b,
			 enum decision_reason *why)
{
	PREFER(!a->ebgp, !b->ebgp, DECISION_EBGP);
	PREFER(a->metric, b->metric, DECISION_METRIC);
	return 0;
}

static int cmp_ties(const struct candidate *a, const struct candidate *b, enum decision_reason *why)
{
	PREFER(a->router_id, b->router_id, DECISION_ROUTER_ID);
	PREFER(a->cluster_len, b->cluster_len, DECISION_CLUSTER_LEN);
	int d = 0;
	if (a->peer && b->peer)
		d = addr_cmp(a->peer, b->peer);
	else if (a->peer || b->peer)
		d = a->peer ? 1 : -1;
	PREFER(d, 0, DECISION_PEER_ADDRESS);
	PREFER(a->path_id, b->path_id, DECISION_PATH_ID);
	return 0;
}

int decision_compare(const struct candidate *a, const struct candidate *b,
		     enum decision_reason *why)
{
	int d = cmp_before_med(a, b, why);
	if (!d)
		d = cmp_to_metric(a, b, why);
	return d ? d : cmp_ties(a, b, why);
}

static bool med_matters(const struct candidate *c, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		if (c[i].med != c[0].med)
			return true;
	return false;
}

/* Without a difference in MED the steps are one total order: a single pass finds its minimum. */
static unsigned best_of_order(struct candidate *c, unsigned n)
{
	enum decision_reason why;
	unsigned best = 0;
	for (unsigned i = 1; i < n; i++)
		if (decision_compare(&c[i], &c[best], &why) < 0)
			best = i;
	for (unsigned i = 0; i < n; i++)
		c[i].multipath = cmp_before_med(&c[i], &c[best], &why) == 0 &&
				 cmp_to_metric(&c[i], &c[best], &why) == 0;
	return best;
}

typedef int (*cmp_fn)(const struct candidate *, const struct candidate *, enum decision_reason *);

/* Of those still in, the ones that cmp finds equal to the best stay. Returns the best. */
static unsigned keep_best(struct candidate *c, unsigned n, cmp_fn cmp)
{
	enum decision_reason why;
	unsigned best = n;
	for (unsigned i = 0; i < n; i++)
		if (c[i].lost == DECISION_BEST && (best == n || cmp(&c[i], &c[best], &why) < 0))
			best = i;
	for (unsigned i = 0; i < n; i++)
		if (c[i].lost == DECISION_BEST && cmp(&c[best], &c[i], &why) < 0)
			c[i].lost = why;
	return best;
}

static int by_as_and_med(const void *x, const void *y)
{
	const struct candidate *a = *(struct candidate *const *)x;
	const struct candidate *b = *(struct candidate *const *)y;
	if (a->neighbour_as != b->neighbour_as)
		return a->neighbour_as < b->neighbour_as ? -1 : 1;
	return a->med < b->med ? -1 : a->med > b->med;
}

/* RFC 4271 9.1.2.2 c: out goes what has a higher MED than another one from the same AS. */
static void keep_lowest_med(struct candidate *c, unsigned n)
{
	struct candidate **in = xmalloc(n * sizeof(*in));
	unsigned k = 0;
	for (unsigned i = 0; i < n; i++)
		if (c[i].lost == DECISION_BEST)
			in[k++] = &c[i];
	qsort(in, k, sizeof(*in), by_as_and_med);
	const struct candidate *low = in[0];
	for (unsigned i = 1; i < k; i++) {
		if (in[i]->neighbour_as != low->neighbour_as)
			low = in[i];
		else if (in[i]->med > low->med)
			in[i]->lost = DECISION_MED;
	}
	free(in);
}

unsigned decision_explain(struct candidate *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		c[i].lost = DECISION_BEST;
	keep_best(c, n, cmp_before_med);
	if (med_matters(c, n))
		keep_lowest_med(c, n);
	keep_best(c, n, cmp_to_metric);
	for (unsigned i = 0; i < n; i++)
		c[i].multipath = c[i].lost == DECISION_BEST;
	return keep_best(c, n, cmp_ties);
}

unsigned decision_best(struct candidate *c, unsigned n)
{
	return med_matters(c, n) ? decision_explain(c, n) : best_of_order(c, n);
}

const char *decision_reason_text(enum decision_reason r)
{
	static const char *const text[] = {
		[DECISION_BEST] = "",
		[DECISION_LOCAL] = "own route is preferred",
		[DECISION_LOCAL_PREF] = "lower local preference",
		[DECISION_PATH_LEN] = "longer AS path",
		[DECISION_ORIGIN] = "worse origin",
		[DECISION_MED] = "higher MED of the same neighbour AS",
		[DECISION_EBGP] = "iBGP, an eBGP path is preferred",
		[DECISION_METRIC] = "higher metric to the next hop",
		[DECISION_ROUTER_ID] = "higher router id",
		[DECISION_CLUSTER_LEN] = "longer cluster list",
		[DECISION_PEER_ADDRESS] = "higher peer address",
		[DECISION_PATH_ID] = "higher path id",
		[DECISION_NEXTHOP] = "next hop is not reachable",
		[DECISION_OWN_NEXTHOP] = "next hop is an address of this node",
		[DECISION_OWN_AS] = "AS path contains our own AS",
		[DECISION_OWN_ORIGINATOR] = "this node is the originator",
		[DECISION_OWN_CLUSTER] = "cluster list contains our cluster id",
		[DECISION_NO_POLICY] = "the peer has no policy and requirePolicy is set",
	};
	return (unsigned)r < sizeof(text) / sizeof(text[0]) ? text[r] : "";
}
