/* The pure core of felix/routes: what is wanted, what the kernel has, and which requests lead from
 * one to the other. No socket, no clock; the shell (felix/routes.c) sends what comes out and tells
 * what the kernel said.
 *
 * One entry a prefix, in a slab found by a hash table: 200,000 of them cost 40 bytes and one hash
 * chain link each. An entry that differs from the kernel stands in a queue, so the work is
 * proportional to what changed, not to what there is.
 *
 * Every group of bgpd has one kernel group object, even for a single next hop: a failing link
 * or a changed next hop then replaces that object and no route is touched. The
 * next-hop objects in it are shared by all groups. All keep their numbers across a restart, and a
 * group whose members are those of a group found in the kernel takes that one over.
 */
#ifndef SELVAGE_FELIX_ROUTES_CORE_H
#define SELVAGE_FELIX_ROUTES_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "felix/routes.h"

/* A group's members beyond this many are left out. */
enum { RC_MAX_MEMBERS = 128 };

/* What the kernel has, or shall have, for a prefix. */
enum rc_kind { RC_ABSENT, RC_BLACKHOLE, RC_DEV, RC_NH, RC_OTHER };

struct rc_what {
	uint8_t kind;	/* enum rc_kind */
	uint32_t value; /* RC_DEV: ifindex; RC_NH: the kernel's next-hop id */
};

struct rc_member {
	uint32_t id; /* the kernel's number of a single next hop */
	uint16_t weight;
};

/* A single next hop as the kernel has it. */
struct rc_hop {
	struct addr gateway;
	uint32_t ifindex;
	bool onlink; /* the gateway need not lie in a network of the link */
};

enum rc_op_type { RC_OP_HOP, RC_OP_GROUP, RC_OP_NH_DEL, RC_OP_ROUTE, RC_OP_ROUTE_DEL };

struct rc_op {
	enum rc_op_type type;
	uint32_t id; /* HOP, GROUP, NH_DEL: the object; ROUTE*: the entry, for rc_route_failed() */
	struct rc_hop hop;
	const struct rc_member *members; /* GROUP: borrowed until the next call */
	unsigned nmembers;
	struct prefix prefix; /* ROUTE, ROUTE_DEL */
	struct rc_what what;  /* ROUTE */
};

/* What the core asks of the world. */
struct rc_env {
	/* Through which gateway and link does the kernel reach this address? false: through none.
	 */
	bool (*resolve)(void *arg, const struct addr *gw, struct addr *via, uint32_t *ifindex);
	bool (*link_up)(void *arg, uint32_t ifindex);
	/* This learned route is not in the kernel and will not be: why. Once, until it changes. */
	void (*failed)(void *arg, const struct prefix *p, const char *why);
};

struct rc;
struct rc *rc_new(const struct rc_env *env, void *arg); /* borrows both */
void rc_free(struct rc *c);

/* --- desired state --- */
void rc_set_block(struct rc *c, const struct prefix *p, bool present);
void rc_set_pod(struct rc *c, const struct prefix *p, uint32_t ifindex);
void rc_nhg(struct rc *c, const struct m_nhg *g);
void rc_nhg_del(struct rc *c, uint32_t id);
void rc_learned(struct rc *c, uint32_t nhg, const struct prefix *p);
void rc_reset_learned(struct rc *c); /* all learned routes become stale */
void rc_sweep(struct rc *c);

/* --- actual state: a dump is begun, told row by row, ended; what was not told is gone --- */
void rc_dump_begin(struct rc *c);
void rc_dump_hop(struct rc *c, uint32_t id, const struct rc_hop *hop);
void rc_dump_group(struct rc *c, uint32_t id, const struct rc_member *m, unsigned n);
/* adopt: the first dump after a start, when routes found are stale, not unwanted. */
void rc_dump_route(struct rc *c, const struct prefix *p, struct rc_what what, bool adopt);
void rc_dump_end(struct rc *c);

/* --- events --- */
/* The kernel has now this for the prefix (someone else's doing). */
void rc_route_is(struct rc *c, const struct prefix *p, struct rc_what what);
/* A next-hop object is gone, and with it what hung on it. */
void rc_nh_lost(struct rc *c, uint32_t id);
/* A group was changed by another hand. */
void rc_group_is(struct rc *c, uint32_t id, const struct rc_member *m, unsigned n);
/* Links, addresses or foreign routes changed: next hops are evaluated anew. */
void rc_reevaluate(struct rc *c);
/* The link was taken down and up: its pods' routes are sent again. */
void rc_link_restored(struct rc *c, uint32_t ifindex);
/* The link is gone for good: its pods' routes are no longer wanted (its number may come again). */
void rc_link_gone(struct rc *c, uint32_t ifindex);
/* Single next hops on that link (0: on any) that the kernel should have: up to max ids. */
unsigned rc_hops_on(const struct rc *c, uint32_t ifindex, uint32_t *ids, unsigned max);

/* --- requests, in the order of the phases --- */
/* Evaluates next hops and groups where something changed. Call first. */
void rc_plan(struct rc *c);
bool rc_next_hop(struct rc *c, struct rc_op *op); /* 1. single next hops */
bool rc_next_group(struct rc *c,
		   struct rc_op *op); /* 2. groups; rc_plan() before, if a hop failed */
bool rc_next_route(struct rc *c, struct rc_op *op);  /* 3. routes; false: none left */
bool rc_next_unused(struct rc *c, struct rc_op *op); /* 4. objects nobody uses */
/* Emitted requests count as done unless one of these says otherwise. */
void rc_nh_failed(struct rc *c, uint32_t id);
/* The group's request was refused, but is worth another try: the kernel has what it had. */
void rc_group_unsent(struct rc *c, uint32_t id);
void rc_route_failed(struct rc *c, uint32_t entry, const char *why, bool gone);
bool rc_pending(const struct rc *c);

void rc_stats(const struct rc *c, struct routes_stats *out);
/* For tests: what the kernel should have for a prefix now, and what the core believes it has. */
struct rc_what rc_wanted(const struct rc *c, const struct prefix *p);
struct rc_what rc_actual(const struct rc *c, const struct prefix *p);

#endif
