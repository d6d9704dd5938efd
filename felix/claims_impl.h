/* Shared by felix/claims*.c alone. */
#ifndef SELVAGE_FELIX_CLAIMS_IMPL_H
#define SELVAGE_FELIX_CLAIMS_IMPL_H

#include <ev.h>
#include <sys/queue.h>

#include "felix/claims.h"
#include "ipam/collect.h"

enum {
	CLAIMS_LINES = 16,
	CLAIMS_FAILURES = 8,
	CLAIMS_ASKED = 16,
	CLAIMS_ASKED_AGE = 120000, /* ms */
};

/* A request on its way to the API. */
struct claims_call {
	LIST_ENTRY(claims_call) next;
	struct claims *c;
	uint64_t id;
	bool collect; /* of the collector */
};

/* An ADD whose lease the API does not show yet. */
struct claims_settling {
	LIST_ENTRY(claims_settling) next;
	struct arena arena;
	struct ipam_owner owner;
	unsigned naddrs;
	struct addr addrs[2];
	bool done[2], lost;
};

/* Why a claim ended without a block. */
struct claims_failure {
	enum family fam;
	struct prefix pool; /* len 0 and FAM_NONE: any */
	uint64_t at;	    /* ms; 0: none */
	char why[256];
};

/* A node that may be dead: has it pods? */
struct claims_asked {
	struct claims *claims;
	char node[256];
	uint64_t at; /* ms, of the answer; 0: none yet */
	bool under_way, found, none;
};

/* What the engine has been told of the leases. */
struct claims_told {
	struct arena arena;
	struct sync_lease *v; /* sorted by address */
	unsigned n;
};

LIST_HEAD(claims_calls, claims_call);
LIST_HEAD(claims_settlings, claims_settling);

struct claims {
	struct claims_conf conf;
	struct sync *sync;
	struct collect *collect;
	char instance[33];
	ev_timer tick, leases;
	struct claims_calls calls;
	struct claims_settlings settlings;
	struct claims_told told;
	struct node_claims blocks;
	struct node_claim *block_v;
	struct claims_failure failures[CLAIMS_FAILURES];
	unsigned next_failure;
	struct claims_asked asked[CLAIMS_ASKED];
	char *lines[CLAIMS_LINES];
	unsigned nlines;
	bool started, mixed, restoring;
	bool noting; /* leases that come or go from now on are written to their pods */
	/* the own Node object */
	bool patching, instance_seen;
	struct prefix addrs[2];
	unsigned naddrs;
	ev_timer sign; /* the next try */
	/* the cluster's use of the pools */
	struct claims_pool *pools;
	unsigned npools;
	ev_timer pools_timer;
	bool pools_asked;
	unsigned pools_seed;
	char why[256];
};

struct sync_now claims_now(void);
void claims_drive(struct claims *c); /* after each input of an engine */

/* ---- claims_leases.c ---- */
/* Tells the engine what has changed since the last time. */
void claims_tell_leases(struct claims *c);
/* At the start: the leases of before a reboot, so that the next difference ends them. */
void claims_tell_voided(struct claims *c);
void claims_told_free(struct claims *c);

/* ---- claims_pools.c ---- */
void claims_pools_init(struct claims *c);
void claims_pools_free(struct claims *c);

/* ---- claims_pods.c ---- */
/* The annotations of a pod that has got these addresses, or lost them (naddrs 0; container_id NULL:
 * left as it is). */
void claims_note_pod(struct claims *c, const struct ipam_owner *o, const struct addr *addrs,
		     unsigned naddrs);

/* ---- claims_node.c ---- */
void claims_node_init(struct claims *c);
void claims_tell_node(struct claims *c);
void claims_tell_settings(struct claims *c);
bool claims_node_has_pods(void *arg, const char *node);

#endif
