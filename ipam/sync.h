/* Keeps one node's blocks in the Kubernetes API, in Calico's format: claims blocks, follows the
 * journal with the block objects and their handles, gives empty blocks back, frees what leaked
 * (pure: no loop, clock or socket).
 *
 * The API owns blocks, the node owns addresses (facts: Node-local allocation that survives
 * crashes). What is known of each object is a copy of what the API said last, or "not known": each
 * step is chosen from the copies and from what is wanted, so a crash, a conflict or a lost reply at
 * any point only means: read again, and go on from what is there. The intent of a claim is the
 * pending affinity itself; nothing has to be journalled before it.
 *
 * The owner sends each request it is given and answers with sync_reply(); it calls sync_tick() at
 * sync_next(), which may change with every input. Callbacks come from inside the inputs. From
 * request() and alive() only functions that take a const struct sync may be called, and a request
 * may not be answered there; from the others every input is allowed and is worked off behind it.
 */
#ifndef SELVAGE_IPAM_SYNC_H
#define SELVAGE_IPAM_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "ipam/ipam.h"
#include "lib/err.h"
#include "lib/ipamobj.h"
#include "lib/prefix.h"

struct sync;
struct sync_state; /* ipam/sync_state.h */

/* ms: monotonic. unix_ns: the wall clock, for timestamps and first sequence numbers only. */
struct sync_now {
	uint64_t ms, unix_ns;
};

/* An allocation as a block object shows it. */
struct sync_alloc {
	struct addr addr;
	const char *handle_id, *pod, *namespace_, *node; /* "" unsaid */
};

enum sync_claim {
	SYNC_CLAIMED = 0,   /* a block more: try the assignment again */
	SYNC_POOL_FULL,	    /* every block of the pools that may be used is taken */
	SYNC_MAX_BLOCKS,    /* maxBlocksPerHost is reached */
	SYNC_NO_POOL,	    /* no pool of this family may be used here */
	SYNC_CLAIM_AWAY,    /* the API cannot be reached now; the claim goes on meanwhile */
	SYNC_CLAIM_STOPPED, /* another daemon runs under this node's name, or the Node is gone */
	SYNC_CLAIM_REFUSED, /* the API refuses; why says so */
};

enum sync_settle {
	SYNC_SETTLED,  /* the block in the API holds the address for us */
	SYNC_LOST,     /* another holds it there: release it and take another */
	SYNC_SETTLING, /* settled() will say */
};

enum sync_problem {
	SYNC_TAKEN,	  /* a block of ours has another owner: CNI STATUS 51 while it lasts */
	SYNC_CONFLICT,	  /* an address that we have given is held by another in the API */
	SYNC_TWIN,	  /* another daemon with this node's name is at work: nothing is claimed,
			   * allocated or written any more until a restart */
	SYNC_REFUSED,	  /* the API refuses a request (rights, validation) */
	SYNC_STALE_LEASE, /* a local lease whose pod and link are both gone: the owner's to release
			   */
};

struct sync_ops {
	/* Sends this. r and what it points at are borrowed until the call returns. */
	void (*request)(void *arg, uint64_t id, const struct ipamobj_request *r);
	/* What sync_blocks() lists has changed: apply it at once. From a block that is no longer
	 * listed as allocate, no address may be given when this returns. */
	void (*blocks)(void *arg);
	/* An address in a block of ours is (held) or is no longer held by somebody else in the API;
	 * an own allocation of before whose lease is unknown here counts too. Comes before blocks()
	 * lists the block for the first time. May come for an address that we have given: then
	 * problem(SYNC_CONFLICT) comes as well. */
	void (*foreign)(void *arg, const struct prefix *block, const struct addr *a, bool held);
	/* For each sync_want() that is waiting: a claim ended. pool: as asked, NULL where any.
	 * After SYNC_CLAIM_AWAY the want stays and is told again; after the others it is done with.
	 */
	void (*claimed)(void *arg, enum family fam, const struct prefix *pool,
			enum sync_claim result, const char *why);
	/* The end of a sync_settle() that returned SYNC_SETTLING. */
	void (*settled)(void *arg, const struct addr *a, enum sync_settle result);
	/* Said once for each object until it changes. object: an address, a CIDR or a name. text:
	 * for people. */
	void (*problem)(void *arg, enum sync_problem kind, const char *object, const char *text);
	/* The recheck before an address is freed: is there still a pod (its namespace and name, or
	 * with this address), or a live link or container of this handle? true also where this
	 * cannot be known now. Asked again for each of two observations at least 60 s apart. */
	bool (*alive)(void *arg, const struct sync_alloc *a);
};

struct sync_conf {
	const char *node;     /* the Kubernetes node's name */
	const char *instance; /* random text kept in the state dir: which daemon this is */
	uint32_t seed;	      /* for jitter and for the walk over a pool; differs between nodes */
	unsigned handle_rate; /* IPAMHandle requests a second; 0: 10 */
};

/* ops and arg are borrowed. */
struct sync *sync_new(const struct sync_conf *conf, const struct sync_ops *ops, void *arg);
void sync_free(struct sync *s); /* NULL is allowed */

/* What was owned when the state was saved: serves until the API has been read. Before
 * sync_start(). Calls blocks() and foreign(). */
