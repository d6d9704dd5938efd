/* `nodectl ipam show`, `check` and `release`: reads what the API holds of blocks, affinities,
 * handles and pods, compares it with the journal and the interfaces, and answers in rows. Without
 * an API (the directory) the answer comes from this node alone.
 */
#ifndef SELVAGE_FELIX_IPAM_REPORT_H
#define SELVAGE_FELIX_IPAM_REPORT_H

#include "felix/claims.h"
#include "felix/endpoints.h"
#include "felix/links.h"
#include "store/store.h"

struct ev_loop;
struct ipc;
struct ipam_report;

struct ipam_report_conf {
	struct ev_loop *loop;
	struct store *store;
	struct ipam *ipam;
	struct endpoints *endpoints;
	struct links *links;
	struct claims *claims; /* NULL: no API */
	const char *node;
	/* Gives back the address of a pod whose interface is gone. */
	int (*release)(void *arg, const struct addr *a, struct err *err);
	void *arg;
};

/* what: CTL_IPAM_ALL, CTL_IPAM_CHECK or CTL_IPAM_RELEASE (name: one address, "" all). Rows and
 * M_CTL_END, or M_CTL_ERROR, go to ipc; then done() is called, never from inside this call, and the
 * report is gone. Without claims all of it is done at once: NULL, and no done(). conf is copied,
 * what it points at borrowed. */
struct ipam_report *ipam_report_start(const struct ipam_report_conf *conf, struct ipc *ipc,
				      unsigned what, const char *name, void (*done)(void *arg),
				      void *done_arg);
/* The client went: no rows and no done() any more. What is under way ends by itself. */
void ipam_report_cancel(struct ipam_report *r);

#endif
