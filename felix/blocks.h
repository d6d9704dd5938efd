/* Which blocks of addresses this node owns, and what may be done with each: read from the store.
 * Pure.
 */
#ifndef SELVAGE_FELIX_BLOCKS_H
#define SELVAGE_FELIX_BLOCKS_H

#include "store/store.h"

struct node_block {
	struct prefix cidr;
	struct prefix pool;
	bool allocate; /* the pool is enabled, Automatic, for workloads and for this node */
	bool export_;  /* advertised: durably ours, and the pool has no disableBGPExport */
	bool closed;   /* whose it is, is in doubt: nobody gets an address of it */
};

struct node_blocks {
	unsigned n;
	struct node_block *v; /* by pool's name, then address */
};

/* What the node has claimed for good from an API (ipam/sync.h): then neither affinity documents nor
 * computed blocks count. */
struct node_claim {
	struct prefix cidr, pool;
	bool allocate, advertise, closed;
};
struct node_claims {
	unsigned n;
	const struct node_claim *v;
};

/* claims NULL: the confirmed BlockAffinity documents of this node that lie in a pool; and for each
 * pool that has no affinity document at all and gives addresses to this node, one computed block
 * (blocks_compute() of ipam/ipam.h over the Node documents that the pool selects, in the order of
 * files and documents). Without any Node document, this node alone counts; where others have one
 * and this node does not, nothing is computed, for it could be another's. problems: why a block is
 * missing. With claims: these. */
void node_blocks_find(const struct store *store, const char *node, const struct node_claims *claims,
		      struct arena *arena, struct node_blocks *out, struct problems *problems);

/* A node's labels; none where it has no document. */
const struct field_kvs *node_labels(const struct store *store, const char *node);

/* Does the selector take these labels? A selector that cannot be read takes nothing and is named
 * in problems with what it belongs to. */
bool selector_takes(const struct object *owner, const char *key, const char *selector,
		    const struct field_kvs *labels, struct problems *problems);

/* All Node documents in the order of files and documents; in the arena. */
const struct object **nodes_in_order(const struct store *store, struct arena *arena, unsigned *n);

#endif
