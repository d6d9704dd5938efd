/* A cluster in a process for the model check: nodes with the real sync and collect engines and the
 * real journal, pods that come and go, a Calico node beside them, all over test/unit/sim_api.h.
 */
#ifndef SELVAGE_TEST_SYNC_WORLD_H
#define SELVAGE_TEST_SYNC_WORLD_H

#include "ipam/collect.h"
#include "ipam/ipam.h"
#include "ipam/journal.h"
#include "ipam/sync.h"
#include "test/unit/sim_api.h"

enum { WORLD_NODES = 4, WORLD_PODS = 160 };
#define WORLD_CALICO "calico1"

struct world;

enum pod_state { POD_NONE, POD_WAITS, POD_SETTLES, POD_LIVE };
struct wpod {
	enum pod_state state;
	int node; /* -1: of the Calico node */
	bool in_api;
	char name[24], cid[24], handle[64];
	unsigned naddrs, settled;
	struct addr addrs[2];
};

struct wnode {
	struct world *w;
	char name[16], instance[40], boot_id[64];
	bool up, present; /* the daemon runs; the Node object exists */
	unsigned gen, life;
	int dirfd;
	char dir[64];
	struct ipam *ipam;
	struct sync *sync;
	struct collect *collect;
	char *saved;
	size_t saved_len;
	bool usage_due;
};

struct world_conf {
	uint64_t seed;
	bool mixed; /* with a Calico node that borrows and claims */
	bool v6;
	unsigned nodes;
	struct sim_faults faults;
};

struct world {
	struct sim sim;
	struct world_conf conf;
	struct wnode nodes[WORLD_NODES];
	struct wpod pods[WORLD_PODS];
	struct sync_pool pools[3];
	unsigned npools;
	unsigned last_name;
	uint64_t calico_pods;
	bool quiet;	  /* no more churn */
	char broken[300]; /* "" : every invariant holds */
	unsigned claimed, taken, conflicts, leaks_freed;
};

void world_init(struct world *w, const struct world_conf *conf);
void world_free(struct world *w);
/* Runs until this time, with one random deed every `every` ms on average; stops when broken. */
void world_run(struct world *w, uint64_t until, uint64_t every);
/* Ends all faults, brings every daemon and Node back, and waits until all should be settled; then
 * broken says what leaked. */
void world_settle(struct world *w);

/* ---- shared by the files of the world ---- */

void world_breaks(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct wpod *world_new_pod(struct world *w, int node); /* NULL: no room */
/* Deletes the Node with its pods, or makes it again. */
void world_node_toggle(struct world *w, struct wnode *n);
/* A pod of the Calico node: an address borrowed from any block by compare-and-swap; and its end. */
void world_calico_add(struct world *w);
void world_calico_del(struct world *w, struct wpod *p);
void world_check_addresses(struct world *w);
void world_check_blocks(struct world *w);
void world_check_end(struct world *w);
void world_wrote(void *arg, const struct ipamobj_request *r); /* struct sim's */

#endif
