/* Single requests: patches of annotations, one pod, and what an answer to them means. */
#include "config.h"

#include "store/kube_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_TIMEOUT = 10000 };

/* ---- those under way ---- */

static void on_later(struct ev_loop *loop, ev_timer *t, int events)
{
	struct kube_write *w = t->data;

	(void)loop;
	(void)events;
	w->finish(w, w->later_result, w->later_why, 0, NULL);
	kube_write_free(w);
}

struct kube_write *kube_write_new(struct kube *k, bool writes)
{
	struct kube_write *w = xcalloc(1, sizeof(*w));

	w->kube = k;
	w->writes = writes;
	w->next = k->writes;
	w->at = &k->writes;
	if (w->next)
		w->next->at = &w->next;
	k->writes = w;
	ev_init(&w->later, on_later);
	w->later.data = w;
	return w;
}

void kube_write_free(struct kube_write *w)
{
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	ev_timer_stop(w->kube->loop, &w->later);
	if (w->stream)
		kube_stream_close(w->stream);
	arena_free(&w->arena);
	free(w->objects);
	free(w->path);
	free(w->next_page);
	free(w->what);
	free(w);
}

void kube_writes_drop(struct kube *k)
{
	while (k->writes)
		kube_write_free(k->writes);
}

void kube_write_later(struct kube_write *w, enum ipamobj_result result, const char *why)
{
	w->later_result = result;
	w->later_why = why;
	ev_timer_set(&w->later, 0, 0);
	ev_timer_start(w->kube->loop, &w->later);
}

static void on_end(void *arg, const struct kube_stream_end *end)
{
	struct kube_write *w = arg;
	char why[KUBE_WHY];
	enum ipamobj_result result = kube_classify(end, w->writes, why);
	double ms = end->retry_after * 1000;

	w->stream = NULL;
	w->finish(w, result, why, ms > 3600000 ? 3600000 : (uint32_t)ms, end);
	/* A list that goes on has begun another stream. */
	if (!w->stream)
		kube_write_free(w);
}

void kube_write_send(struct kube_write *w, struct kube_stream_call *call)
{
	call->end = on_end;
	call->arg = w;
	if (!call->timeout_ms)
		call->timeout_ms = WRITE_TIMEOUT;
	w->stream = kube_stream_open(w->kube->streams, call);
}

/* ---- what an answer means ---- */

static enum ipamobj_result of_status(int status, const char *reason, bool is_status, bool writes)
{
	switch (status) {
	case 404:
		/* Words that are no Status come from who does not know the kind, or from a proxy.
		 */
		return is_status && !strcmp(reason, "NotFound") ? IPAMOBJ_NOT_FOUND : IPAMOBJ_AWAY;
	case 409:
		return !strcmp(reason, "AlreadyExists") ? IPAMOBJ_EXISTS : IPAMOBJ_CONFLICT;
	case 429:
		return IPAMOBJ_BUSY;
	case 408:
		return writes ? IPAMOBJ_UNKNOWN : IPAMOBJ_AWAY;
	default:
		break;
	}
	/* A server that says 5xx may have written all the same: etcd's time-outs come as 500. */
	if (status >= 500)
		return writes ? IPAMOBJ_UNKNOWN : IPAMOBJ_AWAY;
	return IPAMOBJ_REFUSED;
}

enum ipamobj_result kube_classify(const struct kube_stream_end *end, bool writes, char *why)
{
	struct json_object *status = NULL;
	const char *reason = "";
	char text[300];
	struct err err;
	enum ipamobj_result result;

	why[0] = 0;
	if (end->whole)
		return IPAMOBJ_OK;
	snprintf(why, KUBE_WHY, "%s", end->why);
	if (!end->status)
		return writes && end->sent ? IPAMOBJ_UNKNOWN : IPAMOBJ_AWAY;
	if (end->status < 300)
		return writes ? IPAMOBJ_UNKNOWN : IPAMOBJ_AWAY;
	if (end->len && *end->body == '{')
		status = kube_json_parse(end->body, end->len, &err);
	if (status) {
		kube_json_status(status, text, sizeof(text), &reason);
		snprintf(why, KUBE_WHY, "the API answers %d: %s", end->status, text);
	} else if (!*why) {
		snprintf(why, KUBE_WHY, "the API answers %d", end->status);
	}
	result = of_status(end->status, reason,
			   status && !strcmp(kube_json_text(status, "kind"), "Status"), writes);
	json_object_put(status);
	return result;
}

/* ---- patches of annotations ---- */

