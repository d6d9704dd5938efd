/* Control clients (nodectl, handed on by noded): questions about felix, answered in rows.
 */
#ifndef SELVAGE_FELIX_CTL_H
#define SELVAGE_FELIX_CTL_H

#include "felix/endpoints.h"
#include "felix/ipam_report.h"
#include "store/store.h"

struct ev_loop;
struct routes;
struct ctl;

struct ctl_conf {
	struct ev_loop *loop;
	/* What there is now; each may be NULL until it is there. */
	struct store *(*store)(void *arg);
	struct ipam *(*ipam)(void *arg);
	struct routes *routes;
	struct endpoints *endpoints;
	/* Whether felix is ready, why not, and every problem known of the datastore; texts may live
	 * in the arena. */
	void (*status)(void *arg, struct m_ctl_felix *row, struct arena *arena);
	/* What `ipam show`, `check` and `release` look at; false: not there yet, err says why. */
	bool (*report)(void *arg, struct ipam_report_conf *out, struct err *err);
	void *arg;
};

struct ctl *ctl_new(const struct ctl_conf *conf); /* conf's pointers are borrowed */
void ctl_free(struct ctl *c);
void ctl_client(struct ctl *c, int fd, bool readonly); /* takes fd */

#endif
