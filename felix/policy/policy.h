/* Every policy kind in one immutable form, read from the store's objects. Pure.
 *
 * Read: Kubernetes NetworkPolicy; Calico's NetworkPolicy, GlobalNetworkPolicy, their Staged kinds,
 * Tier, NetworkSet, GlobalNetworkSet and Profile; ClusterNetworkPolicy v1alpha2. What cannot be
 * read is not dropped: it becomes a policy with `invalid` set that denies everything, in the
 * directions it names, for what it selects.
 *
 * How a packet is judged, per direction (egress at its sender, then ingress at its receiver; both
 * must allow): tiers in the order of tier_cmp(). In a tier, the policies that select the endpoint
 * and have the direction, in the order of policy_cmp(), their rules in order; the first that
 * matches decides. Log decides nothing, Pass goes on with the next tier. At the end of a tier its
 * default action, when a policy that is not staged selected the endpoint there; else the next tier.
 * After the last tier the endpoint's profiles: a namespace's allows all.
 */
#ifndef SELVAGE_FELIX_POLICY_POLICY_H
#define SELVAGE_FELIX_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/selector.h"
#include "store/store.h"

enum policy_direction { POLICY_INGRESS, POLICY_EGRESS, POLICY_DIRECTIONS };
enum policy_action { POLICY_ALLOW, POLICY_DENY, POLICY_PASS, POLICY_LOG };

enum policy_kind {
	POLICY_KUBERNETES, /* NetworkPolicy of networking.k8s.io */
	POLICY_CALICO,	   /* NetworkPolicy of projectcalico.org */
	POLICY_GLOBAL,	   /* GlobalNetworkPolicy */
	POLICY_CLUSTER,	   /* ClusterNetworkPolicy */
	POLICY_PROFILE,	   /* Profile: not in any tier; for endpoints that name it */
};

/* What an object of KIND_POLICY is, and so which function below reads it. */
enum policy_class {
	POLICY_CLASS_POLICY,  /* policy_read(); Profile too */
	POLICY_CLASS_TIER,    /* tier_read() */
	POLICY_CLASS_NETSET,  /* netset_read() */
	POLICY_CLASS_IGNORED, /* HostEndpoint: accepted, host endpoints are not served */
};
enum policy_class policy_class_of(const struct object *o);

/* Labels that an endpoint has beside its own. What a selector in struct match is held against:
 *  labels  its own, POLICY_LABEL_NAMESPACE, POLICY_LABEL_ACCOUNT, POLICY_LABEL_ORCHESTRATOR (of a
 *          pod: "k8s"), and its namespace's and service account's (with their POLICY_LABEL_NAME),
 *          each with the prefix POLICY_PREFIX_NAMESPACE or POLICY_PREFIX_ACCOUNT;
 *  ns      the namespace's, POLICY_LABEL_NAME and POLICY_LABEL_NAMESPACE = its name; no label at
 *          all for what has no namespace (GlobalNetworkSet);
 *  sa      the service account's, POLICY_LABEL_NAME and POLICY_LABEL_ACCOUNT = its name; no label
 *          at all for what has none (network sets). */
#define POLICY_LABEL_ORCHESTRATOR "projectcalico.org/orchestrator"
#define POLICY_LABEL_NAMESPACE	  "projectcalico.org/namespace"
#define POLICY_LABEL_ACCOUNT	  "projectcalico.org/serviceaccount"
#define POLICY_LABEL_NAME	  "projectcalico.org/name"
#define POLICY_PREFIX_NAMESPACE	  "pcns."
#define POLICY_PREFIX_ACCOUNT	  "pcsa."

/* A selector and the text it was made of; equal texts mean equal selectors, so that they can be
 * interned. text NULL: nothing is asked. Kubernetes' label selectors are turned into this language,
 * keys in order, so that equal ones have equal texts. */
struct policy_selector {
	const char *text;
	const struct selector *sel;
};

struct policy_names {
	uint32_t n;
	const char *const *v;
};

/* A set of endpoints (pods) and, unless pods_only, of network sets: all that is asked must hold. */
struct match {
	const char *namespace_; /* only what is in this namespace; NULL: no such condition */
	bool pods_only;		/* network sets never match: Kubernetes' own kinds */
	struct policy_selector labels, ns, sa;
	struct policy_names accounts; /* n > 0: the service account has one of these names */
};

/* An endpoint or a network set as a match sees it. */
struct match_subject {
	bool is_pod;
	const char *namespace_, *account;	  /* "" none */
	const struct field_kvs *labels, *ns, *sa; /* as said above */
};
bool match_holds(const struct match *m, const struct match_subject *s);

struct policy_nets {
	uint32_t n;
	const struct prefix *v; /* host bits cleared; sorted, each once */
};

struct policy_port {
	const char *name; /* NULL: the range lo..hi (host order). A name is resolved per pod at
			   * this end, among its ports of the rule's protocol. */
	uint16_t lo, hi;
};

struct policy_ports {
	uint32_t n;
	const struct policy_port *v; /* sorted: numbers, then names; each once */
};

/* Endpoints of a Service. As a destination an address *and* its port count, as a source the address
 * alone. */
struct policy_service {
	const char *name, *namespace_; /* name NULL: nothing is asked */
};

