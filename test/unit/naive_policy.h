/* Policy straight from its semantics, for tests to hold the calc graph against: everything is
 * looked at for every packet, nothing is kept.
 */
#ifndef SELVAGE_TEST_NAIVE_POLICY_H
#define SELVAGE_TEST_NAIVE_POLICY_H

#include "felix/policy/calc.h"

enum { NAIVE_PORTS = 4, NAIVE_ADDRS = 3, NAIVE_BACKENDS = 6 };

/* Each has `there`: a place in an array that is empty has it false. */
struct naive_labels { /* a namespace or a service account */
	bool there;
	const char *namespace_, *name;
	struct field_kvs labels;
};

struct naive_pod {
	bool there, host_network, over, terminating;
	const char *namespace_, *name, *account;
	struct field_kvs labels;
	struct pod_port ports[NAIVE_PORTS];
	unsigned nports;
	struct addr addrs[NAIVE_ADDRS];
	unsigned naddrs;
};

struct naive_endpoint {
	bool own_labels;
	uint64_t id;
	struct naive_pod pod; /* pod.there: is there; not own_labels: only name and addresses */
};

struct naive_service {
	bool there;
	const char *namespace_, *name;
	struct calc_backend v[NAIVE_BACKENDS];
	unsigned n;
};

struct naive_world {
	struct naive_pod *pods;
	struct naive_labels *namespaces, *accounts;
	struct naive_endpoint *endpoints;
	struct naive_service *services;
	struct policy **policies; /* NULL: an empty place; so below */
	struct tier **tiers;
	struct netset **netsets;
	unsigned npods, nnamespaces, naccounts, nendpoints, nservices, npolicies, ntiers, nnetsets;
};

struct naive_packet {
	struct addr src, dst;
	uint8_t proto;
	uint16_t sport, dport; /* ICMP: code, type */
};

struct naive_verdict {
	bool unknown; /* the endpoint's pod is not known; allow is false */
	bool allow;
	const struct policy *policy;	 /* whose rule decided; NULL: none did */
	uint32_t index;			 /* struct rule's */
	const char *tier;		 /* policy NULL: whose end denied; "" none selects it */
	const struct policy *log_policy; /* the first Log rule on the way */
	uint32_t log_index;
};

struct naive_verdict naive_judge(const struct naive_world *w, const struct naive_endpoint *e,
				 enum policy_direction dir, const struct naive_packet *p,
				 bool staged);
/* Some staged policy selects the endpoint. */
bool naive_has_staged(const struct naive_world *w, const struct naive_endpoint *e,
		      enum policy_direction dir);
/* The pod that an address belongs to, or NULL. */
const struct naive_pod *naive_owner(const struct naive_world *w, const struct addr *a);

#endif
