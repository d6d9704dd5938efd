/* Which group serves Calico's kinds, and which affinities of this node have no label: objects that
 * older versions of Calico wrote, or people. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "store/kube_impl.h"

enum { AGAIN = 60 };

static const char *const groups[] = { "crd.projectcalico.org/v1", "projectcalico.org/v3" };
enum { NGROUPS = 2 };

/* A walk over the names of all affinities. */
struct kube_names {
	struct kube *kube;
	struct kube_stream *stream;
	char *next_page;
};

static void ask(struct kube *k);
static void names_page(struct kube *k);

bool kube_discovery_done(const struct kube *k)
{
	return k->calico ? k->names_known : k->calico_absent;
}

static void again(struct kube *k, double seconds)
{
	ev_timer_stop(k->loop, &k->discovery);
	ev_now_update(k->loop);
	ev_timer_set(&k->discovery, seconds, 0);
	ev_timer_start(k->loop, &k->discovery);
}

static void again_later(struct kube *k)
{
	again(k, (double)backoff_next(&k->backoff, (uint64_t)(kube_now() * 1000), kube_random()) /
			 1000);
}

/* ---- groups ---- */

static void group_found(struct kube *k, const char *group)
{
	if (k->calico_absent)
		log_info("store", "%s is served now", group);
	k->calico = group;
	k->calico_absent = false;
	k->look = true;
	k->discovery_why[0] = 0;
	if (k->requests_only)
		k->names_known = true;
	else
		names_page(k);
}

static void none_found(struct kube *k)
{
	if (!k->calico_absent)
		log_warn("store", "%s is not installed: apply crds.yaml", groups[0]);
	k->calico_absent = k->look = true;
	snprintf(k->discovery_why, sizeof(k->discovery_why), "%s is not installed: apply crds.yaml",
		 groups[0]);
	again(k, AGAIN + kube_random() % 1000 / 1000.0);
}

static void on_group(void *arg, const struct kube_stream_end *end)
{
	struct kube *k = arg;

	k->asking = false;
	/* The group alone proves nothing: it may serve leftovers. */
	if (end->whole && strstr(end->body, "\"ippools\"")) {
		group_found(k, groups[k->asked]);
		return;
	}
	if (end->whole || end->status == 404) {
		if (++k->asked < NGROUPS)
			ask(k);
		else
			none_found(k);
		return;
	}
	if (end->status)
		snprintf(k->discovery_why, sizeof(k->discovery_why), "/apis/%s: the API answers %d",
			 groups[k->asked], end->status);
	else
		snprintf(k->discovery_why, sizeof(k->discovery_why), "%s", end->why);
	again_later(k);
}

static void ask(struct kube *k)
{
	char path[64];
	const struct kube_stream_call call = {
		.path = path, .mode = KUBE_STREAM_WHOLE, .end = on_group, .arg = k
	};

	snprintf(path, sizeof(path), "/apis/%s", groups[k->asked]);
	k->asking = true;
	kube_stream_open(k->streams, &call);
}

/* ---- affinities without a label ---- */

/* Is it "<node>-<cidr's name>"? Names that are cut have their label. */
static bool is_own_name(const char *name, const char *node)
{
	char text[PREFIX_STRLEN], *slash;
	size_t n = strlen(node);
	struct prefix p;

	if (strncmp(name, node, n) != 0 || name[n] != '-' || strlen(name + n + 1) >= sizeof(text))
		return false;
	strcpy(text, name + n + 1);
	slash = strrchr(text, '-');
	if (!slash)
		return false;
	*slash = '/';
	for (char *c = text; *c; c++)
		if (*c == '-')
			*c = '.';
	if (!prefix_parse(text, &p))
		return true;
	for (char *c = text; *c; c++)
		if (*c == '.')
			*c = ':';
	return !prefix_parse(text, &p);
}

