/* Random worlds for the calc graph: every change goes to a naive world and to a calc alike. */
#ifndef SELVAGE_TEST_CALC_WORLD_H
#define SELVAGE_TEST_CALC_WORLD_H

#include "test/unit/naive_policy.h"

struct rng {
	uint64_t s;
};
static inline uint32_t rng_next(struct rng *r)
{
	r->s = r->s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	uint64_t x = r->s ^ r->s >> 33;

	return (uint32_t)(x * UINT64_C(0xff51afd7ed558ccd) >> 32);
}
static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)((uint64_t)rng_next(r) * n >> 32);
}
static inline bool rng_one_in(struct rng *r, unsigned n)
{
	return rng_below(r, n) == 0;
}

enum {
	W_NAMESPACES = 3,
	W_ACCOUNTS = 3,
	W_PODS = 9,
	W_ENDPOINTS = 4,
	W_SERVICES = 2,
	W_POLICIES = 7,
	W_TIERS = 3,
	W_NETSETS = 4,
	W_LABELS = 4
};

struct world {
	struct naive_world n;
	struct naive_labels namespaces[W_NAMESPACES], accounts[W_ACCOUNTS];
	struct naive_pod pods[W_PODS];
	struct naive_endpoint endpoints[W_ENDPOINTS];
	struct naive_service services[W_SERVICES];
	struct policy *policies[W_POLICIES];
	struct tier *tiers[W_TIERS];
	struct netset *netsets[W_NETSETS];
	struct field_kv labels[64][W_LABELS]; /* a place each for what has labels */
};

void world_init(struct world *w);
void world_free(struct world *w);
/* Changes one object, at random; calc NULL: only the world. */
void world_step(struct world *w, struct rng *r, struct calc *c);
/* Takes everything out of both, in random order. */
void world_clear(struct world *w, struct rng *r, struct calc *c);
/* Everything as it is, in random order, into a calc that has nothing. */
void world_tell_all(const struct world *w, struct rng *r, struct calc *c);
/* Some packet to or from an endpoint; dir is the endpoint's. */
struct naive_packet world_packet(const struct world *w, struct rng *r,
				 const struct naive_endpoint *e, enum policy_direction dir);

#endif
