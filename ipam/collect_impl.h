/* What collect.c (what is to be collected) and collect_job.c (how one thing is) share. Internal. */
#ifndef SELVAGE_IPAM_COLLECT_IMPL_H
#define SELVAGE_IPAM_COLLECT_IMPL_H

#include "ipam/collect.h"
#include "ipam/sync_gate.h"
#include "ipam/sync_impl.h"
#include "ipam/sync_obj.h"

enum { ORPHAN_AGE = 600 }; /* s */

struct absent {
	char *node;
	uint64_t since; /* ms */
};
struct seen {
	uint64_t key, since;
	uint64_t cycle;
};

enum job_kind { JOB_BLOCK, JOB_HANDLE };
struct job_free {
	uint32_t ordinal;
	char *handle_id;
};
struct job {
	struct job *next;
	enum job_kind kind;
	unsigned tries;
	/* JOB_BLOCK: free these; then, where it is this dead node's and empty, delete it. */
	struct prefix cidr;
	char *node; /* "" only free */
	struct job_free *frees;
	unsigned nfrees;
	enum known aff_known, block_known;
	struct ipamobj_affinity *aff;
	struct ipamobj_block *block;
	struct arena aff_arena, block_arena;
	/* JOB_HANDLE */
	char *name, *uid, *version;
	bool done;
};

enum phase { PHASE_IDLE, PHASE_HANDLES, PHASE_AFFINITIES, PHASE_BLOCKS, PHASE_JOBS };

struct collect {
	char *node;
	const struct collect_ops *ops;
	void *arg;
	struct gate gate;
	struct sync_now now;
	uint64_t wake, cycle_at, cycle, call;
	enum phase phase;
	bool nodes_known;
	char **live; /* sorted */
	unsigned nlive;
	struct absent *absent;
	unsigned nabsent;
	struct seen *seen;
	unsigned nseen;
	struct job *jobs, **jobs_tail;
	struct arena lists;
	struct ipamobj_meta *handles;
	unsigned nhandles;
	struct ipamobj_affinity **affinities;
	unsigned naffinities;
};

bool collect_is_dead(struct collect *c, const char *node);
void collect_say(struct collect *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void collect_send(struct collect *c, const struct ipamobj_request *r,
		  void (*done)(void *engine, void *obj, const struct ipamobj_reply *r), void *obj);
/* One request further. false: it is done, or has become pointless. */
bool collect_step_job(struct collect *c, struct job *j);

#endif