static void on_name(void *arg, const char *text, size_t len)
{
	struct kube_names *w = arg;
	struct kube *k = w->kube;
	char hash[IPAMOBJ_HASH];
	struct err err;
	struct json_object *o = kube_json_parse(text, len, &err);
	struct json_object *meta = kube_json_get(o, "metadata");
	const char *name = kube_json_text(meta, "name");
	const char *label =
		kube_json_text(kube_json_get(meta, "labels"), "projectcalico.org/hostname-hash");
	const struct kube_kind *row = kube_kinds;

	while (row->need != NEED_OWN_AFFINITY)
		row++;
	if (strcmp(label, ipamobj_hostname_hash(k->node, hash)) != 0 &&
	    is_own_name(name, k->node)) {
		log_info("store", "BlockAffinity \"%s\" has no label of its node", name);
		if (k->nnamed < KUBE_NAMED_MAX)
			k->named[k->nnamed++] = kube_feed_new(k, row, name);
		else
			log_warn("store",
				 "more than %d single objects are needed; BlockAffinity "
				 "\"%s\" is left out",
				 KUBE_NAMED_MAX, name);
	}
	json_object_put(o);
}

static void on_names_member(void *arg, const char *key, const char *text, size_t len)
{
	struct kube_names *w = arg;
	struct json_object *meta;
	struct err err;

	if (strcmp(key, "metadata") != 0)
		return;
	meta = kube_json_parse(text, len, &err);
	free(w->next_page);
	w->next_page = xstrdup(kube_json_text(meta, "continue"));
	json_object_put(meta);
}

static void on_names_end(void *arg, const struct kube_stream_end *end)
{
	struct kube_names *w = arg;
	struct kube *k = w->kube;

	w->stream = NULL;
	if (end->whole && w->next_page && *w->next_page) {
		names_page(k);
		return;
	}
	free(w->next_page);
	w->next_page = NULL;
	/* 404: the kind is not installed. 403: the feed by label tells it. */
	if (end->whole || end->status == 404 || end->status == 403)
		k->names_known = k->look = true;
	else
		again_later(k);
}

static bool known_already(const struct kube *k)
{
	for (unsigned i = 0; i < k->nnamed; i++)
		if (k->named[i]->row->need == NEED_OWN_AFFINITY)
			return true;
	return false;
}

static void drop_named_affinities(struct kube *k)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < k->nnamed; i++) {
		if (k->named[i]->row->need == NEED_OWN_AFFINITY)
			kube_feed_free(k->named[i]);
		else
			k->named[kept++] = k->named[i];
	}
	k->nnamed = kept;
}

static void names_page(struct kube *k)
{
	struct kube_path *p = xmalloc(sizeof(*p));
	char *base = kube_calico_path(k, "blockaffinities");
	struct kube_stream_call call = {
		.accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
			  "application/json",
		.mode = KUBE_STREAM_LIST,
		.timeout_ms = 120000,
		.item = on_name,
		.member = on_names_member,
		.end = on_names_end,
	};

	if (!k->names) {
		k->names = xcalloc(1, sizeof(*k->names));
		k->names->kube = k;
	}
	kube_path_init(p, base);
	kube_path_arg_u64(p, "limit", REFLECTOR_PAGE);
	if (k->names->next_page && *k->names->next_page)
		kube_path_arg(p, "continue", k->names->next_page);
	else if (known_already(k))
		drop_named_affinities(k); /* a walk that broke off begins anew */
	free(k->names->next_page);
	k->names->next_page = NULL;
	call.path = p->text;
	call.arg = k->names;
	k->names->stream = kube_stream_open(k->streams, &call);
	free(base);
	free(p);
}

/* ---- start and stop ---- */

static void on_timer(struct ev_loop *loop, ev_timer *t, int events)
{
	struct kube *k = t->data;

	(void)loop;
	(void)events;
	if (k->calico) {
		names_page(k);
		return;
	}
	k->asked = 0;
	ask(k);
}

void kube_discovery_start(struct kube *k)
{
	ev_init(&k->discovery, on_timer);
	k->discovery.data = k;
	ask(k);
}

void kube_discovery_hurry(struct kube *k)
{
	memset(&k->backoff, 0, sizeof(k->backoff));
	if (ev_is_active(&k->discovery))
		again(k, 0);
}

void kube_discovery_stop(struct kube *k)
{
	ev_timer_stop(k->loop, &k->discovery);
	if (k->names)
		free(k->names->next_page);
	free(k->names);
	k->names = NULL;
}

char *kube_calico_path(const struct kube *k, const char *plural)
{
	size_t n = strlen("/apis//") + strlen(k->calico ? k->calico : "") + strlen(plural) + 1;
	char *path;

	if (!k->calico)
		return NULL;
	path = xmalloc(n);
	snprintf(path, n, "/apis/%s/%s", k->calico, plural);
	return path;
}
