/* One block of addresses (pure): which ordinals are held, and in which order the free ones are
 * given.
 *
 * Every address of the block can be given, the first and the last included, as in Calico: routes
 * are /32 and /128, so a block has no network and no broadcast address. Free ordinals stand in one
 * queue: first those never used, in ascending order, then those given back, in the order in which
 * they came back. The oldest is given first, and only once it has been free for the cool-down.
 */
#ifndef SELVAGE_IPAM_BLOCK_H
#define SELVAGE_IPAM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/prefix.h"

struct block;

enum { BLOCK_MAX_BITS = 16 }; /* 65,536 addresses */

/* NULL: larger than 2^BLOCK_MAX_BITS addresses. */
struct block *block_new(const struct prefix *cidr);
void block_free(struct block *b); /* NULL is allowed */

/* Addresses in these prefixes are not named by block_next(); replaces the set. */
void block_reserve(struct block *b, const struct prefix *p, unsigned n);

/* Held by someone whom only the caller knows: not named by block_next() until told otherwise; then
 * it stands at the queue's end. An address of another block: nothing happens. */
void block_set_foreign(struct block *b, const struct addr *a, bool foreign);
bool block_foreign(const struct block *b, const struct addr *a);

/* Names the oldest free address that is neither reserved, foreign nor cooling, and leaves it free;
 * false: there is none. */
bool block_next(struct block *b, unsigned cooldown, uint64_t now, struct addr *out);
/* This address is held from now on, reserved or cooling or not. false: held already, or not of this
 * block. */
bool block_take(struct block *b, const struct addr *a);
/* To the queue's end; an address that is free already moves there (a journal replayed). */
void block_give(struct block *b, const struct addr *a, uint64_t now);

bool block_held(const struct block *b, const struct addr *a);

struct block_count {
	uint32_t size, held;
	uint32_t foreign, reserved, cooling, free; /* not held; each address under the first */
};
void block_count(const struct block *b, unsigned cooldown, uint64_t now, struct block_count *out);

/* Those that were given back once, in the queue's order. */
void block_each_freed(const struct block *b,
		      void (*cb)(void *arg, const struct addr *a, uint64_t freed_at), void *arg);

#endif
