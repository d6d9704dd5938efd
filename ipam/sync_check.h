/* Compares everything that says who has which address and names each disagreement (pure): for
 * `nodectl ipam check` and `release`.
 */
#ifndef SELVAGE_IPAM_SYNC_CHECK_H
#define SELVAGE_IPAM_SYNC_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "ipam/sync.h"
#include "lib/arena.h"
#include "lib/ipamobj.h"

/* A pod as the API shows it (host-network pods and finished ones left out), or a live link. */
struct sync_check_pod {
	const char *namespace_, *name, *node;
	unsigned naddrs;
	struct addr addrs[2];
};
struct sync_check_link {
	const char *name; /* cali... */
	struct addr addr; /* of its route */
};

struct sync_check_in {
	const char *node; /* this node; leases and links are its own */
	const struct sync_pool *pools;
	unsigned npools;
	const struct sync_lease *leases;
	unsigned nleases;
	const struct ipamobj_block *const *blocks; /* of the whole cluster */
	unsigned nblocks;
	const struct ipamobj_affinity *const *affinities;
	unsigned naffinities;
	const struct ipamobj_handle *const *handles;
	unsigned nhandles;
	const struct sync_check_pod *pods; /* of the whole cluster */
	unsigned npods;
	const struct sync_check_link *links;
	unsigned nlinks;
	const char *const *nodes; /* that exist */
	unsigned nnodes;
};

enum sync_check_kind {
	CHECK_BLOCK_BROKEN,	  /* its own lists contradict each other */
	CHECK_BLOCK_OVERLAP,	  /* two blocks share addresses */
	CHECK_BLOCK_OUTSIDE,	  /* in no pool */
	CHECK_BLOCK_NO_AFFINITY,  /* names an owner that has no affinity for it */
	CHECK_AFFINITY_NO_BLOCK,  /* confirmed, and there is no block */
	CHECK_AFFINITY_OTHER,	  /* the block belongs to another owner */
	CHECK_NODE_GONE,	  /* a block or affinity of a node that does not exist */
	CHECK_ADDRESS_TWICE,	  /* two pods have one address */
	CHECK_ALLOC_LEAKED,	  /* allocated, and there is no pod, lease or link */
	CHECK_ALLOC_OTHER,	  /* a lease of ours, and the block names another handle */
	CHECK_LEASE_NOT_IN_BLOCK, /* a lease of ours that the block does not show */
	CHECK_LEASE_NO_POD,	  /* a lease of ours without pod and link */
	CHECK_LINK_NO_LEASE,	  /* a live link whose address no lease holds */
	CHECK_POD_NO_ALLOC,	  /* a pod's address of a pool that no block shows as allocated */
	CHECK_HANDLE_UNREFERENCED,
	CHECK_HANDLE_MISSING, /* a block mentions a handle that does not exist */
	CHECK_HANDLE_COUNT,   /* a handle's counts differ from the blocks */
	CHECK_KINDS
};
/* What would set it right without harm to anything alive. */
enum sync_check_mend {
	MEND_NONE,	      /* a person must look */
	MEND_WAIT,	      /* it is under way: noded writes or collects it by itself */
	MEND_FREE_ADDRESS,    /* sync_release_leak(), or by the block's owner */
	MEND_DELETE_HANDLE,   /* with its uid and version as preconditions */
	MEND_DELETE_AFFINITY, /* likewise */
	MEND_RELEASE_LEASE,   /* in the journal */
};
struct sync_finding {
	enum sync_check_kind kind;
	enum sync_check_mend mend;
	struct addr addr;		    /* FAM_NONE: not about one address */
	const char *object;		    /* an address, a CIDR, or an object's name */
	const char *node;		    /* whose it is; "" unknown */
	const char *handle_id;		    /* "" none */
	const char *uid, *resource_version; /* of the object to delete; "" */
	const char *what;		    /* for people */
};

const char *sync_check_kind_name(enum sync_check_kind k); /* "block-overlap": stable, for -j */
const char *sync_check_mend_name(enum sync_check_mend m);
/* Fills *out (a's memory) and returns how many. Objects with `deleted` are passed over. */
unsigned sync_check(const struct sync_check_in *in, struct arena *a, struct sync_finding **out);

#endif
