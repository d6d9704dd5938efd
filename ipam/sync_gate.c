#include "config.h"

#include "ipam/sync_gate.h"

#include <string.h>

enum { HOLD_BASE = 100, HOLD_MAX = 30000, PACE_MIN = 500, PACE_MAX = 16000, PACE_NONE = 50 };

void gate_init(struct gate *g, uint32_t seed)
{
	memset(g, 0, sizeof(*g));
	g->rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

uint64_t gate_random(struct gate *g, uint64_t n)
{
	/* splitmix64 */
	uint64_t z = (g->rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return n ? z % n : 0;
}

uint64_t gate_jitter(struct gate *g, uint64_t base, unsigned tries, uint64_t max)
{
	uint64_t top = base << (tries < 16 ? tries : 16);

	return gate_random(g, (top < max ? top : max) + 1);
}

bool gate_open(const struct gate *g, uint64_t now, uint64_t *later)
{
	if (now < g->hold_until) {
		if (g->hold_until < *later)
			*later = g->hold_until;
		return false;
	}
	unsigned max = g->pace ? 1 : GATE_MAX, n = 0;

	for (unsigned i = 0; i < GATE_MAX; i++)
		n += g->calls[i].id != 0;
	return n < max;
}

uint64_t gate_begin(struct gate *g, const struct ipamobj_request *r,
		    void (*done)(void *engine, void *obj, const struct ipamobj_reply *r), void *obj)
{
	struct gate_call *c = g->calls;

	while (c->id)
		c++;
	bool read = r->verb == IPAMOBJ_GET || r->verb == IPAMOBJ_LIST || r->verb == IPAMOBJ_NAMES;
	*c = (struct gate_call){ ++g->last_id, done, obj, read };
	g->requests++;
	g->writes += !read;
	return c->id;
}

bool gate_end(struct gate *g, uint64_t id, const struct ipamobj_reply *r, uint64_t now,
	      struct gate_call *out)
{
	struct gate_call *c = g->calls;

	while (c < g->calls + GATE_MAX && (id == 0 || c->id != id))
		c++;
	if (c == g->calls + GATE_MAX)
		return false;
	*out = *c;
	c->id = 0;
	uint64_t until = now;
	if (r->result == IPAMOBJ_AWAY || r->result == IPAMOBJ_BUSY ||
	    r->result == IPAMOBJ_UNKNOWN) {
		until += r->retry_after + gate_jitter(g, HOLD_BASE, g->fails, HOLD_MAX);
		g->fails += g->fails < 16;
	} else {
		/* Halved, not cleared: among many busy answers one lucky one says little. */
		g->fails /= 2;
	}
	/* A busy API is one that many press at once. Each then slows down by itself, one request
	 * after the other, and comes back to full speed by and by: what is sent is then mostly
	 * served, where retries alone would keep it busy. */
	if (r->result == IPAMOBJ_BUSY) {
		g->pace = g->pace < PACE_MIN / 2 ? PACE_MIN : 2 * g->pace;
		g->pace = g->pace < PACE_MAX ? g->pace : PACE_MAX;
	} else {
		g->pace -= g->pace / 8;
		g->pace = g->pace < PACE_NONE ? 0 : g->pace;
	}
	until += gate_random(g, g->pace + 1);
	if (until > g->hold_until)
		g->hold_until = until;
	g->conflicts += r->result == IPAMOBJ_CONFLICT || r->result == IPAMOBJ_EXISTS;
	return true;
}
