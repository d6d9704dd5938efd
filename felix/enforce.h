/* Policy in force: feeds the calc graph from the datastore and the endpoints, and the kernel from
 * the calc graph.
 *
 *   store, pods --+                                   +--> nf_tables
 *                 +--> calc graph --> struct calc_ops |
 *   endpoints ----+                                   +--> conntrack (revoked flows)
 *
 * Changes are told when they happen and reach the kernel together, shortly after; an ADD brings
 * them there before it answers (enforce_commit()). Until the datastore has been read the kernel
 * keeps what the last felix left, in which an interface that it did not know drops everything.
 */
#ifndef SELVAGE_FELIX_ENFORCE_H
#define SELVAGE_FELIX_ENFORCE_H

#include <stdbool.h>
#include <stdint.h>

#include "felix/endpoints.h"
#include "felix/nft.h"
#include "felix/policy/calc.h"
#include "lib/err.h"
#include "store/store.h"

struct ev_loop;
struct pod;
struct enforce;

struct enforce_conf {
	struct ev_loop *loop;
	const struct endpoints *endpoints; /* borrowed */
	/* Endpoints are what they say of themselves (the directory store); else what the store says
	 * of their pods. */
	bool own_labels;
	/* Flows that a change no longer allows are cut. */
	bool revoke;
	/* cni.projectcalico.org/allowedSourcePrefixes counts. */
	bool spoofing;
	/* enforce_why() or the numbers of enforce_state() may differ now. */
	void (*changed)(void *arg);
	void *arg;
};

/* NULL and err where the kernel cannot hold policy at all. */
struct enforce *enforce_new(const struct enforce_conf *conf, struct err *err);
void enforce_free(struct enforce *e); /* the kernel's rules stay */

/* ---- what there is; takes effect with the next commit ---- */

/* The datastore's objects changed; s must be synced. */
void enforce_store(struct enforce *e, const struct store *s);
/* As store_ops' on_pod. */
void enforce_pod(struct enforce *e, const struct pod *was, const struct pod *is);
/* A pod that the API knows but the watch has not shown yet; what on_pod says comes after it. */
void enforce_pod_early(struct enforce *e, const struct pod *p);
/* New, or anything of it changed. */
void enforce_endpoint(struct enforce *e, const struct endpoint *ep);
/* It goes: to be called before endpoints_remove(). */
void enforce_endpoint_del(struct enforce *e, const struct endpoint *ep);

/* Brings everything into the kernel now. 0, or -1 where any of it is not there; err says what. */
int enforce_commit(struct enforce *e, struct err *err);
/* Is this endpoint's policy in the kernel? false: err says why not. */
bool enforce_has(const struct enforce *e, const struct endpoint *ep, struct err *err);
/* These addresses change hands: flows of their last owner are forgotten. */
void enforce_forget(struct enforce *e, const struct addr *v, unsigned n);

/* ---- what is so ---- */

/* Why the node's policy is not as it should be; "" all is well. Borrowed until the next change. */
const char *enforce_why(const struct enforce *e);

struct enforce_state {
	unsigned policies, invalid; /* objects; of them those that could not be read whole */
	uint64_t applied;	    /* s since the epoch: the last commit that changed the kernel; 0 none */
	uint64_t commits, failures; /* since the start */
	double last_seconds;	    /* the last commit, calculation included */
	struct calc_stats calc;
};
void enforce_state(const struct enforce *e, struct enforce_state *out);
/* Every problem with a policy object, "where: what"; borrowed until the next change. */
unsigned enforce_problems(const struct enforce *e, const char *const **lines);
/* Kernel features that are missing, and what degrades; as enforce_problems(). */
unsigned enforce_degraded(const struct enforce *e, const char *const **lines);

/* As of the last calculation. Every policy object read, in the order of evaluation. */
const struct calc *enforce_calc(const struct enforce *e);
void enforce_each_policy(const struct enforce *e, void (*cb)(void *arg, const struct policy *p),
			 void *arg);
/* The endpoint with this number (struct endpoint's id); NULL none. */
const struct endpoint *enforce_endpoint_get(const struct enforce *e, uint64_t id);
/* What each rule number has decided since the policy came; one call a rule. */
int enforce_counters(struct enforce *e, nft_counter_fn cb, void *arg, struct err *err);

#endif
