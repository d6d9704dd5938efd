/* The access to the Kubernetes API: read by noded, which may, for felix, which may not.
 *
 * In a pod its service account, unless datastore.kubeconfig or datastore.context is written; else
 * the kubeconfig. Files are looked at again every minute and when felix was refused; what a plugin
 * gave is used until shortly before it expires. A reading that fails leaves the last good access in
 * force and says why in access_reason(), in the log and in `nodectl status`.
 */
#ifndef SELVAGE_NODED_ACCESS_H
#define SELVAGE_NODED_ACCESS_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/nodeconf.h"

struct ev_loop;
struct access;

struct access_config {
	const struct nodeconf *conf; /* borrowed; kind kubernetes */
	const char *pod_dir;	     /* token, ca.crt and namespace of a pod's service account */
	double poll;		     /* s between looks at the files */
	double refresh_gap;	     /* s between two readings that felix asks for, at least */
	double exec_limit;	     /* s that a plugin may take */
	double retry_min, retry_max; /* s after a plugin that failed */
};

struct access_ops {
	/* access_fd() is another descriptor now; the one before is closed after this returns. */
	void (*on_access)(void *arg);
	/* access_reason() has changed. */
	void (*on_reason)(void *arg);
};

/* The values that noded runs with. */
struct access_config access_defaults(const struct nodeconf *conf);

/* For `noded -n`: everything is read and checked, a plugin is found but not run. -1: one line. */
int access_check(const struct access_config *config, struct err *err);

/* Reads the access. NULL: the configuration is wrong, one line says where and what to do. A plugin
 * is only started here: until it has answered, access_fd() is -1. loop (the default one), ops and
 * arg are borrowed. */
struct access *access_new(struct ev_loop *loop, const struct access_config *config,
			  const struct access_ops *ops, void *arg, struct err *err);
void access_free(struct access *a); /* NULL is allowed */

/* A sealed memfd with kube_access_encode()'s bytes, borrowed until on_access; -1: none yet. */
int access_fd(const struct access *a);
/* Why the last reading failed, one line; "" when all is well. */
const char *access_reason(const struct access *a);
/* felix was refused (401): everything is read again, the plugin runs again. */
void access_refresh(struct access *a);

/* When what expires then is to be asked for anew: a minute or a tenth of its life before, whichever
 * is less. Seconds since the epoch; 0: it has expired already. */
uint64_t access_due(uint64_t now, uint64_t expires);

#endif
