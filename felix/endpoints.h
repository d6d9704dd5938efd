/* The endpoints of this node: which attachment has which interface, addresses and labels.
 *
 * A table in memory, and one small file an endpoint in state.dir/endpoints, which keeps what the
 * IPAM journal does not: labels. Files are not synced: they outlive a kill, and after a reboot
 * there are no pods.
 */
#ifndef SELVAGE_FELIX_ENDPOINTS_H
#define SELVAGE_FELIX_ENDPOINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipam/ipam.h"
#include "lib/msg.h"

struct endpoint {
	TAILQ_ENTRY(endpoint) next;
	struct arena arena; /* owns all strings */
	const char *network, *container_id, *ifname;
	const char *namespace_, *name;
	const char *host; /* the interface's name on the host */
	uint32_t ifindex; /* 0: it is not there */
	uint32_t mtu;	  /* 0 unknown */
	unsigned naddrs;
	struct addr addrs[2];
	msg_kv_list labels;
	bool ready; /* ADD was answered, or was about to be */
};

struct endpoints;

struct endpoints *endpoints_new(void);
void endpoints_free(struct endpoints *t);

/* Adds an endpoint, in place of one with the same key. Copies everything; labels may be NULL. */
struct endpoint *endpoints_add(struct endpoints *t, const struct ipam_owner *owner,
			       const char *host, const struct addr *addrs, unsigned naddrs,
			       const msg_kv_list *labels);
void endpoints_remove(struct endpoints *t, struct endpoint *ep); /* frees it */

struct endpoint *endpoints_find(const struct endpoints *t, const char *network,
				const char *container_id, const char *ifname);
/* The newest with this host interface; except: passed over (may be NULL). */
struct endpoint *endpoints_by_host(const struct endpoints *t, const char *host,
				   const struct endpoint *except);
struct endpoint *endpoints_first(const struct endpoints *t); /* go on with TAILQ_NEXT(ep, next) */
void endpoints_count(const struct endpoints *t, uint32_t *total, uint32_t *ready);

struct ipam_owner endpoint_owner(const struct endpoint *ep);
/* As nodectl sees it; lists live in the arena, strings in ep. */
struct m_ctl_endpoint endpoint_row(const struct endpoint *ep, struct arena *arena);

/* ---- files ---- */

/* Opens state.dir/endpoints, making it where there is none: a descriptor, or -1. */
int endpoint_files_open(int state_dir, struct err *err);
int endpoint_file_save(int dir, const struct endpoint *ep, struct err *err);
void endpoint_file_remove(int dir, const struct endpoint *ep);
/* The labels that were saved for this key, in the arena; none where there is no file. */
msg_kv_list endpoint_file_labels(int dir, const struct ipam_owner *owner, struct arena *arena);
/* Each file that can be read; the row lives for the call. */
void endpoint_files_each(int dir, void (*cb)(void *arg, const struct m_ctl_endpoint *row),
			 void *arg);
/* Deletes the files of endpoints that are not in the table. */
void endpoint_files_sweep(int dir, const struct endpoints *t);

#endif
