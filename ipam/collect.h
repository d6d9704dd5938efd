/* Takes away what dead nodes and crashes have left in the API: blocks of nodes that are gone, the
 * allocations in them, handles that no block mentions (pure: no loop, clock or socket).
 *
 * A node is dead only when its Node object has been absent for 15 minutes, observed without a break
 * by this engine, and no pod is bound to it: never by readiness. Nothing is freed without two
 * observations at least 60 s apart and the owner's recheck, and each step is a compare-and-swap, so
 * that two collectors at once are safe; to save requests only one node works: the one whose name
 * hashes highest among the live nodes. Never touched: load balancers' blocks (virtual:), tunnel
 * addresses and every allocation that has a type, addresses of live nodes. What leaked in the
 * node's own blocks is ipam/sync.h's.
 */
#ifndef SELVAGE_IPAM_COLLECT_H
#define SELVAGE_IPAM_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "ipam/sync.h"

struct collect;

struct collect_ops {
	/* As sync_ops.request; ids are this engine's own. */
	void (*request)(void *arg, uint64_t id, const struct ipamobj_request *r);
	/* Is a pod bound to this node (spec.nodeName)? true also where this cannot be known now. */
	bool (*node_has_pods)(void *arg, const char *node);
	/* As sync_ops.alive: a pod of this name, or with this address, anywhere? */
	bool (*alive)(void *arg, const struct sync_alloc *a);
	/* One line for the log for each thing taken away. */
	void (*collected)(void *arg, const char *text);
};

/* ops and arg are borrowed. node: this node's name. */
struct collect *collect_new(const char *node, uint32_t seed, const struct collect_ops *ops,
			    void *arg);
void collect_free(struct collect *c); /* NULL is allowed */

/* The Node objects that exist now, whole set, after each change; a list that may be incomplete
 * (first sync not done) must not be given. From the first call on the engine works. */
void collect_set_nodes(struct collect *c, const char *const *names, unsigned n,
		       struct sync_now now);
/* The nodes cannot be known now (watch broken for long): every absence counts anew. */
void collect_forget_nodes(struct collect *c);

void collect_tick(struct collect *c, struct sync_now now);
uint64_t collect_next(const struct collect *c); /* ms; UINT64_MAX: nothing is due */
void collect_reply(struct collect *c, uint64_t id, const struct ipamobj_reply *r,
		   struct sync_now now);
bool collect_elected(const struct collect *c); /* is it this node that works? */

#endif
