/* Node-local address management: the node's blocks, who holds which address, and the journal that
 * survives any crash.
 *
 * The journal owns addresses; nothing here asks a server. ADD: ipam_assign() writes ALLOC (pending)
 * durably before it returns; ipam_ready() after the endpoint is plumbed. DEL: ipam_release() after
 * the link is gone. A process killed anywhere restarts into a state in which every address that was
 * answered is held, and none is held twice (facts: Node-local allocation that survives crashes).
 */
#ifndef SELVAGE_IPAM_IPAM_H
#define SELVAGE_IPAM_IPAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/prefix.h"

struct ipam;

/* Who holds an address: one attachment of one container. */
struct ipam_owner {
	const char *network, *container_id, *ifname;
	const char *namespace_, *pod; /* for people; "" unknown */
};

enum ipam_state { IPAM_PENDING, IPAM_READY };

struct ipam_lease {
	struct ipam_owner owner;
	enum ipam_state state;
	unsigned naddrs; /* at most one a family */
	struct addr addrs[2];
	uint64_t since;		 /* s since the epoch */
	const char *host_ifname; /* "" before ready */
};

/* Opens or creates the journal in dirfd (borrowed), replays it, cuts a torn tail, rotates where
 * due. boot_id: the kernel's; where it differs from the journal's, what was allocated is dead. now:
 * s since the epoch. Corruption in the middle: NULL, err says where and what to do. */
struct ipam *ipam_open(int dirfd, const char *boot_id, uint64_t now, struct err *err);
/* The same with another way to the disk and file size (ipam/journal.h): for tests that cut the
 * power. ops is borrowed. */
struct journal_ops;
struct ipam *ipam_open_ops(int dirfd, const char *boot_id, uint64_t now,
			   const struct journal_ops *ops, size_t min_size, struct err *err);
void ipam_close(struct ipam *ipam);
/* Where ipam_open() said that the journal is damaged: keeps it as ipam.journal.damaged, so that the
 * next ipam_open() begins an empty one; ipam_adopt() what is in use before anything is assigned. */
int ipam_set_aside(int dirfd, struct err *err);

/* The blocks of this node now, whole set. A block that is taken away while addresses in it are
 * held stays known, gives out no more, and is listed until it is empty. */
struct ipam_block_conf {
	struct prefix cidr, pool;
	bool allocate; /* false: pool disabled or Manual: only by explicit request */
	bool closed;   /* not even then: whose it is, is in doubt */
};
void ipam_set_blocks(struct ipam *ipam, const struct ipam_block_conf *blocks, unsigned n);
void ipam_set_reservations(struct ipam *ipam, const struct prefix *p, unsigned n);
void ipam_set_cooldown(struct ipam *ipam, unsigned seconds); /* floor; default 60 */

/* An address that another writer has taken out of one of our blocks (so says the API): it is never
 * given, and counts as in use, until this is called with false. Not in the journal: whoever knows
 * tells it again after a start, in any order with ipam_set_blocks(). A lease on the address is left
 * alone. */
void ipam_set_foreign(struct ipam *ipam, const struct addr *a, bool foreign);

enum ipam_result {
	IPAM_OK = 0,
	IPAM_IO = -1,	     /* the journal could not be written */
	IPAM_EXHAUSTED = -2, /* err names the blocks */
	IPAM_TAKEN = -3,     /* the address asked for is held by another (named) */
	IPAM_EXISTS = -4,    /* this owner is ready already */
	IPAM_OUTSIDE = -5,   /* the address asked for lies in none of our blocks */
	IPAM_COOLING = -6,   /* as EXHAUSTED, but addresses are free and only cool down: claim a
				block first, for they are not given early */
};

/* Which blocks may serve one family. */
struct ipam_pools {
	bool only; /* false: every block with `allocate` */
	/* only: the blocks that lie in one of these, tried in this order, whatever their
	 * `allocate` says (but none that is closed): who lists a pool has decided. n 0: none may.
	 */
	unsigned n;
	const struct prefix *v; /* borrowed for the call */
};

