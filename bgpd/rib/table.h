/* The prefixes of one family and the paths to each.
 *
 * A prefix node is 24 bytes (IPv4) or 36 (IPv6) and holds its first path; after a decision that is
 * the best one. Further paths lie in blocks: the second path of a prefix in a block of 16 bytes,
 * more in blocks of five that fill a cache line. Only the newest block has free places. A node
 * stands as long as it has a path or a pin (something that still has to be told about it).
 */
#ifndef SELVAGE_BGPD_RIB_TABLE_H
#define SELVAGE_BGPD_RIB_TABLE_H

#include "bgpd/rib/hidx.h"
#include "bgpd/rib/slab.h"
#include "lib/prefix.h"

struct path {
	uint32_t attr;	  /* 0: no path here */
	uint32_t path_id; /* RFC 7911 */
	uint16_t peer;
	uint16_t flags; /* room for what graceful restart and policy mark */
};

enum {
	NODE_BEST = 1,	  /* the first path is the best one and valid */
	NODE_TOUCHED = 2, /* what was best has changed or gone since the last decision */
	NODE_POOL = 4,	  /* inside a pool that is exported */
	NODE_NO_POOL = 8, /* inside a pool that must not be exported */
	NODE_MED = 32,	  /* of the paths that were candidates, one has a MED */
	NODE_FAILED = 16, /* the kernel refused the route */
};

enum { PINS_MAX = UINT16_MAX, NODE_FREE = 0xff };

struct node {
	struct path first;
	uint32_t ext;  /* further paths; 0: none */
	uint16_t pins; /* PINS_MAX sticks */
	uint8_t len;   /* NODE_FREE: no node */
	uint8_t flags;
	uint8_t key[]; /* 4 or 16 bytes, host bits clear */
};

struct table {
	uint8_t fam;
	uint64_t seed;
	struct hidx index;
	struct slab nodes, one, five;
};

void table_init(struct table *t, uint8_t fam, uint64_t seed);
void table_fini(struct table *t);

uint64_t table_hash(const struct table *t, const struct prefix *p);
/* The node's index or 0. hash: table_hash() of it. */
uint32_t table_find(const struct table *t, const struct prefix *p, uint64_t hash);
/* A new node without paths; it must not be there yet. */
uint32_t table_add(struct table *t, const struct prefix *p, uint64_t hash);
/* The node must have no path. */
void table_del(struct table *t, uint32_t i);
/* table_del() will follow soon: fetches what it needs. */
void table_del_soon(const struct table *t, uint32_t i);
size_t table_bytes(const struct table *t);

static inline struct node *table_node(const struct table *t, uint32_t i)
{
	return slab_at(&t->nodes, i);
}

/* The node at i, or NULL where there is none: for walks over all indices below table_end(). */
static inline struct node *table_live(const struct table *t, uint32_t i)
{
	if (!slab_touched(&t->nodes, i))
		return NULL;
	struct node *n = table_node(t, i);
	return n->len == NODE_FREE ? NULL : n;
}

static inline uint32_t table_end(const struct table *t)
{
	return slab_end(&t->nodes);
}

void table_prefix(const struct table *t, const struct node *n, struct prefix *out);

/* ---- the paths of a node ---- */

/* A place for a path, to be filled by the caller. Other paths of the node stay where they are. */
struct path *path_add(struct table *t, struct node *n);
/* p is one of n's paths. The last path moves into its place, so pointers to paths end here. */
void path_del(struct table *t, struct node *n, struct path *p);
/* Takes the last path out; there must be one besides the first. */
struct path path_pop(struct table *t, struct node *n);
struct path *path_find(const struct table *t, struct node *n, uint16_t peer, uint32_t path_id);

struct path_walk {
	uint32_t block, k;
};

/* for (p = path_first(t, n, &w); p; p = path_next(t, &w)): first the node's own, then the rest. */
struct path *path_first(const struct table *t, struct node *n, struct path_walk *w);
struct path *path_next(const struct table *t, struct path_walk *w);

#endif