static void patch_done(struct kube_write *w, enum ipamobj_result result, const char *why,
		       uint32_t retry_after, const struct kube_stream_end *end)
{
	(void)retry_after;
	/* To a merge patch another uid is a change of a field that cannot change: 422, not 409. */
	if (w->with_uid && end && end->status == 422 && end->len &&
	    memmem(end->body, end->len, "metadata.uid", 12))
		result = IPAMOBJ_CONFLICT;
	w->patch_cb(w->arg, result, why);
}

static char *patch_body(const struct store_patch_call *call)
{
	struct json_object *o = json_object_new_object(), *meta = json_object_new_object();
	struct json_object *notes = json_object_new_object();
	char *text;

	for (unsigned i = 0; i < call->n; i++)
		json_object_object_add(notes, call->v[i].key,
				       call->v[i].value ? json_object_new_string(call->v[i].value)
							: NULL);
	json_object_object_add(meta, "annotations", notes);
	/* The server refuses where the object of that name is another one. */
	if (call->uid && *call->uid)
		json_object_object_add(meta, "uid", json_object_new_string(call->uid));
	json_object_object_add(o, "metadata", meta);
	text = xstrdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return text;
}

void kube_patch(struct store *s, const struct store_patch_call *c, store_patch_cb cb, void *arg)
{
	struct kube_write *w = kube_write_new((struct kube *)s, true);
	struct kube_path *p = xmalloc(sizeof(*p));
	char *body = patch_body(c);
	struct kube_stream_call call = {
		.method = "PATCH",
		.content_type = "application/merge-patch+json",
		.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
			  "application/json",
		.body = body,
		.mode = KUBE_STREAM_WHOLE,
	};

	w->finish = patch_done;
	w->with_uid = c->uid && *c->uid;
	w->patch_cb = cb;
	w->arg = arg;
	if (c->target == STORE_PATCH_NODE) {
		/* By the status, for which a node's identity needs no right to change the spec. */
		kube_path_init(p, "/api/v1/nodes");
		kube_path_name(p, c->name);
	} else {
		kube_path_init(p, "/api/v1/namespaces");
		kube_path_name(p, c->namespace_);
		kube_path_raw(p, "/pods");
		kube_path_name(p, c->name);
	}
	kube_path_raw(p, "/status");
	call.path = p->text;
	if (p->full)
		kube_write_later(w, IPAMOBJ_REFUSED, "the name is too long");
	else
		kube_write_send(w, &call);
	free(body);
	free(p);
}

/* ---- one pod ---- */

struct one_pod {
	struct kube_write *w;
	const char *why;
	enum ipamobj_result result;
};

static void give_pod(void *arg, const struct pod *was, const struct pod *is)
{
	struct one_pod *one = arg;

	(void)was;
	if (is)
		one->w->pod_cb(one->w->arg, one->result, is, one->why);
}

static void pod_done(struct kube_write *w, enum ipamobj_result result, const char *why,
		     uint32_t retry_after, const struct kube_stream_end *end)
{
	struct one_pod one = { .w = w, .why = why, .result = result };
	struct json_object *o = NULL;
	struct kube_pod *scratch;
	struct err err;

	(void)retry_after;
	if (result == IPAMOBJ_OK)
		o = kube_json_parse(end->body, end->len, &err);
	if (result == IPAMOBJ_OK && !o) {
		w->pod_cb(w->arg, IPAMOBJ_AWAY, NULL, err.text);
		return;
	}
	if (!o) {
		w->pod_cb(w->arg, result, NULL, why);
		return;
	}
	scratch = xmalloc(sizeof(*scratch));
	if (kube_decode_pod(o, "", true, scratch)) {
		w->pod_cb(w->arg, IPAMOBJ_AWAY, NULL, "the answer is no pod");
	} else {
		struct pods *t = pods_new(give_pod, &one);

		pods_put(t, &scratch->in);
		pods_free(t);
	}
	free(scratch);
	json_object_put(o);
}

void kube_get_pod(struct store *s, const char *namespace_, const char *name, store_pod_cb cb,
		  void *arg)
{
	struct kube_write *w = kube_write_new((struct kube *)s, false);
	struct kube_path *p = xmalloc(sizeof(*p));
	struct kube_stream_call call = { .mode = KUBE_STREAM_WHOLE };

	w->finish = pod_done;
	w->pod_cb = cb;
	w->arg = arg;
	kube_path_init(p, "/api/v1/namespaces");
	kube_path_name(p, namespace_);
	kube_path_raw(p, "/pods");
	kube_path_name(p, name);
	call.path = p->text;
	if (p->full)
		kube_write_later(w, IPAMOBJ_REFUSED, "the name is too long");
	else
		kube_write_send(w, &call);
	free(p);
}
