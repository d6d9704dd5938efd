/* Requests under way, and when the next may go: at most a few at once, and none for a while after
 * the API was away, busy or silent. Internal to ipam/; shared by sync and collect.
 */
#ifndef SELVAGE_IPAM_SYNC_GATE_H
#define SELVAGE_IPAM_SYNC_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipamobj.h"

enum { GATE_MAX = 8 };

struct gate_call {
	uint64_t id; /* 0: free */
	void (*done)(void *engine, void *obj, const struct ipamobj_reply *r);
	void *obj;
	bool read;
};
struct gate {
	struct gate_call calls[GATE_MAX];
	uint64_t last_id;
	uint64_t hold_until; /* ms */
	unsigned fails;
	uint64_t pace; /* ms, the most between two requests; 0: no limit */
	uint64_t rng;
	uint64_t requests, writes, conflicts;
};

void gate_init(struct gate *g, uint32_t seed);
/* 0 <= result < n; 0 where n is 0. */
uint64_t gate_random(struct gate *g, uint64_t n);
/* Full jitter: anything up to base * 2^tries, at most max ms. */
uint64_t gate_jitter(struct gate *g, uint64_t base, unsigned tries, uint64_t max);
/* May a request go now? *later: when to ask again, where only time is missing. */
bool gate_open(const struct gate *g, uint64_t now, uint64_t *later);
uint64_t gate_begin(struct gate *g, const struct ipamobj_request *r,
		    void (*done)(void *engine, void *obj, const struct ipamobj_reply *r),
		    void *obj);
/* The call that this answers, which is over now; false: none. Learns from the result. */
bool gate_end(struct gate *g, uint64_t id, const struct ipamobj_reply *r, uint64_t now,
	      struct gate_call *out);

#endif
