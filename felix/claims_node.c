/* What the engines are told of pools, settings and nodes, and what this node says of itself. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "felix/claims_impl.h"
#include "lib/log.h"
#include "store/ipam_api.h"

#define ANNOTATION_V4	    "projectcalico.org/IPv4Address"
#define ANNOTATION_V6	    "projectcalico.org/IPv6Address"
#define ANNOTATION_INSTANCE "selvage.io/instance"

static const double sign_pause = 10.;

static const char *annotation(const struct object *o, const char *key)
{
	for (uint32_t i = 0; i < o->annotations.n; i++)
		if (!strcmp(o->annotations.v[i].key, key))
			return o->annotations.v[i].value;
	return "";
}

/* ---- pools ---- */

static bool for_workloads(const struct spec_ippool *p)
{
	for (uint32_t i = 0; i < p->allowed_uses.n; i++)
		if (!strcmp(((const char *const *)p->allowed_uses.v)[i], "Workload"))
			return true;
	return !p->allowed_uses.n;
}

static enum sync_pool_use use_of(const struct object *pool, const struct field_kvs *labels)
{
	const struct spec_ippool *p = pool->spec;
	struct arena scratch = { 0 };
	struct problems ignored = { .arena = &scratch };
	bool mine = selector_takes(pool, "nodeSelector", p->node_selector, labels, &ignored);

	arena_free(&scratch);
	if (p->disabled || !for_workloads(p))
		return SYNC_POOL_CLOSED;
	return p->assignment_mode == 0 && mine ? SYNC_POOL_AUTO : SYNC_POOL_ASKED;
}

unsigned claims_pools(const struct store *store, const char *node, struct arena *arena,
		      struct sync_pool **out)
{
	const struct field_kvs *labels = node_labels(store, node);
	unsigned n;
	const struct object *const *v = store_list(store, KIND_IPPOOL, &n);

	*out = arena_array(arena, n + 1, sizeof(**out));
	for (unsigned i = 0; i < n; i++) {
		const struct spec_ippool *p = v[i]->spec;

		(*out)[i] = (struct sync_pool){ p->cidr, p->block_size, use_of(v[i], labels) };
	}
	return n;
}

/* ---- settings ---- */

/* A node that Calico runs on: it has Calico's annotation, and no daemon of ours has signed it. */
static bool is_calico(const struct object *o, const char *self)
{
	return strcmp(o->name, self) != 0 && !*annotation(o, ANNOTATION_INSTANCE) &&
	       (*annotation(o, ANNOTATION_V4) || *annotation(o, ANNOTATION_V6));
}

void claims_tell_settings(struct claims *c)
{
	const struct object *conf = store_find(c->conf.store, KIND_IPAMCONFIG, "", "default");
	const struct spec_ipamconfig *s = conf ? conf->spec : NULL;
	struct sync_settings st = { .auto_allocate_blocks = true };
	unsigned n;
	const struct object *const *nodes = store_list(c->conf.store, KIND_NODE, &n);

	if (s) {
		st.strict_affinity = s->strict_affinity;
		st.auto_allocate_blocks = s->auto_allocate_blocks;
		st.max_blocks_per_host = s->max_blocks_per_host;
	}
	for (unsigned i = 0; i < n; i++) {
		st.rank += strcmp(nodes[i]->name, c->conf.node) < 0;
		st.mixed |= !st.strict_affinity && is_calico(nodes[i], c->conf.node);
	}
	st.nodes = n;
	if (st.mixed != c->mixed)
		log_info("ipam", st.mixed ? "Calico nodes may take addresses out of this node's "
					    "blocks (strictAffinity is off): each ADD waits for "
					    "the API"
					  : "no Calico node may take addresses out of this node's "
					    "blocks: ADD does not wait for the API");
	c->mixed = st.mixed;
	sync_set_settings(c->sync, &st, claims_now());
}

/* ---- the own Node ---- */