struct ipam_want {
	/* 1 << FAM_V4 | 1 << FAM_V6. All or nothing: one address of each family in `families`, and
	 * of each in `if_any` that a block of ours may serve. */
	unsigned families, if_any;
	struct ipam_pools v4, v6;
	/* Exactly these instead, at most one a family; the rest does not count then. */
	unsigned naddrs;
	struct addr addrs[2];
};

/* Oldest freed first; an address comes back only after the cool-down. A pending lease of the same
 * owner is given again with the same addresses where they are what is wanted. Durable on return,
 * unless ipam_sync_begin() is in force. */
enum ipam_result ipam_assign(struct ipam *ipam, const struct ipam_owner *owner,
			     const struct ipam_want *want, uint64_t now, struct ipam_lease *out,
			     struct err *err);
/* The families (bits) that ipam_assign() would not find an address for: no block, none free, or the
 * exact address in no block of ours. */
unsigned ipam_short_of(const struct ipam *ipam, const struct ipam_want *want, uint64_t now);
/* Makes a READY lease of what is in use already and known from elsewhere (the links, the API): a
 * journal made anew, a node taken over from another CNI. The addresses may lie outside our blocks
 * (borrowed); a foreign mark on them goes. The same lease again: IPAM_OK. IPAM_TAKEN: another owner
 * holds one. IPAM_EXISTS: this owner holds other addresses, which stay. */
enum ipam_result ipam_adopt(struct ipam *ipam, const struct ipam_owner *owner,
			    const struct addr *addrs, unsigned naddrs, const char *host_ifname,
			    uint64_t since, struct err *err);
enum ipam_result ipam_ready(struct ipam *ipam, const struct ipam_owner *owner,
			    const char *host_ifname, struct err *err);
/* Unknown owner: IPAM_OK. The address cools down. */
enum ipam_result ipam_release(struct ipam *ipam, const struct ipam_owner *owner, uint64_t now,
			      struct err *err);
/* Group commit: several changes, one fdatasync. Between begin and commit nothing is durable. */
void ipam_sync_begin(struct ipam *ipam);
int ipam_sync_commit(struct ipam *ipam, struct err *err);

/* false: no such lease. Strings in out are borrowed until the next call that changes. */
bool ipam_find(const struct ipam *ipam, const struct ipam_owner *owner, struct ipam_lease *out);
bool ipam_find_addr(const struct ipam *ipam, const struct addr *a, struct ipam_lease *out);
void ipam_each(const struct ipam *ipam, void (*cb)(void *arg, const struct ipam_lease *l),
	       void *arg);

/* The leases of before a reboot that this ipam_open() made void: whoever keeps a copy of them
 * elsewhere (the API) learns here whose they were. */
void ipam_each_voided(const struct ipam *ipam, void (*cb)(void *arg, const struct ipam_lease *l),
		      void *arg);

struct ipam_block_use {
	struct prefix cidr, pool;
	uint64_t size;
	uint64_t used; /* held, foreign included */
	uint64_t free, cooling;
	uint64_t foreign; /* those of `used` that another writer holds */
	bool ours;	  /* false: taken away, and not yet empty */
};
unsigned ipam_block_count(const struct ipam *ipam);
void ipam_block_use(const struct ipam *ipam, unsigned i, uint64_t now, struct ipam_block_use *out);
/* Addresses that can be given now, without those that cool down: of a family, or of its blocks in
 * one pool. For the low watermark. */
uint64_t ipam_free_count(const struct ipam *ipam, enum family fam, const struct prefix *pool,
			 uint64_t now);

/* ---- which blocks a node has, where no BlockAffinity says so (pure) ---- */

struct blocks_pool {
	struct prefix cidr;
	unsigned block_size; /* prefix length of a block */
};
/* Computes one block of the pool for each node of `nodes` (unique names) that has none in `taken`.
 * The result depends on the nodes' names and order given alone, never collides, and adding a node
 * at the end moves nobody's block: out[i] belongs to nodes[i], len 0 where the pool is full. */
void blocks_compute(const struct blocks_pool *pool, const char *const *nodes, unsigned n_nodes,
		    const struct prefix *taken, unsigned n_taken, struct prefix *out);

#endif
