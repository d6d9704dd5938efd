/* The Kubernetes maker's own: kinds, feeds and what they share. Inside store/.
 *
 *   kube_http -> kube_stream (pieces, slices) -> kube_feed (one reflector and its copy) -> kube
 * (the table that store_list() shows, and which feeds are needed)
 */
#ifndef SELVAGE_STORE_KUBE_IMPL_H
#define SELVAGE_STORE_KUBE_IMPL_H

#include <ev.h>

#include "lib/ipamobj.h"
#include "lib/kubeconfig.h"
#include "store/kube_decode.h"
#include "store/kube_http.h"
#include "store/kube_stream.h"
#include "store/store_impl.h"
#include "store/table.h"

enum kube_group { KUBE_CORE, KUBE_NETWORKING, KUBE_DISCOVERY, KUBE_POLICY, KUBE_CALICO };

/* When a kind is watched. */
enum kube_need {
	NEED_ALWAYS,
	NEED_OWN_AFFINITY, /* by label, and one by one those without it */
	NEED_SERVICES,	   /* a BGPConfiguration advertises some */
	NEED_POLICY,	   /* a policy exists */
	NEED_PODS,	   /* this node's; all while a policy exists */
	NEED_NAMED,	   /* one by one, by name */
};

struct kube_kind {
	const char *text, *plural;
	enum kube_group group;
	enum kind kind; /* KIND_COUNT: pods */
	enum kube_need need;
	enum reflector_absence absence;
	bool metadata_only;
};
extern const struct kube_kind kube_kinds[];
enum { KUBE_NKINDS = 21, KUBE_NAMED_MAX = 64 };

struct kube_entry {
	struct object *object; /* NULL: broken, and never was whole */
	uint64_t hash;	       /* of what was read, also when it was broken */
	char *key;	       /* "namespace/name" */
	char *error;	       /* NULL: fine */
};

struct kube_entries {
	struct kube_entry *v; /* by key once sealed */
	unsigned n, cap;
};

struct kube;

struct kube_feed {
	struct kube *kube;
	const struct kube_kind *row;
	const struct model_kind *model; /* NULL: pods */
	char *path, *label_selector, *field_selector, *api;
	char *name;  /* of NEED_NAMED's one object, else NULL */
	bool wanted; /* of named feeds, while they are chosen */
	struct reflector r;
	struct kube_stream *stream;
	enum reflector_mode mode;
	ev_timer timer;
	struct kube_entries now, next; /* next: the list that is being read */
	bool listing;
	char version[REFLECTOR_VERSION], *next_page; /* of the page that is being read */
	unsigned nbroken;
	bool said_absent, said_trouble;
	double heard; /* s, of the last byte of a watch; 0: it does not stand yet */
};

struct kube {
	struct store store;
	struct ev_loop *loop;
	const struct store_ops *ops;
	void *arg;
	char *node, *secrets_namespace;
	struct kube_http *http;
	struct kube_streams *streams;
	struct table table;
	struct pods *pods;
	struct kube_pod scratch; /* for one pod that is being read */
	struct kube_feed *feeds[KUBE_NKINDS];
	struct kube_feed *named[KUBE_NAMED_MAX]; /* secrets, and affinities without a label */
	unsigned nnamed;
	unsigned begun; /* feeds, ever */
	bool all_pods;	/* what the pods' feed watches */
	bool streaming;
	bool requests_only; /* no feeds at all */

	/* discovery */
	const char *calico; /* "crd.projectcalico.org/v1"; NULL: not known, or not installed */
	bool calico_absent; /* neither group is served */
	bool asking, names_known;
	unsigned asked; /* how many groups were asked in this round */
	struct backoff backoff;
	char discovery_why[256];
	ev_timer discovery;
	struct kube_names *names; /* the search for affinities without a label */

	bool dirty_kinds[KIND_COUNT], dirty, synced;
	bool look; /* what is needed, or complete, may have changed */
	double dirty_since;
	double policies_gone; /* when the last policy went; 0: one exists, or none ever did */
	bool had_policy;
	ev_timer minute;
	ev_timer up; /* a server is back: feeds that wait go on soon */
	char **errors;
	unsigned nerrors, errors_cap;
	struct kube_write *writes; /* under way; store/kube_ipam.c */
};

double kube_now(void); /* monotonic, s */
uint32_t kube_random(void);
/* Something of this kind is different; told at the end of the slice. */
void kube_dirty(struct kube *k, enum kind kind);
/* A feed's state changed (synced, trouble, absent). */
void kube_feed_state(struct kube_feed *f);

/* name NULL: all that the row wants. */
struct kube_feed *kube_feed_new(struct kube *k, const struct kube_kind *row, const char *name);
void kube_feed_free(struct kube_feed *f);
void kube_feed_look(struct kube_feed *f); /* now and then: is its watch alive? */
void kube_feed_hurry(struct kube_feed *f);

/* Which group serves Calico's kinds, and which own affinities have no label. */
void kube_discovery_start(struct kube *k);
void kube_discovery_stop(struct kube *k);
/* Calico's kinds are known, or known to be absent, and affinities without a label are found. */
bool kube_discovery_done(const struct kube *k);
void kube_discovery_hurry(struct kube *k);

/* "/apis/crd.projectcalico.org/v1/ipamblocks"; NULL while the group is not known. free() it. */
char *kube_calico_path(const struct kube *k, const char *plural);

/* store/kube_ipam.c and store/kube_write.c */
void kube_ipam(struct store *s, const struct ipamobj_request *req, store_ipam_cb cb, void *arg);
void kube_patch(struct store *s, const struct store_patch_call *call, store_patch_cb cb, void *arg);
void kube_read_pods(struct store *s, const struct store_pods_call *call);
void kube_get_pod(struct store *s, const char *namespace_, const char *name, store_pod_cb cb,
		  void *arg);
void kube_writes_drop(struct kube *k);

#endif
