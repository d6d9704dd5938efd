/* The calc graph: from pods, namespaces and policies to identities, classes and flat tables. Pure,
 * incremental, deterministic: the state after calc_flush() depends on the objects alone (but for
 * the numbers given), not on the order in which they came.
 *
 * An identity is a set of addresses of one family that no policy can tell apart: the same pod
 * labels, namespace, service account (or no pod at all), the same network sets and lists of
 * networks around them. Every rule holds for all of an identity or for none, so that whatever the
 * rules are, a decision is a lookup by (identity, protocol, ports).
 *
 * A class is a set of local endpoints that the same policies select and for which the same rules
 * hold on their own end. It has a table a direction and family, and two more where staged policies
 * select it: the same with the staged policies taking part as if they were enforced.
 *
 * A table is looked up in this order, and the first row found decides:
 *  1. rows of the packet's identity with its protocol and ports;
 *  2. the row of the identity for CALC_ALL_PROTOCOLS;
 *  3. rows of identity 0 with its protocol and ports;
 *  4. the row of identity 0 for CALC_ALL_PROTOCOLS, which every table has.
 * Rows of one identity and protocol never overlap. Identity 0 is that of the addresses that no pod
 * has and no atom covers; its rows also serve identities that have none of their own.
 *
 * Not decided here: a node reaches its own pods, a pod reaches itself, replies of known flows pass.
 */
#ifndef SELVAGE_FELIX_POLICY_CALC_H
#define SELVAGE_FELIX_POLICY_CALC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "felix/policy/policy.h"
#include "lib/prefix.h"
#include "store/pods.h"

struct calc;

enum { CALC_ALL_PROTOCOLS = 256 };

/* A class that denies all, in both directions: endpoints whose pod is not known (yet). It has no
 * table and is never added or deleted. */
enum { CALC_CLASS_NONE = 0 };

/* What is decided for a part of an identity's traffic. Ports in host order, both ends included; for
 * protocols 1 and 58 lo..hi are ICMP types and slo..shi ICMP codes (0..255); for protocols without
 * ports the ranges are 0..65535. */
struct calc_row {
	uint16_t proto;	   /* or CALC_ALL_PROTOCOLS */
	uint16_t lo, hi;   /* destination port */
	uint16_t slo, shi; /* source port; 0..65535 in nearly all rows */
	bool allow;
	uint32_t rule; /* what decided: calc_rule_get() */
	uint32_t log;  /* the first Log rule that it passed on its way; 0 none */
};

struct calc_table {
	uint32_t class_;
	uint8_t fam; /* enum family */
	uint8_t dir; /* enum policy_direction */
	bool staged;
};

/* The rows of an identity in a table: `del` go, `add` come. A row that stays is in neither. Where a
 * row's verdict alone changes, del and add have the same key. */
struct calc_change {
	struct calc_table table;
	uint32_t ident;
	const struct calc_row *del, *add;
	size_t ndel, nadd;
};

/* An interval of addresses, both ends included, and its identity (never 0). */
struct calc_atom {
	struct addr first, last;
	uint32_t ident;
};

/* What calc_flush() calls, in the order of the members: first what nothing refers to yet is added,
 * then addresses and endpoints are switched, then what nothing refers to any more is deleted. Rows
 * of a kept identity change in the second phase, for its addresses then mean something else. Any of
 * them may be NULL. Pointers live until it returns. */
struct calc_ops {
	void (*class_add)(void *arg, uint32_t class_);
	void (*ident_add)(void *arg, uint32_t ident, enum family fam);
	/* Of new classes and of new identities: ndel is 0. */
	void (*rows_add)(void *arg, const struct calc_change *c);
	/* Of identities that stay, in classes that stay. */
	void (*rows_change)(void *arg, const struct calc_change *c);
	/* A pod's address, new or moved. It comes before what the atoms say. */
	void (*address)(void *arg, const struct addr *a, uint32_t ident);
	/* All atoms of a family, sorted; what is not in them and no pod's has identity 0. */
	void (*atoms)(void *arg, enum family fam, const struct calc_atom *v, size_t n);
	/* A new endpoint, or one that changed its class. */
	void (*endpoint)(void *arg, uint64_t id, uint32_t class_);
	void (*endpoint_del)(void *arg, uint64_t id);
	void (*address_del)(void *arg, const struct addr *a);
	/* Of identities that go, in classes that stay: nadd is 0. */
	void (*rows_del)(void *arg, const struct calc_change *c);
	/* The number is used again only after calc_ident_done(), calc_class_done(). A class goes
	 * with all its rows. */
	void (*ident_del)(void *arg, uint32_t ident, enum family fam);
	void (*class_del)(void *arg, uint32_t class_);
};

struct calc *calc_new(const struct calc_ops *ops, void *arg);
void calc_free(struct calc *c); /* no ops */

/* ---- input: whole objects, as they are now; in any order; nothing is computed before
 * calc_flush(). What is not there when it is deleted is passed over. ---- */

/* Every pod of the cluster; borrowed for the call. Pods on the host's network and pods that are
 * over have no identity. */
void calc_pod(struct calc *c, const struct pod *p);
void calc_pod_del(struct calc *c, const char *namespace_, const char *name);
/* A namespace that is not known has no labels but those of its name; kubernetes.io/metadata.name
 * holds also where the object does not say it. */
