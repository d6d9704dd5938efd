/* Shared by felix/felix*.c alone: the daemon's parts and what its files ask of each other.
 */
#ifndef SELVAGE_FELIX_FELIX_IMPL_H
#define SELVAGE_FELIX_FELIX_IMPL_H

#include <ev.h>

#include "felix/bgp_link.h"
#include "felix/cni_server.h"
#include "felix/ctl.h"
#include "felix/desired.h"
#include "felix/links.h"
#include "felix/routes.h"
#include "lib/child.h"
#include "lib/nl.h"

struct felix {
	struct child child;
	struct nl *nl;
	struct nl_events *events;
	struct links *links;
	struct routes *routes;
	struct store *store;
	struct ipam *ipam;
	struct endpoints *endpoints;
	int endpoint_dir;
	struct cni_server *cni;
	struct bgp_link *bgp;
	struct ctl *ctl;
	struct claims *claims;	 /* Kubernetes only, and once there is an access */
	struct pod_probe *probe; /* with claims */
	struct metrics *metrics; /* NULL: not asked for, or its address is taken */
	struct desired *desired; /* NULL until the datastore was read */
	/* Kubernetes: what bgpd was told at the last run, until the API has been read; or NULL. */
	struct bgpconf *saved_bgp;
	struct prefix addrs[2];
	unsigned naddrs;
	struct prefix *blackholes; /* blocks that routes has been told of */
	unsigned nblackholes;
	/* Why not, as text; "" where all is well. */
	char journal_why[512], store_why[512], address_why[512], sysctl_why[512];
	ev_idle flush;
	ev_timer settle;
	bool up; /* all parts exist */
};

/* ---- felix.c ---- */

/* What is wanted changed: the kernel follows in slices. */
void felix_routes_dirty(struct felix *f);

/* ---- felix_ready.c ---- */

enum { FELIX_REASONS = 8 };
/* Why felix is not ready; texts are borrowed. Returns how many. */
unsigned felix_reasons(const struct felix *f, const char *list[FELIX_REASONS]);
void felix_tell_ready(struct felix *f);
/* why is one of felix's own reasons; text "" takes it back. */
void felix_set_why(struct felix *f, char why[512], const char *text);

/* ---- felix_store.c ---- */

/* loop NULL: read once. */
int felix_open_store(struct felix *f, struct ev_loop *loop, struct err *err);
/* The first reading; contradictions end a first start. */
void felix_start_store(struct felix *f);
/* The datastore, the node's addresses or its blocks changed. */
void felix_recompute(struct felix *f);
void felix_apply_desired(struct felix *f, bool tell_bgp);
/* The datastore has been read completely once. */
bool felix_synced(const struct felix *f);
/* `noded -n`: the value for exit(). */
int felix_check_only(struct felix *f);
/* For bgp_link: the whole configuration, once there is one. arg: struct felix. */
bool felix_send_config(void *arg, struct ipc *ipc);

/* ---- felix_kernel.c ---- */

int felix_open_kernel(struct felix *f, struct err *err);
/* true: the node's own addresses changed. */
bool felix_find_addresses(struct felix *f);
bool felix_is_pod_link(const struct link *l);
/* For bgp_link: every interface but the pods'. arg: struct felix. */
void felix_each_link(void *arg, void (*cb)(void *cb_arg, const struct link *l), void *cb_arg);

/* ---- felix_ask.c ---- */

/* cni.sock and the control clients. */
void felix_start_servers(struct felix *f);

/* ---- felix_kube.c ---- */

/* For the store: the API refused the credentials. arg: struct felix. */
void felix_kube_unauthorized(void *arg);
int felix_open_kube(struct felix *f, struct ev_loop *loop, const struct store_ops *ops,
		    struct err *err);
void felix_on_kube_access(void *arg, int fd);
/* Needs the store and IPAM; does nothing where there are none, or another datastore. */
void felix_start_claims(struct felix *f);
/* For the CNI server; arg: struct felix. */
enum cni_turn felix_admit(void *arg, struct cni_ask *ask);
enum cni_turn felix_claim(void *arg, struct cni_ask *ask, unsigned families);
enum cni_turn felix_settle(void *arg, struct cni_ask *ask, const struct ipam_lease *lease);
void felix_leases_changed(void *arg);
/* Gives the address of a pod whose interface is gone back. -1: err says why not. */
int felix_release(struct felix *f, const struct addr *a, struct err *err);

/* ---- felix_metrics.c ---- */

/* The page of metrics.listen, where there is one. */
void felix_start_metrics(struct felix *f);

#endif
