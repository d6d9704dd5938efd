/* This node's blocks in the Kubernetes API: ipam/sync.h and ipam/collect.h on felix's loop, between
 * the store, IPAM and the CNI server.
 *
 * Nothing here stands between a pod and its address while the node has blocks; only an ADD that
 * finds no free address waits for a claim, and in a cluster where Calico's nodes may take addresses
 * out of our blocks (strictAffinity off) each ADD waits until the API's block shows its address.
 */
#ifndef SELVAGE_FELIX_CLAIMS_H
#define SELVAGE_FELIX_CLAIMS_H

#include "felix/blocks.h"
#include "felix/cni_server.h"
#include "ipam/sync.h"

struct claims;
struct pod_probe;

struct claims_conf {
	struct ev_loop *loop;
	struct store *store; /* the Kubernetes one */
	struct ipam *ipam;
	struct endpoints *endpoints;
	struct pod_probe *probe;
	const char *node;
	int state_dir; /* keeps "blocks" and "instance" */
	/* claims_blocks() is another list: apply it before this returns. */
	void (*blocks)(void *arg);
	void (*retry)(void *arg); /* ADDs that wait are to be tried again */
	void (*settled)(void *arg, const struct ipam_owner *owner, bool ok);
	/* Neither pod nor interface of this lease is left: give its address back. */
	void (*release)(void *arg, const struct addr *a);
	void (*trouble)(void *arg); /* claims_why() may say something else */
	void *arg;
};

/* All of conf is borrowed. NULL: the state folder cannot be used. */
struct claims *claims_new(const struct claims_conf *conf, struct err *err);
/* The blocks that were owned at the last run, so that pods can be added without the API. */
void claims_restore(struct claims *c);
/* After store_close(). NULL is allowed. */
void claims_free(struct claims *c);

const struct node_claims *claims_blocks(const struct claims *c);
/* The store was read or has changed; addrs: the node's own. The first call, with a store that is
 * synced, begins the work with the API. Not from within a callback. */
void claims_update(struct claims *c, const struct prefix *addrs, unsigned naddrs);
/* Addresses were given or given back: the API's blocks follow soon. Any time. */
void claims_leases_changed(struct claims *c);

/* An ADD finds no address of these families. WAIT: a block is being claimed. REFUSE: err says why
 * there is none to be had. */
enum cni_turn claims_want(struct claims *c, unsigned families, const struct ipam_want *want,
			  struct err *err);
/* Must the API know of this lease before it is used? WAIT: settled() comes. */
enum cni_turn claims_settle(struct claims *c, const struct ipam_owner *owner,
			    const struct ipam_lease *lease);

/* Why no address may be given, or "". */
const char *claims_why(const struct claims *c);
/* Lines about single objects for `nodectl status`; borrowed until the next change. */
unsigned claims_problems(const struct claims *c, const char *const **lines);
void claims_status(const struct claims *c, struct sync_status *out);
/* Somebody may have written the block with this address: it is read again. */
void claims_read_again(struct claims *c, const struct addr *a);
/* As sync_release_leak(). */
int claims_release_leak(struct claims *c, const struct addr *a, const char *handle_id,
			struct err *err);
/* The pools as the engine sees them; in the arena. */
unsigned claims_pools(const struct store *store, const char *node, struct arena *arena,
		      struct sync_pool **out);
/* How much of each pool lay in blocks of any node when that was last looked at; borrowed. n 0: not
 * yet. */
struct claims_pool {
	struct prefix cidr;
	char name[64];
	uint64_t size, claimed; /* addresses */
};
const struct claims_pool *claims_pool_use(const struct claims *c, unsigned *n);
/* As sync_ops.alive, from pods, interfaces and endpoints. */
bool claims_alive(struct claims *c, const struct sync_alloc *a);

#endif
