/* Single requests of the Kubernetes store: what an answer means, and the list of those under way.
 * Inside store/.
 */
#ifndef SELVAGE_STORE_KUBE_WRITE_H
#define SELVAGE_STORE_KUBE_WRITE_H

#include "store/kube_impl.h"

enum { KUBE_WHY = 400 };

struct kube_write {
	struct kube *kube;
	struct kube_write *next, **at;
	struct kube_stream *stream; /* NULL: none runs */
	ev_timer later;		    /* for an answer that needs no request */
	void (*finish)(struct kube_write *w, enum ipamobj_result result, const char *why,
		       uint32_t retry_after, const struct kube_stream_end *end);
	bool writes, with_uid;
	const char *later_why;
	enum ipamobj_result later_result;
	/* IPAM */
	enum ipamobj_verb verb;
	enum ipamobj_kind kind;
	struct arena arena;
	const void **objects;
	uint32_t n, cap;
	char *path, *next_page;
	store_ipam_cb ipam_cb;
	/* patch, pod */
	store_patch_cb patch_cb;
	store_pod_cb pod_cb;
	char *what; /* for messages: "pods a/b" */
	void *arg;
};

/* finish is called once, then the write is gone. */
struct kube_write *kube_write_new(struct kube *k, bool writes);
/* Sends; body may be NULL. list: item and member are called. */
void kube_write_send(struct kube_write *w, struct kube_stream_call *call);
/* Answers in the next turn of the loop without a request. why lives as long as that. */
void kube_write_later(struct kube_write *w, enum ipamobj_result result, const char *why);
void kube_write_free(struct kube_write *w);

/* What an answer means. why (KUBE_WHY bytes) is "" where it is OK. */
enum ipamobj_result kube_classify(const struct kube_stream_end *end, bool writes, char *why);

#endif
