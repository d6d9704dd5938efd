/* Which prefixes of Kubernetes' services this node originates, as Calico's nodes do. Pure.
 *
 * The ranges of BGPConfiguration come from every node, but for single addresses (/32, /128) among
 * the external and load balancers' ones, and for the load balancers' ranges altogether where they
 * are not to be aggregated: those addresses come service by service. A service's own addresses
 * (cluster IPs, external IPs, load balancer IPs, each within its ranges) come
 *   - with externalTrafficPolicy Local: from the nodes that have a ready endpoint of it;
 *   - with Cluster: from every node, where one of its load balancer or external IPs is named as a
 *     single address in BGPConfiguration;
 *   - without aggregation, all but Local: from every node while any endpoint is ready.
 * A headless service and ExternalName have none.
 */
#ifndef SELVAGE_FELIX_SERVICES_H
#define SELVAGE_FELIX_SERVICES_H

#include "store/store.h"

struct services_input {
	const struct store *store;
	const char *node; /* as the endpoints' nodeName has it */
	bool excluded;	  /* node.kubernetes.io/exclude-from-external-load-balancers */
	bool aggregate;	  /* serviceLoadBalancerAggregation is not Disabled */
	const struct field_list *cluster, *external, *lb; /* struct cidr_item; never NULL */
};

struct services {
	unsigned n;
	struct prefix *v; /* to originate; sorted by prefix_cmp(), each once */
	/* The ranges as aggregates, also on a node that is excluded: what others say inside of them
	 * is kube-proxy's to answer here, and stays out of the kernel. */
	unsigned nranges;
	struct prefix *ranges;
};

/* Never fails; all of out lives in the arena. With no range nothing is looked at. Time: linear in
 * services and slices. */
void services_compute(const struct services_input *in, struct arena *arena, struct services *out);

#endif
