/* The verbs of lib/ipamobj.h over the API. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "store/ipamobj_json.h"
#include "store/kube_write.h"

static const char metadata_list[] =
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

static void push(struct kube_write *w, const void *object)
{
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->objects = xrealloc(w->objects, w->cap * sizeof(*w->objects));
	}
	w->objects[w->n++] = object;
}

static void answer(struct kube_write *w, enum ipamobj_result result, const char *why,
		   uint32_t retry_after)
{
	const struct ipamobj_reply reply = {
		.result = result,
		.retry_after = retry_after,
		.why = why,
		.n = result == IPAMOBJ_OK ? w->n : 0,
		.objects = w->objects,
	};

	w->ipam_cb(w->arg, &reply);
}

static void one_done(struct kube_write *w, enum ipamobj_result result, const char *why,
		     uint32_t retry_after, const struct kube_stream_end *end)
{
	const void *object;
	struct err err;

	if (result != IPAMOBJ_OK || w->verb == IPAMOBJ_DELETE) {
		answer(w, result, why, retry_after);
		return;
	}
	object = ipamobj_decode(w->kind, end->body, end->len, &w->arena, &err);
	if (!object) {
		/* What was written is known only when it can be read. */
		answer(w, w->writes ? IPAMOBJ_UNKNOWN : IPAMOBJ_REFUSED, err.text, 0);
		return;
	}
	push(w, object);
	answer(w, IPAMOBJ_OK, "", 0);
}

/* ---- lists ---- */

static void on_item(void *arg, const char *text, size_t len)
{
	struct kube_write *w = arg;
	struct err err;
	const void *object = w->verb == IPAMOBJ_NAMES
				     ? ipamobj_decode_meta(text, len, &w->arena, &err)
				     : ipamobj_decode(w->kind, text, len, &w->arena, &err);

	if (object)
		push(w, object);
	else
		log_warn("store", "%s", err.text);
}

static void on_member(void *arg, const char *key, const char *text, size_t len)
{
	struct kube_write *w = arg;
	struct json_object *meta;
	struct err err;

	if (strcmp(key, "metadata") != 0)
		return;
	meta = kube_json_parse(text, len, &err);
	free(w->next_page);
	w->next_page = xstrdup(kube_json_text(meta, "continue"));
	json_object_put(meta);
}

static void list_page(struct kube_write *w, const char *selector)
{
	struct kube_path *p = xmalloc(sizeof(*p));
	struct kube_stream_call call = {
		.path = p->text,
		.accept = w->verb == IPAMOBJ_NAMES ? metadata_list : NULL,
		.mode = KUBE_STREAM_LIST,
		.timeout_ms = 60000,
		.item = on_item,
		.member = on_member,
	};

	kube_path_init(p, w->path);
	kube_path_arg_u64(p, "limit", REFLECTOR_PAGE);
	if (*selector)
		kube_path_arg(p, "labelSelector", selector);
	if (w->next_page && *w->next_page)
		kube_path_arg(p, "continue", w->next_page);
	free(w->next_page);
	w->next_page = NULL;
	kube_write_send(w, &call);
	free(p);
}

static void list_done(struct kube_write *w, enum ipamobj_result result, const char *why,
		      uint32_t retry_after, const struct kube_stream_end *end)
{
	if (result == IPAMOBJ_OK && w->next_page && *w->next_page) {
		list_page(w, w->what);
		return;
	}
	/* The list changed under way and its page is no longer kept: begin anew, that costs less
	 * than an answer that is not true. */
	if (end && end->status == 410 && w->n) {
		w->n = 0;
		arena_reset(&w->arena);
		free(w->next_page);
		w->next_page = NULL;
		list_page(w, w->what);
		return;
	}
	answer(w, result == IPAMOBJ_REFUSED && end && end->status == 410 ? IPAMOBJ_AWAY : result,
	       why, retry_after);
}

/* ---- single objects ---- */

static char *delete_body(const struct ipamobj_request *req)
{
	struct json_object *o = json_object_new_object(), *pre = json_object_new_object();
	char *text;

	if (req->uid && *req->uid)
		json_object_object_add(pre, "uid", json_object_new_string(req->uid));
	if (req->resource_version && *req->resource_version)
		json_object_object_add(pre, "resourceVersion",
				       json_object_new_string(req->resource_version));
	json_object_object_add(o, "kind", json_object_new_string("DeleteOptions"));
	json_object_object_add(o, "apiVersion", json_object_new_string("v1"));
	json_object_object_add(o, "preconditions", pre);
	text = xstrdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return text;
}

static void single(struct kube_write *w, const struct ipamobj_request *req)
{
	static const char *const methods[] = {
		[IPAMOBJ_GET] = "GET",
		[IPAMOBJ_CREATE] = "POST",
		[IPAMOBJ_UPDATE] = "PUT",
		[IPAMOBJ_DELETE] = "DELETE",
	};
	/* Every kind begins with its metadata. */
	const struct ipamobj_meta *meta = req->object;
	struct kube_path *p = xmalloc(sizeof(*p));
	struct kube_stream_call call = { .method = methods[w->verb],
					 .path = p->text,
					 .mode = KUBE_STREAM_WHOLE };
	char *body = NULL;
	struct err err;

	kube_path_init(p, w->path);
	if (w->verb == IPAMOBJ_GET || w->verb == IPAMOBJ_DELETE)
		kube_path_name(p, req->name);
	else if (w->verb == IPAMOBJ_UPDATE)
		kube_path_name(p, meta->name);
	if (w->verb == IPAMOBJ_CREATE || w->verb == IPAMOBJ_UPDATE)
		body = ipamobj_encode(w->kind, req->object, w->kube->calico, &err);
	else if (w->verb == IPAMOBJ_DELETE)
		body = delete_body(req);
	call.body = body;
	if (p->full)
		kube_write_later(w, IPAMOBJ_REFUSED, "the name is too long");
	else if (w->verb != IPAMOBJ_GET && !body)
		kube_write_later(w, IPAMOBJ_REFUSED, arena_strdup(&w->arena, err.text));
	else
		kube_write_send(w, &call);
	free(body);
	free(p);
}

void kube_ipam(struct store *s, const struct ipamobj_request *req, store_ipam_cb cb, void *arg)
{
	struct kube *k = (struct kube *)s;
	bool list = req->verb == IPAMOBJ_LIST || req->verb == IPAMOBJ_NAMES;
	struct kube_write *w =
		kube_write_new(k, req->verb == IPAMOBJ_CREATE || req->verb == IPAMOBJ_UPDATE ||
					  req->verb == IPAMOBJ_DELETE);

	w->verb = req->verb;
	w->kind = req->kind;
	w->finish = list ? list_done : one_done;
	w->ipam_cb = cb;
	w->arg = arg;
	w->path = kube_calico_path(k, ipamobj_plural(req->kind));
	if (!w->path) {
		kube_write_later(w, IPAMOBJ_AWAY,
				 k->calico_absent ? "Calico's resources are not installed: apply "
						    "crds.yaml"
						  : "the Kubernetes API has not answered yet");
	} else if (list) {
		w->what = xstrdup(req->label_selector ? req->label_selector : "");
		list_page(w, w->what);
	} else {
		single(w, req);
	}
}
