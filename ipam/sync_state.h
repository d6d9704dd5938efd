/* The blocks that a node durably owned, as a small text file for the state dir: what serves when
 * the API is away at boot (pure).
 *
 *   selvage blocks 1
 *   node n1
 *   instance 4f6d...
 *   block 10.0.0.0/26 pool 10.0.0.0/16 allocate
 *   foreign 10.0.0.5
 *   end 1a2b3c4d
 *
 * The last line carries the CRC-32C of all before it: a torn file is refused whole.
 */
#ifndef SELVAGE_IPAM_SYNC_STATE_H
#define SELVAGE_IPAM_SYNC_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/prefix.h"

struct sync_state_block {
	struct prefix cidr, pool;
	bool allocate;
};
struct sync_state {
	const char *node, *instance;
	unsigned nblocks, nforeign;
	struct sync_state_block *blocks;
	struct addr *foreign; /* held by others in these blocks */
	struct arena arena;   /* owns all of it */
};

/* A text of *len bytes (and a 0 behind it) in a's memory. */
char *sync_state_encode(const struct sync_state *st, struct arena *a, size_t *len);
/* 0 and *out (to be freed), or -1: not such a file, torn, or of a later version. A file of another
 * node's name or instance decodes; the caller compares. */
int sync_state_decode(const char *text, size_t len, struct sync_state *out, struct err *err);
void sync_state_free(struct sync_state *st);

#endif
