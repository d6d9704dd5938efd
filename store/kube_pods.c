/* Pods read once, past the watch, page by page. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "store/kube_write.h"

struct read_pods {
	struct kube_write *w;
	char *node;
	unsigned limit, seen;
	void (*each)(void *arg, const struct pod *pod);
	void (*done)(void *arg, enum ipamobj_result result, const char *why);
	void *arg;
};

static void give(void *arg, const struct pod *was, const struct pod *is)
{
	struct read_pods *r = arg;

	(void)was;
	if (is)
		r->each(r->arg, is);
}

static void on_item(void *arg, const char *text, size_t len)
{
	struct kube_write *w = arg;
	struct read_pods *r = w->arg;
	struct kube_pod *scratch;
	struct err err;
	struct json_object *o = kube_json_parse(text, len, &err);

	if (!o) {
		log_warn("store", "a pod of the list cannot be read: %s", err.text);
		return;
	}
	scratch = xmalloc(sizeof(*scratch));
	if (kube_decode_pod(o, "", false, scratch) == 0) {
		struct pods *t = pods_new(give, r);

		r->seen++;
		pods_put(t, &scratch->in);
		pods_free(t);
	}
	free(scratch);
	json_object_put(o);
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

static void send_page(struct read_pods *r)
{
	struct kube_write *w = r->w;
	struct kube_path *p = xmalloc(sizeof(*p));
	struct kube_stream_call call = {
		.path = p->text,
		.mode = KUBE_STREAM_LIST,
		.timeout_ms = 60000,
		.item = on_item,
		.member = on_member,
	};

	kube_path_init(p, "/api/v1/pods");
	kube_path_arg_u64(p, "limit",
			  r->limit && r->limit < REFLECTOR_PAGE ? r->limit : REFLECTOR_PAGE);
	if (*r->node) {
		char *selector = xmalloc(strlen(r->node) + 16);

		memcpy(selector, "spec.nodeName=", 14);
		memcpy(selector + 14, r->node, strlen(r->node) + 1);
		kube_path_arg(p, "fieldSelector", selector);
		free(selector);
	}
	if (w->next_page && *w->next_page)
		kube_path_arg(p, "continue", w->next_page);
	free(w->next_page);
	w->next_page = NULL;
	kube_write_send(w, &call);
	free(p);
}

static void finish(struct kube_write *w, enum ipamobj_result result, const char *why,
		   uint32_t retry_after, const struct kube_stream_end *end)
{
	struct read_pods *r = w->arg;

	(void)retry_after;
	(void)end;
	if (result == IPAMOBJ_OK && w->next_page && *w->next_page &&
	    (!r->limit || r->seen < r->limit)) {
		send_page(r);
		return;
	}
	r->done(r->arg, result, why);
}

void kube_read_pods(struct store *s, const struct store_pods_call *c)
{
	struct kube_write *w = kube_write_new((struct kube *)s, false);
	struct read_pods *r = arena_alloc(&w->arena, sizeof(*r));

	*r = (struct read_pods){ w,	  arena_strdup(&w->arena, c->node), c->limit, 0,
				 c->each, c->done,			    c->arg };
	w->arg = r;
	w->finish = finish;
	send_page(r);
}
