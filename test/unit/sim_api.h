/* A simulated Kubernetes API for Calico's IPAM objects, in virtual time: resourceVersion, uid,
 * compare-and-swap, delete preconditions, labels; requests and answers travel for random times, are
 * lost on either way, refused as busy, or arrive after the client has given them up.
 */
#ifndef SELVAGE_TEST_SIM_API_H
#define SELVAGE_TEST_SIM_API_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/ipamobj.h"

struct sim_obj {
	struct sim_obj *next; /* in its bucket */
	enum ipamobj_kind kind;
	char name[IPAMOBJ_NAME];
	bool unlabelled; /* an affinity without Calico's labels */
	void *obj;	 /* struct ipamobj_<kind> */
	struct arena arena;
};

enum { SIM_BUCKETS = 512, SIM_KINDS = 3 };

/* How often, of 1000 requests. */
struct sim_faults {
	unsigned away, busy, lost_undone, lost_done, late;
};

struct sim_event; /* a message on its way, or a call of the model's */

struct sim {
	uint64_t now;	  /* ms */
	uint64_t epoch_s; /* what now 0 is in s since 1970, for creation times */
	uint64_t rng, last_rv, last_uid;
	struct sim_obj *buckets[SIM_KINDS][SIM_BUCKETS];
	unsigned count[SIM_KINDS];
	struct sim_faults faults;
	unsigned latency_min, latency_max; /* each way, ms */
	unsigned slow;			   /* of 1000 messages, by up to half a second */
	unsigned capacity;		   /* requests a second; more are busy; 0: any number */
	uint64_t second;
	unsigned in_second, peak;
	uint64_t requests, writes, answered_busy;
	struct sim_event **heap;
	unsigned nheap;
	uint64_t last_seq;
	/* The answer for a client; gen: as given to sim_send(). */
	void (*deliver)(void *arg, void *who, unsigned gen, uint64_t id,
			const struct ipamobj_reply *r);
	/* After each object written or deleted. */
	void (*wrote)(void *arg, const struct ipamobj_request *r);
	void *arg;
};

void sim_init(struct sim *sim, uint64_t seed);
void sim_free(struct sim *sim);
uint64_t sim_random(struct sim *sim, uint64_t n);
bool sim_chance(struct sim *sim, unsigned of_1000);

/* Sends a request on its way. */
void sim_send(struct sim *sim, void *who, unsigned gen, uint64_t id,
	      const struct ipamobj_request *r);
/* Calls fn(arg) in ms milliseconds. */
void sim_after(struct sim *sim, uint64_t ms, void (*fn)(void *arg), void *arg);
uint64_t sim_next(const struct sim *sim); /* ms; UINT64_MAX: nothing is under way */
/* Works off the next event. */
void sim_step(struct sim *sim);

/* At once, without a network: for foreign writers and for tests. The reply lives in a. */
struct ipamobj_reply sim_apply(struct sim *sim, const struct ipamobj_request *r, struct arena *a);
void *sim_get(struct sim *sim, enum ipamobj_kind kind, const char *name); /* NULL: none */
void sim_each(struct sim *sim, enum ipamobj_kind kind, void (*cb)(void *arg, struct sim_obj *o),
	      void *arg);

#endif