void calc_namespace(struct calc *c, const char *name, const struct field_kvs *labels);
void calc_namespace_del(struct calc *c, const char *name);
void calc_account(struct calc *c, const char *namespace_, const char *name,
		  const struct field_kvs *labels);
void calc_account_del(struct calc *c, const char *namespace_, const char *name);

/* Takes a reference of its own. A policy is known by kind, kind_text, namespace and name. One whose
 * tier is not known is held as if in a tier behind all others but POLICY_TIER_BASELINE that denies
 * at its end. Profiles, and policies that are not for pods, are taken and select nobody: what no
 * tier decides is allowed, as a namespace's own profile says. */
void calc_policy(struct calc *c, const struct policy *p);
void calc_policy_del(struct calc *c, enum policy_kind kind, const char *kind_text,
		     const char *namespace_, const char *name);
void calc_tier(struct calc *c, const struct tier *t);
void calc_tier_del(struct calc *c, const char *name);
void calc_netset(struct calc *c, const struct netset *s);
void calc_netset_del(struct calc *c, const char *namespace_, const char *name);

/* Where a Service leads: one for each ready address and port. */
struct calc_backend {
	struct addr addr;
	uint16_t port;
	uint8_t proto;
};
void calc_service(struct calc *c, const char *namespace_, const char *name,
		  const struct calc_backend *v, size_t n);
void calc_service_del(struct calc *c, const char *namespace_, const char *name);

/* A pod of this node, or what an orchestrator other than Kubernetes calls one. Its addresses have
 * its pod's identity even before the pod's status names them. */
struct calc_endpoint {
	uint64_t id;
	const char *namespace_, *name; /* of the pod as calc_pod() knows it, unless own_labels */
	/* It says itself what it is (the directory store): the next three; else they are not read.
	 */
	bool own_labels;
	const char *account;
	const struct pod_label *labels; /* sorted by key */
	size_t nlabels;
	const struct pod_port *ports;
	size_t nports;
	/* Rules about an endpoint's own end look at the first address of each family; in a family
	 * in which it has none, no network and no network set contains it. */
	const struct addr *addrs;
	size_t naddrs;
};
void calc_endpoint(struct calc *c, const struct calc_endpoint *e);
void calc_endpoint_del(struct calc *c, uint64_t id);

/* ---- output ---- */

/* Computes what the changes since the last call lead to and tells the ops. */
void calc_flush(struct calc *c);
/* The dataplane has let go of a deleted identity or class: its number may be used again. */
void calc_ident_done(struct calc *c, uint32_t ident);
void calc_class_done(struct calc *c, uint32_t class_);

/* What a row's rule is. The number stays as long as the policy has that rule, through updates. */
struct calc_rule {
	/* NULL: no rule; tier then says whose end it is, "" that no policy selects the endpoint (or
	 * none decided) and so all is allowed. */
	const char *kind_text, *namespace_, *name, *display;
	enum policy_kind kind;
	const char *tier;
	enum policy_direction dir;
	uint32_t index;	       /* struct rule's */
	const char *rule_name; /* struct rule's; "" where there is none */
};
/* NULL where the number is nobody's. Valid until the next input. */
const struct calc_rule *calc_rule_get(const struct calc *c, uint32_t rule);

/* State as of the last flush. */
uint32_t calc_ident_of(const struct calc *c, const struct addr *a);
uint32_t calc_class_of(const struct calc *c, uint64_t endpoint);
/* The endpoint that has the address; false: none here. */
bool calc_endpoint_at(const struct calc *c, const struct addr *a, uint64_t *id);
/* How a table decides. `row` gets what decided (its key is the row's that was found). False: the
 * class has no such table (CALC_CLASS_NONE, or no staged policy). */
bool calc_lookup(const struct calc *c, const struct calc_table *t, uint32_t ident, uint8_t proto,
		 uint16_t sport, uint16_t dport, struct calc_row *row);

struct calc_why {
	struct {
		bool here; /* that end is a local endpoint's; else nothing is known of it */
		bool allow;
		uint32_t rule;
		bool has_staged, staged_allow; /* what it were with the staged policies in force */
		uint32_t staged_rule;
	} side[POLICY_DIRECTIONS];
	bool allow; /* no local end denies */
};
/* A new flow from src to dst; for ICMP dport is the type and sport the code. */
void calc_why(const struct calc *c, const struct addr *src, const struct addr *dst, uint8_t proto,
	      uint16_t sport, uint16_t dport, struct calc_why *why);

/* Each policy that selects local endpoints, once, with how many; in the order of evaluation. */
void calc_each_policy(const struct calc *c,
		      void (*cb)(void *arg, const struct policy *p, unsigned endpoints), void *arg);
/* The policies that select an endpoint, in the order of evaluation. */
void calc_each_policy_of(const struct calc *c, uint64_t endpoint,
			 void (*cb)(void *arg, const struct policy *p), void *arg);

struct calc_stats {
	size_t pods, endpoints, policies, active, invalid; /* active: select somebody here */
	size_t groups, label_sets, identities, classes, profiles, peers, nodes, rules;
	size_t rows; /* of all tables */
};
struct calc_stats calc_stats(const struct calc *c);

#endif
