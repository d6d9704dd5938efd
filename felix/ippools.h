/* Which pools may serve a pod, and which addresses it asks for: from the pools, the namespace, the
 * annotations and the CNI configuration to what IPAM is asked. Pure.
 *
 * A pool serves a pod where it is enabled, assigned automatically, allowed for workloads, and where
 * its nodeSelector takes the node and its namespaceSelector the namespace. Pools named by
 * cni.projectcalico.org/ipv4pools and ipv6pools (of the pod, else of its namespace, else the CNI
 * configuration's ipv4_pools and ipv6_pools) serve whatever their selectors and assignmentMode say;
 * a disabled one never does. Further annotations, each with Calico's meaning: ipFamilies (pod,
 * else namespace, else assign_ipv4 and assign_ipv6), ipAddrs and hwAddr (pod). ipAddrsNoIpam is
 * refused: an address that IPAM does not know could be given to another pod. floatingIPs and
 * allowedSourcePrefixes are accepted and not acted on.
 */
#ifndef SELVAGE_FELIX_IPPOOLS_H
#define SELVAGE_FELIX_IPPOOLS_H

#include "ipam/ipam.h"
#include "lib/msg.h"
#include "store/pods.h"
#include "store/store.h"

struct ippools_in {
	const struct store *store;
	const char *node;
	const struct m_cni_add *add; /* namespace, configuration, addresses the runtime asks for */
	const struct pod *pod; /* NULL: its annotations are those that the runtime passed in add */
	/* Blocks are claimed when there are none: every family that a pool may serve is required.
	 * false: of these, what the node has blocks for. */
	bool claims;
};

enum { IPPOOLS_NOTES = 2 };

struct ippools_out {
	struct ipam_want want;
	const char *mac; /* hwAddr, else add->mac; "" the kernel's choice */
	uint32_t code;	 /* of a failure, enum cni_code */
	unsigned nnotes; /* lines for the log */
	const char *notes[IPPOOLS_NOTES];
};

/* 0, or -1: err names the annotation or key with its value, or why each pool may not serve, and
 * out->code is set. All that out points at lives in the arena, or is add's. */
int ippools_want(const struct ippools_in *in, struct arena *arena, struct ippools_out *out,
		 struct err *err);

#endif
