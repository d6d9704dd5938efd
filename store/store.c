/* The interface's side of store/store.h and store/ipam_api.h: to the maker that made the store. */
#include "config.h"

#include "store/store_impl.h"

static const char only_kubernetes[] =
	"the directory store has no objects to write to; this needs datastore.kind: kubernetes";

void store_close(struct store *s)
{
	if (s)
		s->maker->close(s);
}

void store_status(const struct store *s, struct store_status *out)
{
	s->maker->status(s, out);
}

const struct object *const *store_list(const struct store *s, enum kind k, unsigned *n)
{
	return s->maker->list(s, k, n);
}

const struct object *store_find(const struct store *s, enum kind k, const char *namespace_,
				const char *name)
{
	return s->maker->find(s, k, namespace_, name);
}

bool store_kind_synced(const struct store *s, enum kind k)
{
	return s->maker->kind_synced(s, k);
}

int store_kube_access(struct store *s, const struct kube_access *access, struct err *err)
{
	if (!s->maker->access)
		return err_set(err, "%s", only_kubernetes);
	return s->maker->access(s, access, err);
}

const struct pod *store_pod_find(const struct store *s, const char *namespace_, const char *name)
{
	return s->maker->pods ? pods_find(s->maker->pods(s), namespace_, name) : NULL;
}

void store_pods_each(const struct store *s, void (*cb)(void *arg, const struct pod *p), void *arg)
{
	if (s->maker->pods)
		pods_each(s->maker->pods(s), cb, arg);
}

bool store_pods_synced(const struct store *s)
{
	return !s->maker->pods_synced || s->maker->pods_synced(s);
}

void store_ipam_request(struct store *s, const struct ipamobj_request *req, store_ipam_cb cb,
			void *arg)
{
	const struct ipamobj_reply no = { .result = IPAMOBJ_REFUSED, .why = only_kubernetes };

	if (s->maker->ipam)
		s->maker->ipam(s, req, cb, arg);
	else
		cb(arg, &no);
}

void store_patch(struct store *s, enum store_patch_target target, const char *namespace_,
		 const char *name, const char *uid, const struct store_annotation *v, unsigned n,
		 store_patch_cb cb, void *arg)
{
	const struct store_patch_call call = { target, namespace_, name, uid, v, n };

	if (s->maker->patch)
		s->maker->patch(s, &call, cb, arg);
	else
		cb(arg, IPAMOBJ_REFUSED, only_kubernetes);
}

void store_get_pod(struct store *s, const char *namespace_, const char *name, store_pod_cb cb,
		   void *arg)
{
	if (s->maker->get_pod)
		s->maker->get_pod(s, namespace_, name, cb, arg);
	else
		cb(arg, IPAMOBJ_REFUSED, NULL, only_kubernetes);
}

void store_read_pods(struct store *s, const char *node, unsigned limit,
		     void (*each)(void *arg, const struct pod *pod),
		     void (*done)(void *arg, enum ipamobj_result result, const char *why),
		     void *arg)
{
	const struct store_pods_call call = { node, limit, each, done, arg };

	if (s->maker->read_pods)
		s->maker->read_pods(s, &call);
	else
		done(arg, IPAMOBJ_REFUSED, only_kubernetes);
}
