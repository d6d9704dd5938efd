/* What a maker of store/store.h brings; its own struct begins with struct store. Inside store/. */
#ifndef SELVAGE_STORE_IMPL_H
#define SELVAGE_STORE_IMPL_H

#include "store/ipam_api.h"
#include "store/store.h"

typedef void (*store_ipam_cb)(void *arg, const struct ipamobj_reply *reply);
typedef void (*store_patch_cb)(void *arg, enum ipamobj_result result, const char *why);
typedef void (*store_pod_cb)(void *arg, enum ipamobj_result result, const struct pod *pod,
			     const char *why);

struct store_patch_call {
	enum store_patch_target target;
	const char *namespace_, *name, *uid;
	const struct store_annotation *v;
	unsigned n;
};

struct store_pods_call {
	const char *node;
	unsigned limit;
	void (*each)(void *arg, const struct pod *pod);
	void (*done)(void *arg, enum ipamobj_result result, const char *why);
	void *arg;
};

struct store_maker {
	void (*close)(struct store *s);
	void (*status)(const struct store *s, struct store_status *out);
	const struct object *const *(*list)(const struct store *s, enum kind k, unsigned *n);
	const struct object *(*find)(const struct store *s, enum kind k, const char *namespace_,
				     const char *name);
	bool (*kind_synced)(const struct store *s, enum kind k);
	/* NULL from here on: it has no such thing. */
	int (*access)(struct store *s, const struct kube_access *access, struct err *err);
	const struct pods *(*pods)(const struct store *s);
	bool (*pods_synced)(const struct store *s);
	void (*ipam)(struct store *s, const struct ipamobj_request *req, store_ipam_cb cb,
		     void *arg);
	void (*patch)(struct store *s, const struct store_patch_call *call, store_patch_cb cb,
		      void *arg);
	void (*get_pod)(struct store *s, const char *namespace_, const char *name, store_pod_cb cb,
			void *arg);
	void (*read_pods)(struct store *s, const struct store_pods_call *call);
};

struct store {
	const struct store_maker *maker;
};

#endif