static void on_patched(void *arg, enum ipamobj_result result, const char *why)
{
	struct claims *c = arg;

	c->patching = false;
	if (result == IPAMOBJ_OK)
		return;
	ev_timer_stop(c->conf.loop, &c->sign);
	ev_timer_set(&c->sign, sign_pause, 0.);
	ev_timer_start(c->conf.loop, &c->sign);
	log_warn("ipam", "Node %s: its annotations cannot be written: %s", c->conf.node, why);
}

/* Calico's nodes find their peers by these, and `nodectl` of other nodes finds ours. */
static void sign(struct claims *c, const struct object *o)
{
	char text[2][PREFIX_STRLEN] = { "", "" };
	struct store_annotation v[3];
	unsigned n = 0;

	for (unsigned i = 0; i < c->naddrs; i++)
		prefix_format(&c->addrs[i], text[c->addrs[i].addr.fam == FAM_V6], PREFIX_STRLEN);
	if (*text[0] && strcmp(annotation(o, ANNOTATION_V4), text[0]) != 0)
		v[n++] = (struct store_annotation){ ANNOTATION_V4, text[0] };
	if (*text[1] && strcmp(annotation(o, ANNOTATION_V6), text[1]) != 0)
		v[n++] = (struct store_annotation){ ANNOTATION_V6, text[1] };
	/* Once ours has been there, another's is a daemon that took our name; none is a Node that
	 * was registered anew. */
	const char *instance = annotation(o, ANNOTATION_INSTANCE);
	if (!*instance || (!c->instance_seen && strcmp(instance, c->instance) != 0))
		v[n++] = (struct store_annotation){ ANNOTATION_INSTANCE, c->instance };
	if (!n || c->patching || ev_is_active(&c->sign))
		return;
	c->patching = true;
	store_patch(c->conf.store, STORE_PATCH_NODE, "", c->conf.node, "", v, n, on_patched, c);
}

void claims_tell_node(struct claims *c)
{
	const struct object *o = store_find(c->conf.store, KIND_NODE, "", c->conf.node);
	const char *instance = o ? annotation(o, ANNOTATION_INSTANCE) : "";

	if (!o)
		c->instance_seen = false;
	else if (!strcmp(instance, c->instance))
		c->instance_seen = true;
	sync_set_node(c->sync, o != NULL, c->instance_seen ? instance : "", claims_now());
	if (o)
		sign(c, o);
}

static void on_sign(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	claims_tell_node(w->data);
}

void claims_node_init(struct claims *c)
{
	ev_timer_init(&c->sign, on_sign, 0., 0.);
	c->sign.data = c;
}

/* ---- does a node have pods ---- */

static struct claims_asked *find_asked(struct claims *c, const char *node)
{
	struct claims_asked *oldest = NULL;

	for (unsigned i = 0; i < CLAIMS_ASKED; i++) {
		if (!strcmp(c->asked[i].node, node))
			return &c->asked[i];
		if (!c->asked[i].under_way && (!oldest || c->asked[i].at < oldest->at))
			oldest = &c->asked[i];
	}
	if (!oldest)
		return NULL;
	*oldest = (struct claims_asked){ .claims = c };
	snprintf(oldest->node, sizeof(oldest->node), "%s", node);
	return oldest;
}

static void on_one_pod(void *arg, const struct pod *pod)
{
	struct claims_asked *a = arg;

	(void)pod;
	a->found = true;
}

static void on_pods_read(void *arg, enum ipamobj_result result, const char *why)
{
	struct claims_asked *a = arg;

	(void)why;
	a->under_way = false;
	a->at = claims_now().ms;
	a->none = result == IPAMOBJ_OK && !a->found;
}

/* true until the API itself has just said that there is none. */
bool claims_node_has_pods(void *arg, const char *node)
{
	struct claims *c = arg;
	struct claims_asked *a = find_asked(c, node);

	if (!a || a->under_way)
		return true;
	if (a->at && claims_now().ms - a->at < CLAIMS_ASKED_AGE)
		return !a->none;
	a->under_way = true;
	a->found = a->none = false;
	store_read_pods(c->conf.store, node, 1, on_one_pod, on_pods_read, a);
	return true;
}
