/* At a start: the endpoints from what outlived the last felix, the journal's leases and the
 * kernel's links.
 */
#ifndef SELVAGE_FELIX_REBUILD_H
#define SELVAGE_FELIX_REBUILD_H

#include "felix/endpoints.h"
#include "felix/links.h"

/* A lease with a link becomes an endpoint. A pending lease without one was never answered: it is
 * released. A ready lease without one waits, not ready, for its DEL. dir: endpoint_files_open()'s,
 * or -1. The routes are the caller's to set. */
void rebuild_endpoints(struct endpoints *t, struct ipam *ipam, const struct links *links, int dir,
		       uint64_t now);

/* Without a journal: the endpoints whose files and links are there, so that their pods go on
 * forwarding. Their addresses are not known to IPAM. */
void rebuild_from_files(struct endpoints *t, const struct links *links, int dir);

/* The journal is damaged: it is set aside, and a new one begins with the endpoints whose files and
 * links are there. NULL: err says why not: a pod's link without a file would have its address given
 * twice. Nothing has changed then. */
struct ipam *rebuild_journal(struct endpoints *t, const struct links *links, int dir, int state_dir,
			     const char *boot_id, uint64_t now, struct err *err);

#endif
