/* Pods, packed: what routes, addresses and policy need of them, in as little memory as that takes
 * (10,000 pods: under 3 MiB). Texts and label sets are interned: equal ones are one, so that
 * pointers compare. Pure: no loop, no JSON.
 */
#ifndef SELVAGE_STORE_PODS_H
#define SELVAGE_STORE_PODS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/prefix.h"

enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED, POD_UNKNOWN };

struct pod_label {
	const char *key, *value;
};

/* Interned: two pods with the same labels have the same pointer. Sorted by key. */
struct pod_labels {
	uint32_t refs, hash;
	uint16_t n;
	struct pod_label v[];
};

struct pod_port {
	const char *name;
	uint16_t port;
	uint8_t protocol; /* 6, 17, 132 */
};

/* Interned as label sets are. Only ports that have a name. */
struct pod_ports {
	uint32_t refs, hash;
	uint16_t n;
	struct pod_port v[];
};

/* The annotations cni.projectcalico.org/<key>, by that key; of pods of this node only. */
struct pod_note {
	const char *key, *value;
};
struct pod_notes {
	uint16_t n;
	struct pod_note v[];
};

struct pod {
	const char *namespace_, *name, *node,
		*service_account;	 /* never NULL; node "" unscheduled */
	const struct pod_labels *labels; /* never NULL */
	const struct pod_ports *ports;	 /* never NULL */
	const struct pod_notes *notes;	 /* NULL: none are kept */
	uint64_t uid;			 /* 64 bits of the UID */
	uint8_t addr[2][16];		 /* pod_addr() */
	uint8_t fam[2];
	uint8_t naddrs : 2, phase : 3, terminating : 1, host_network : 1;
	uint8_t seen; /* of the list that is being read */
};

/* i < p->naddrs; in the order of status.podIPs. */
struct addr pod_addr(const struct pod *p, unsigned i);
/* What struct pod keeps of a UID. */
uint64_t pod_uid_hash(const char *uid);
/* NULL where it has none. */
const char *pod_label_get(const struct pod *p, const char *key);
/* The value of cni.projectcalico.org/<key>; NULL where it has none or the pod is another node's. */
const char *pod_note_get(const struct pod *p, const char *key);
/* Its addresses may be another pod's by now: it has succeeded or failed. */
static inline bool pod_is_over(const struct pod *p)
{
	return p->phase == POD_SUCCEEDED || p->phase == POD_FAILED;
}

/* ---- the table, for those who fill it ---- */

/* A pod as read; texts are borrowed for the call. */
struct pod_in {
	const char *namespace_, *name, *node, *service_account, *uid;
	struct addr addrs[2];
	unsigned naddrs;
	enum pod_phase phase;
	bool terminating, host_network;
	struct pod_label *labels; /* sorted in place */
	unsigned nlabels;
	struct pod_port *ports;
	unsigned nports;
	const struct pod_note *notes;
	unsigned nnotes;
};

/* was NULL: added; is NULL: removed. Both are valid until it returns. */
typedef void (*pods_cb)(void *arg, const struct pod *was, const struct pod *is);

struct pods;
struct pods *pods_new(pods_cb cb, void *arg);
void pods_free(struct pods *t); /* no callbacks */

/* One pod as it is now. The same key with another UID is told as a removal and an addition; a pod
 * that did not change is not told. */
void pods_put(struct pods *t, const struct pod_in *in);
void pods_delete(struct pods *t, const char *namespace_, const char *name);
/* A list begins: what is not put before pods_commit() is removed by it. A list that breaks off is
 * simply begun again. */
void pods_begin(struct pods *t);
void pods_commit(struct pods *t);

const struct pod *pods_find(const struct pods *t, const char *namespace_, const char *name);
unsigned pods_count(const struct pods *t);
/* In no order; the callback must not change the table. */
void pods_each(const struct pods *t, void (*cb)(void *arg, const struct pod *p), void *arg);
/* Bytes asked of the heap by the table, pods, texts and sets. */
size_t pods_bytes(const struct pods *t);

#endif
