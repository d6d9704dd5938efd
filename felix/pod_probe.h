/* Is there such a pod, and what does it ask for? Asked of the API itself, past the watch, and
 * remembered for a short while: for an ADD that is faster than the watch, and for the recheck
 * before an address is freed.
 */
#ifndef SELVAGE_FELIX_POD_PROBE_H
#define SELVAGE_FELIX_POD_PROBE_H

#include "lib/ipamobj.h"
#include "store/pods.h"
#include "store/store.h"

struct pod_probe;

struct pod_known {
	enum ipamobj_result result; /* OK, NOT_FOUND, or why it cannot be known */
	struct pod pod;		    /* OK: a copy without labels and ports */
};

/* known: an answer has come. store and arg are borrowed. */
struct pod_probe *pod_probe_new(struct store *store, void (*known)(void *arg), void *arg);
/* After store_close(): nothing comes back any more. NULL is allowed. */
void pod_probe_free(struct pod_probe *p);

/* What is known, at most max_age ms old, until the next call; NULL: asked now, or still under way.
 * now: ms, monotonic. */
const struct pod_known *pod_probe_get(struct pod_probe *p, const char *namespace_, const char *name,
				      uint64_t max_age, uint64_t now);

#endif