void sync_restore(struct sync *s, const struct sync_state *st);
/* Begins. Give leases, pools and settings before it. Where many nodes are known
 * (sync_settings.nodes), it waits up to 2 ms a node, at most 2 s, by chance. */
void sync_start(struct sync *s, struct sync_now now);

/* ---- what is wanted ---- */

enum sync_pool_use {
	SYNC_POOL_AUTO,	 /* claimed from as needed */
	SYNC_POOL_ASKED, /* Manual, or its nodeSelector leaves this node out: only by sync_want() */
	SYNC_POOL_CLOSED /* disabled: nothing is claimed; its blocks are kept while in use */
};
struct sync_pool {
	struct prefix cidr;
	unsigned block_size; /* prefix length of a block */
	enum sync_pool_use use;
};
/* All enabled and disabled pools, in the order in which they are tried. */
void sync_set_pools(struct sync *s, const struct sync_pool *pools, unsigned n, struct sync_now now);

struct sync_settings {
	bool strict_affinity, auto_allocate_blocks; /* IPAMConfig */
	unsigned max_blocks_per_host;		    /* a family; 0: 20, as Calico */
	/* Other writers may take addresses out of our blocks (strictAffinity off and Calico nodes
	 * present): the owner calls sync_settle() before each answer. */
	bool mixed;
	/* This node's place among the known nodes in the order of their names: nodes that claim at
	 * once then begin at different blocks. nodes 0: unknown; the walk begins at the host name's
	 * hash. */
	unsigned rank, nodes;
};
void sync_set_settings(struct sync *s, const struct sync_settings *st, struct sync_now now);

/* This node's Node object: whether it exists, and its annotation selvage.io/instance ("" none) once
 * the owner has written ours there. Absent: nothing more is claimed or allocated; when it is back,
 * every block is read again before it is used. A foreign instance: SYNC_TWIN. */
void sync_set_node(struct sync *s, bool present, const char *instance, struct sync_now now);

/* ---- the journal's leases ---- */

struct sync_lease {
	struct addr addr;
	const char *handle_id, *pod, *namespace_; /* ipamobj_handle_id(); "" unknown */
	uint64_t since;				  /* s since the epoch */
};
/* A lease with two addresses is two calls with one handle. Addresses outside of all our blocks are
 * kept in mind and cost nothing. Given again: no change. */
void sync_lease_add(struct sync *s, const struct sync_lease *l, struct sync_now now);
void sync_lease_del(struct sync *s, const struct addr *a, struct sync_now now);
/* Mixed mode, after sync_lease_add(): writes this address at once, ahead of all else. */
enum sync_settle sync_settle(struct sync *s, const struct addr *a, struct sync_now now);

/* How full the blocks are, whole set, as ipam_block_use() says: after each turn that changed it. */
void sync_set_usage(struct sync *s, const struct ipam_block_use *u, unsigned n,
		    struct sync_now now);
/* An ADD waits for an address of this family (of this pool; NULL any). claimed() will say. */
void sync_want(struct sync *s, enum family fam, const struct prefix *pool, struct sync_now now);
/* An operator's word that nobody has this address (nodectl ipam release): freed if it lies in a
 * block of ours, the API shows this handle for it and no local lease has it. -1: err says why not.
 */
int sync_release_leak(struct sync *s, const struct addr *a, const char *handle_id,
		      struct sync_now now, struct err *err);

/* ---- driving it ---- */

void sync_tick(struct sync *s, struct sync_now now);
uint64_t sync_next(const struct sync *s); /* ms at which to tick; UINT64_MAX: nothing is due */
/* The answer to a request. Unknown ids are ignored. */
void sync_reply(struct sync *s, uint64_t id, const struct ipamobj_reply *r, struct sync_now now);
/* Something was seen on this object from outside (a watch): read it again when it is ours. What the
 * engine wrote itself comes back by a watch too and then costs one GET: meant for affinities. */
void sync_hint_changed(struct sync *s, enum ipamobj_kind kind, const struct prefix *cidr,
		       struct sync_now now);

/* ---- what is known ---- */

struct sync_block {
	struct prefix cidr, pool;
	bool allocate;	/* as ipam_block_conf's: false also while its ownership is in doubt */
	bool closed;	/* its ownership is in doubt: no address, even for who names the pool */
	bool advertise; /* durably ours */
	bool taken;	/* another owner has it; listed while leases of ours lie in it */
};
unsigned sync_block_count(const struct sync *s);
void sync_block_at(const struct sync *s, unsigned i, struct sync_block *out);
void sync_each_foreign(const struct sync *s,
		       void (*cb)(void *arg, const struct prefix *block, const struct addr *a),
		       void *arg);
/* What is durably ours, to be saved (ipam/sync_state.h) after each blocks(): fills st, whose memory
 * the caller frees with sync_state_free(). */
void sync_save(const struct sync *s, struct sync_state *st);

struct sync_status {
	bool synced;  /* the own affinities were read once and each block of them is settled */
	bool stopped; /* SYNC_TWIN, or the Node is gone */
	const char *stopped_why; /* "" */
	unsigned claims;	 /* under way */
	unsigned behind;	 /* leases and releases that the API does not show yet */
	unsigned taken, conflicts;
	uint64_t requests, writes, conflicts_seen; /* since the start */
};
void sync_status(const struct sync *s, struct sync_status *out);

#endif