/* One end of a packet: every condition that is there must hold for its address (and port).
 *
 * selected: the address is an endpoint's or network set's that `match` takes. not_labels: it is of
 * none that has these labels (of any namespace). Conditions that are absent hold for all addresses,
 * also those that belong to no endpoint.
 */
struct entity {
	bool has_nets;		     /* nets is asked; n 0 then matches no address */
	struct policy_nets nets;     /* in one of them */
	struct policy_nets not_nets; /* in none of them */
	bool selected;
	struct match match;
	struct policy_selector not_labels;
	struct policy_service service;
	struct policy_ports ports;     /* n 0: any */
	struct policy_ports not_ports; /* none of these */
};

/* IP protocol numbers; a rule with ports has TCP, UDP or SCTP (a positive protocol). */
struct policy_protocol {
	bool set;
	uint8_t number;
};

struct policy_icmp {
	bool set, has_code;
	uint8_t type, code;
};

struct rule {
	enum policy_action action;
	uint8_t family; /* enum family; FAM_NONE: both */
	struct policy_protocol protocol, not_protocol;
	struct policy_icmp icmp, not_icmp;
	struct entity source, destination;
	uint32_t index;	  /* of the document's rule; several rules here may come from one there */
	const char *name; /* "ingress[2]", as that rule stands in the document; "invalid" */
};

struct policy_rules {
	uint32_t n;
	const struct rule *v;
};

struct policy {
	enum policy_kind kind;
	bool staged;		/* evaluated and counted, never enforced */
	const char *kind_text;	/* "GlobalNetworkPolicy" */
	const char *group;	/* "projectcalico.org/v3", ... */
	const char *namespace_; /* "" for cluster kinds */
	const char *name;	/* as the object has it */
	const char *display;	/* "NetworkPolicy default/allow-web" */
	const char *sort_name;	/* "name/namespace/kind", Calico's tie-break; unique */
	const char *tier;	/* POLICY_TIER_*; "" of a profile */
	double order;		/* INFINITY where unset: last; -INFINITY where it cannot be read */
	bool types[POLICY_DIRECTIONS];
	struct match subject; /* pods_only */
	bool subject_unknown; /* what it selects could not be read: subject is wider than meant */
	bool pods; /* false: selects no pod: about host endpoints (doNotTrack, preDNAT), staged
		    * and not to be, or a profile */
	const char *not_served; /* "doNotTrack", ...: accepted, without effect; NULL: none */
	/* What is to be enforced, also where invalid is set: a Deny of everything then. Of a
	 * ClusterNetworkPolicy a broken rule alone: Accept goes, Deny and Pass deny everything. */
	struct policy_rules rules[POLICY_DIRECTIONS];
	struct field_kvs apply; /* a profile's labelsToApply */
	const char *invalid;	/* why, "file:line:col: ..." of the first problem; NULL: good */
	struct arena arena;	/* owns all of it but the rules' arrays */
	unsigned refs;
};

/* The tiers that are always there. Tier objects of these names override what is built in. A policy
 * whose tier has no object is not lost (Calico drops it): the tier is as if its object said nothing
 * but its name. */
#define POLICY_TIER_ADMIN    "kube-admin"
#define POLICY_TIER_DEFAULT  "default"
#define POLICY_TIER_BASELINE "kube-baseline"

struct tier {
	const char *name;
	double order;		   /* INFINITY where unset: last */
	enum policy_action action; /* at its end: POLICY_DENY or POLICY_PASS */
	const char *invalid;	   /* as of a policy; action is then POLICY_DENY */
	struct arena arena;
	unsigned refs;
};

struct netset {
	bool global;
	const char *namespace_; /* "" global */
	const char *name, *display;
	struct field_kvs labels; /* its own; what match.labels sees is to be made of them */
	struct policy_nets nets;
	const char *invalid; /* as of a policy; nets are those that could be read */
	struct arena arena;
	unsigned refs;
};

/* Each reads one object, which is only borrowed for the call, and gives what has one reference; all
 * that is wrong is added to problems. Never NULL, but for an object of another class. */
struct policy *policy_read(const struct object *o, struct problems *problems);
struct tier *tier_read(const struct object *o, struct problems *problems);
struct netset *netset_read(const struct object *o, struct problems *problems);

/* The tiers that are there without an object: POLICY_TIER_ADMIN first (order -INFINITY, Pass),
 * POLICY_TIER_DEFAULT (order 1,000,000, Deny), POLICY_TIER_BASELINE after all others (order
 * INFINITY, Pass). Static; refs are not counted. */
const struct tier *const *policy_builtin_tiers(unsigned *n);

/* The order of evaluation: tiers by order, then POLICY_TIER_BASELINE after all others, then name;
 * policies of one tier by order, then sort_name. 0 only for the same key. */
int tier_cmp(const struct tier *a, const struct tier *b);
int policy_cmp(const struct policy *a, const struct policy *b);

struct policy *policy_ref(const struct policy *p);
void policy_unref(struct policy *p);
struct tier *tier_ref(const struct tier *t);
void tier_unref(struct tier *t);
struct netset *netset_ref(const struct netset *s);
void netset_unref(struct netset *s);

const char *policy_action_name(enum policy_action a);	    /* "Allow" */
const char *policy_direction_name(enum policy_direction d); /* "ingress" */

#endif
