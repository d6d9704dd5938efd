/* Writing to the datastore: Calico's IPAM objects by compare-and-swap, and small patches of pods
 * and of the own Node. Only the Kubernetes store can.
 *
 * Every callback comes exactly once, never from inside the call that asked, and not after
 * store_close(), which drops what is under way. The directory store is the exception: it answers
 * REFUSED from inside the call.
 */
#ifndef SELVAGE_STORE_IPAM_API_H
#define SELVAGE_STORE_IPAM_API_H

#include "lib/ipamobj.h"
#include "store/pods.h"
#include "store/store.h"

/* What the request points at is borrowed until the call returns. LIST and NAMES are read in pages
 * of 500 and answered as a whole; objects that cannot be understood are left out and logged, but
 * for GET, which then is REFUSED.
 *
 * UNKNOWN: a write was sent and got no answer. AWAY: nothing can have happened. A read never is
 * UNKNOWN. */
void store_ipam_request(struct store *s, const struct ipamobj_request *req,
			void (*cb)(void *arg, const struct ipamobj_reply *reply), void *arg);

enum store_patch_target {
	STORE_PATCH_POD_STATUS, /* pods/status of namespace_ and name */
	STORE_PATCH_NODE,	/* nodes/status of name */
};

/* One annotation; value NULL removes it. */
struct store_annotation {
	const char *key, *value;
};

/* A JSON merge patch of annotations. uid not "": only that very object is changed (another one is
 * CONFLICT). */
void store_patch(struct store *s, enum store_patch_target target, const char *namespace_,
		 const char *name, const char *uid, const struct store_annotation *v, unsigned n,
		 void (*cb)(void *arg, enum ipamobj_result result, const char *why), void *arg);

/* One GET of a pod, past every cache. pod is set where result is OK, until the callback returns;
 * its annotations are kept whatever its node is. NOT_FOUND only where the API itself said so (404
 * with a Status about this pod). */
void store_get_pod(struct store *s, const char *namespace_, const char *name,
		   void (*cb)(void *arg, enum ipamobj_result result, const struct pod *pod,
			      const char *why),
		   void *arg);

/* Reads the pods of one node ("" all) past the watch, at most limit of them (0: all), one after the
 * other; then done(). A pod is borrowed until each() returns. */
void store_read_pods(struct store *s, const char *node, unsigned limit,
		     void (*each)(void *arg, const struct pod *pod),
		     void (*done)(void *arg, enum ipamobj_result result, const char *why),
		     void *arg);

#endif
