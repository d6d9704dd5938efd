/* The Kubernetes store: which kinds are watched when, and the table that comes of it. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/log.h"
#include "store/kube_impl.h"

/* Changes are told when nothing more waits to be read, or after so many seconds. */
static const double GATHER = 0.02;
/* One policy that is deleted and made again must not make every node list all pods twice. */
static const double POLICY_LINGER = 300;
enum { ERRORS_A_KIND = 20 };
#define UP_SPREAD 2. /* s */

#define CALICO(text, plural, kind, need)                                                           \
	{                                                                                          \
		text, plural, KUBE_CALICO, kind, need, REFLECTOR_CRD, false                        \
	}
const struct kube_kind kube_kinds[KUBE_NKINDS] = {
	{ "Node", "nodes", KUBE_CORE, KIND_NODE, NEED_ALWAYS, REFLECTOR_CORE, false },
	{ "Namespace", "namespaces", KUBE_CORE, KIND_NAMESPACE, NEED_ALWAYS, REFLECTOR_CORE, true },
	{ "Pod", "pods", KUBE_CORE, KIND_COUNT, NEED_PODS, REFLECTOR_CORE, false },
	{ "ServiceAccount", "serviceaccounts", KUBE_CORE, KIND_SERVICEACCOUNT, NEED_POLICY,
	  REFLECTOR_CORE, true },
	{ "Service", "services", KUBE_CORE, KIND_SERVICE, NEED_SERVICES, REFLECTOR_CORE, false },
	{ "EndpointSlice", "endpointslices", KUBE_DISCOVERY, KIND_ENDPOINTSLICE, NEED_SERVICES,
	  REFLECTOR_CORE, false },
	{ "Secret", "secrets", KUBE_CORE, KIND_SECRET, NEED_NAMED, REFLECTOR_CORE, false },
	{ "NetworkPolicy", "networkpolicies", KUBE_NETWORKING, KIND_POLICY, NEED_ALWAYS,
	  REFLECTOR_CORE, false },
	{ "ClusterNetworkPolicy", "clusternetworkpolicies", KUBE_POLICY, KIND_POLICY, NEED_ALWAYS,
	  REFLECTOR_OPTIONAL, false },
	CALICO("IPPool", "ippools", KIND_IPPOOL, NEED_ALWAYS),
	CALICO("IPReservation", "ipreservations", KIND_IPRESERVATION, NEED_ALWAYS),
	CALICO("IPAMConfig", "ipamconfigs", KIND_IPAMCONFIG, NEED_ALWAYS),
	CALICO("BlockAffinity", "blockaffinities", KIND_BLOCKAFFINITY, NEED_OWN_AFFINITY),
	CALICO("BGPConfiguration", "bgpconfigurations", KIND_BGPCONFIGURATION, NEED_ALWAYS),
	CALICO("BGPPeer", "bgppeers", KIND_BGPPEER, NEED_ALWAYS),
	CALICO("BGPFilter", "bgpfilters", KIND_BGPFILTER, NEED_ALWAYS),
	CALICO("NetworkPolicy", "networkpolicies", KIND_POLICY, NEED_ALWAYS),
	CALICO("GlobalNetworkPolicy", "globalnetworkpolicies", KIND_POLICY, NEED_ALWAYS),
	CALICO("Tier", "tiers", KIND_POLICY, NEED_POLICY),
	CALICO("NetworkSet", "networksets", KIND_POLICY, NEED_POLICY),
	CALICO("GlobalNetworkSet", "globalnetworksets", KIND_POLICY, NEED_POLICY),
};

double kube_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

uint32_t kube_random(void)
{
	uint32_t v = 1;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		v = (uint32_t)(kube_now() * 1e6);
	return v;
}

void kube_dirty(struct kube *k, enum kind kind)
{
	if (!k->dirty)
		k->dirty_since = kube_now();
	k->dirty = k->dirty_kinds[kind] = true;
}

/* ---- what is needed ---- */

static const struct spec_bgpconfiguration *configuration(const struct kube *k, bool own)
{
	char name[300];
	const struct object *o;

	snprintf(name, sizeof(name), own ? "node.%s" : "default", k->node);
	o = table_find(&k->table, KIND_BGPCONFIGURATION, "", name);
	return o ? o->spec : NULL;
}

static bool advertises(const struct spec_bgpconfiguration *c)
{
	return c && (c->service_cluster_ips.n || c->service_external_ips.n || c->service_lb_ips.n);
}

static bool policy_exists(const struct kube *k)
{
	unsigned n;
	const struct object *const *v = table_list(&k->table, KIND_POLICY, &n);

	for (unsigned i = 0; i < n; i++)
		if (strstr(v[i]->kind_text, "NetworkPolicy") &&
		    strncmp(v[i]->kind_text, "Staged", 6) != 0)
			return true;
	return false;
}

static bool policies_needed(struct kube *k)
{
	if (policy_exists(k)) {
		k->had_policy = true;
		k->policies_gone = 0;
		return true;
	}
	if (!k->had_policy)
		return false;
	if (k->policies_gone <= 0)
		k->policies_gone = kube_now();
	if (kube_now() - k->policies_gone < POLICY_LINGER)
		return true;
	k->had_policy = false;
	return false;
}

static struct kube_feed *named(struct kube *k, const struct kube_kind *row, const char *name)
{
	for (unsigned i = 0; i < k->nnamed; i++)
		if (k->named[i]->row == row && !strcmp(k->named[i]->name, name))
			return k->named[i];
	return NULL;
}

static const struct kube_kind *row_of(enum kind kind)
{
	const struct kube_kind *row = kube_kinds;

	while (row->kind != kind)
		row++;
	return row;
}

static void want_secret(struct kube *k, const char *name)
{
	const struct kube_kind *row = row_of(KIND_SECRET);
	struct kube_feed *f;

	if (!name || !*name)
		return;
	f = named(k, row, name);
	if (!f) {
		if (k->nnamed == KUBE_NAMED_MAX)
			return;
		f = k->named[k->nnamed++] = kube_feed_new(k, row, name);
	}
	f->wanted = true;
}

static void choose_secrets(struct kube *k)
{
	const struct spec_bgpconfiguration *c[] = { configuration(k, false),
						    configuration(k, true) };
	unsigned n, kept = 0;
	const struct object *const *peers = table_list(&k->table, KIND_BGPPEER, &n);

	for (unsigned i = 0; i < k->nnamed; i++)
		k->named[i]->wanted = k->named[i]->row->kind != KIND_SECRET;
	for (unsigned i = 0; i < n; i++)
		want_secret(k, ((const struct spec_bgppeer *)peers[i]->spec)->password.name);
	for (unsigned i = 0; i < 2; i++)
		if (c[i])
			want_secret(k, c[i]->mesh_password.name);
	for (unsigned i = 0; i < k->nnamed; i++) {
		if (k->named[i]->wanted)
			k->named[kept++] = k->named[i];
		else
			kube_feed_free(k->named[i]);
	}
	k->nnamed = kept;
}

static bool is_needed(const struct kube *k, const struct kube_kind *row, bool policies)
{
	if (row->group == KUBE_CALICO && !k->calico)
		return false;
	switch (row->need) {
	case NEED_ALWAYS:
	case NEED_OWN_AFFINITY:
	case NEED_PODS:
		return true;
	case NEED_SERVICES:
		return advertises(configuration(k, false)) || advertises(configuration(k, true));
	case NEED_POLICY:
		return policies;
	case NEED_NAMED:
		break;
	}
	return false;
}

static void choose_feeds(struct kube *k)
{
	bool policies = policies_needed(k);

	if (k->requests_only)
		return;
	for (unsigned i = 0; i < KUBE_NKINDS; i++) {
		const struct kube_kind *row = &kube_kinds[i];
		bool need = is_needed(k, row, policies);
		bool other = row->need == NEED_PODS && k->all_pods != policies;

		if (k->feeds[i] && (!need || other)) {
			kube_feed_free(k->feeds[i]);
			k->feeds[i] = NULL;
		}
		if (row->need == NEED_PODS)
			k->all_pods = policies;
		if (need && !k->feeds[i])
			k->feeds[i] = kube_feed_new(k, row, NULL);
	}
	choose_secrets(k);
}

/* ---- the table ---- */

static void add_objects(struct kube *k, enum kind kind, const struct kube_feed *f)
{
	if (!f || f->row->kind != kind || !f->model)
		return;
	for (unsigned i = 0; i < f->now.n; i++) {
		const struct object *o = f->now.v[i].object;

		/* A name that begins as ours may be another node's. */
		if (!o ||
		    (kind == KIND_BLOCKAFFINITY &&
		     strcmp(((const struct spec_blockaffinity *)o->spec)->node, k->node) != 0))
			continue;
		table_add(&k->table, o);
	}
}

static void rebuild(struct kube *k)
{
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		if (!k->dirty_kinds[kind])
			continue;
		k->dirty_kinds[kind] = false;
		table_clear_kind(&k->table, (enum kind)kind);
		for (unsigned i = 0; i < KUBE_NKINDS; i++)
			add_objects(k, (enum kind)kind, k->feeds[i]);
		for (unsigned i = 0; i < k->nnamed; i++)
			add_objects(k, (enum kind)kind, k->named[i]);
		table_seal_kind(&k->table, (enum kind)kind, NULL, NULL);
	}
	k->dirty = false;
}

static bool kind_synced(const struct kube *k, int kind)
{
	for (unsigned i = 0; i < KUBE_NKINDS; i++) {
		const struct kube_kind *row = &kube_kinds[i];

		if ((int)row->kind != kind)
			continue;
		if (row->group == KUBE_CALICO && !k->calico && !k->calico_absent)
			return false;
		if (k->feeds[i] && !k->feeds[i]->r.synced)
			return false;
	}
	for (unsigned i = 0; i < k->nnamed; i++)
		if ((int)k->named[i]->row->kind == kind && !k->named[i]->r.synced)
			return false;
	return kind != KIND_BLOCKAFFINITY || kube_discovery_done(k);
}

static bool all_synced(const struct kube *k)
{
	for (int kind = 0; kind <= KIND_COUNT; kind++)
		if (!kind_synced(k, kind))
			return false;
	return true;
}

/* A look at everything that may have changed in this slice. */
static void settle(struct kube *k)
{
	bool told = k->dirty;

	k->look = false;
	for (unsigned rounds = 0; rounds < 3; rounds++) {
		told |= k->dirty;
		if (k->dirty)
			rebuild(k);
		choose_feeds(k);
		if (!k->dirty)
			break;
	}
	if (!k->synced && all_synced(k)) {
		k->synced = told = true;
		log_info("store", "the Kubernetes API's objects are complete");
	}
	if (told && k->synced && k->ops && k->ops->on_change)
		k->ops->on_change(k->arg);
}

static void after_slice(void *arg, bool idle)
{
	struct kube *k = arg;

	if (!k->dirty && !k->look)
		return;
	if (idle || !k->dirty || kube_now() - k->dirty_since >= GATHER)
		settle(k);
}

static void on_minute(struct ev_loop *loop, ev_timer *t, int events)
{
	struct kube *k = t->data;

	(void)loop;
	(void)events;
	for (unsigned i = 0; i < KUBE_NKINDS; i++)
		if (k->feeds[i])
			kube_feed_look(k->feeds[i]);
	for (unsigned i = 0; i < k->nnamed; i++)
		kube_feed_look(k->named[i]);
	settle(k);
}

/* ---- status ---- */

/* Is another feed in trouble, with these words (NULL: any)? */
static bool others_troubled(const struct kube_feed *f, const char *why)
{
	for (unsigned i = 0; i < KUBE_NKINDS; i++) {
		const struct kube_feed *o = f->kube->feeds[i];

		if (o && o != f && o->said_trouble && (!why || !strcmp(o->r.why, why)))
			return true;
	}
	return false;
}

void kube_feed_state(struct kube_feed *f)
{
	f->kube->look = true;
	/* A server that is away troubles every feed with the same words: they are said once. */
	if (f->r.trouble && !f->said_trouble && !others_troubled(f, f->r.why))
		log_warn("store", "%s", f->r.why);
	if (!f->r.trouble && f->said_trouble && !others_troubled(f, NULL))
		log_info("store", "the Kubernetes API answers again");
	if (f->r.absent && !f->said_absent && f->row->absence == REFLECTOR_CRD)
		log_warn("store", "%s (%s) is not installed: apply crds.yaml", f->row->text,
			 f->api);
	f->said_trouble = f->r.trouble;
	f->said_absent = f->r.absent;
}

static void add_error(struct kube *k, const char *text)
{
	for (unsigned i = 0; i < k->nerrors; i++)
		if (!strcmp(k->errors[i], text))
			return;
	if (k->nerrors == k->errors_cap) {
		k->errors_cap = k->errors_cap ? k->errors_cap * 2 : 16;
		k->errors = xrealloc(k->errors, k->errors_cap * sizeof(*k->errors));
	}
	k->errors[k->nerrors++] = xstrdup(text);
}

static void feed_errors(struct kube *k, const struct kube_feed *f)
{
	unsigned said = 0;
	char text[200];

	if (!f)
		return;
	if (f->r.trouble)
		add_error(k, f->r.why);
	if (f->r.absent && f->row->absence == REFLECTOR_CRD) {
		snprintf(text, sizeof(text), "%s (%s) is not installed: apply crds.yaml",
			 f->row->text, f->api);
		add_error(k, text);
	}
	for (unsigned i = 0; i < f->now.n && said < ERRORS_A_KIND; i++) {
		if (!f->now.v[i].error)
			continue;
		add_error(k, f->now.v[i].error);
		said++;
	}
}

static void gather_errors(struct kube *k)
{
	for (unsigned i = 0; i < k->nerrors; i++)
		free(k->errors[i]);
	k->nerrors = 0;
	if (*k->discovery_why)
		add_error(k, k->discovery_why);
	for (unsigned i = 0; i < KUBE_NKINDS; i++)
		feed_errors(k, k->feeds[i]);
	for (unsigned i = 0; i < k->nnamed; i++)
		feed_errors(k, k->named[i]);
}

static void kube_status(const struct store *s, struct store_status *out)
{
	/* The texts are made when they are asked for. */
	struct kube *k = (struct kube *)(uintptr_t)s;
	struct kube_http_status http;

	gather_errors(k);
	kube_http_status(k->http, &http);
	*out = (struct store_status){
		.kind = "kubernetes",
		.synced = k->synced,
		.last_contact = http.last_contact / 1000,
		.nerrors = k->nerrors,
		.errors = (const char *const *)k->errors,
	};
}

/* ---- the store ---- */

static const struct object *const *kube_list(const struct store *s, enum kind kind, unsigned *n)
{
	return table_list(&((const struct kube *)s)->table, kind, n);
}

static const struct object *kube_find(const struct store *s, enum kind kind, const char *namespace_,
				      const char *name)
{
	return table_find(&((const struct kube *)s)->table, kind, namespace_, name);
}

static bool kube_kind_synced(const struct store *s, enum kind kind)
{
	return kind_synced((const struct kube *)s, (int)kind);
}

static const struct pods *kube_pods(const struct store *s)
{
	return ((const struct kube *)s)->pods;
}

static bool kube_pods_synced(const struct store *s)
{
	return kind_synced((const struct kube *)s, KIND_COUNT);
}

static void on_pod(void *arg, const struct pod *was, const struct pod *is)
{
	struct kube *k = arg;

	if (k->ops && k->ops->on_pod)
		k->ops->on_pod(k->arg, was, is);
}

static void on_unauthorized(void *arg)
{
	struct kube *k = arg;

	if (k->ops && k->ops->on_unauthorized)
		k->ops->on_unauthorized(k->arg);
}

/* Feeds that have failed do not wait for the end of their pauses. */
static void hurry(struct kube *k)
{
	kube_discovery_hurry(k);
	for (unsigned i = 0; i < KUBE_NKINDS; i++)
		if (k->feeds[i] && k->feeds[i]->r.trouble)
			kube_feed_hurry(k->feeds[i]);
	for (unsigned i = 0; i < k->nnamed; i++)
		if (k->named[i]->r.trouble)
			kube_feed_hurry(k->named[i]);
}

static void on_up_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	hurry(w->data);
}

/* All nodes see the server come back at once; they must not all ask at once. */
static void on_up(void *arg)
{
	struct kube *k = arg;

	if (ev_is_active(&k->up))
		return;
	ev_timer_set(&k->up, UP_SPREAD * (kube_random() / (double)UINT32_MAX), 0.);
	ev_timer_start(k->loop, &k->up);
}

static int kube_access(struct store *s, const struct kube_access *access, struct err *err)
{
	struct kube *k = (struct kube *)s;

	if (kube_http_access(k->http, access, err))
		return -1;
	hurry(k);
	return 0;
}

static void kube_close(struct store *s)
{
	struct kube *k = (struct kube *)s;

	ev_timer_stop(k->loop, &k->up);
	kube_writes_drop(k);
	kube_discovery_stop(k);
	for (unsigned i = 0; i < KUBE_NKINDS; i++)
		kube_feed_free(k->feeds[i]);
	for (unsigned i = 0; i < k->nnamed; i++)
		kube_feed_free(k->named[i]);
	kube_streams_free(k->streams);
	kube_http_free(k->http);
	ev_timer_stop(k->loop, &k->minute);
	table_clear(&k->table);
	pods_free(k->pods);
	for (unsigned i = 0; i < k->nerrors; i++)
		free(k->errors[i]);
	free(k->errors);
	free(k->node);
	free(k->secrets_namespace);
	free(k);
}

static const struct store_maker kube_maker = {
	.close = kube_close,
	.status = kube_status,
	.list = kube_list,
	.find = kube_find,
	.kind_synced = kube_kind_synced,
	.access = kube_access,
	.pods = kube_pods,
	.pods_synced = kube_pods_synced,
	.ipam = kube_ipam,
	.patch = kube_patch,
	.get_pod = kube_get_pod,
	.read_pods = kube_read_pods,
};

static const char *secrets_namespace(const struct store_kube_conf *conf)
{
	if (conf->secrets_namespace && *conf->secrets_namespace)
		return conf->secrets_namespace;
	return *conf->access->namespace_ ? conf->access->namespace_ : "kube-system";
}

struct store *store_kube_open(struct ev_loop *loop, const struct store_kube_conf *conf,
			      const struct store_ops *ops, void *arg, struct err *err)
{
	static const struct kube_http_ops http_ops = { .on_unauthorized = on_unauthorized,
						       .on_up = on_up };
	static const struct kube_http_ops no_ops = { .on_up = on_up };
	/* Many nodes are spread over the servers. */
	const struct kube_http_options options = { .first_server = ipamobj_host_hash(conf->node) };
	struct kube *k = xcalloc(1, sizeof(*k));

	k->store.maker = &kube_maker;
	k->loop = loop;
	k->ops = ops;
	k->arg = arg;
	k->streaming = true;
	k->requests_only = conf->requests_only;
	k->http = kube_http_new(loop, &options, ops && ops->on_unauthorized ? &http_ops : &no_ops,
				k, err);
	if (!k->http || kube_http_access(k->http, conf->access, err)) {
		kube_http_free(k->http);
		free(k);
		return NULL;
	}
	k->node = xstrdup(conf->node);
	k->secrets_namespace = xstrdup(secrets_namespace(conf));
	k->pods = pods_new(on_pod, k);
	k->streams = kube_streams_new(loop, k->http, after_slice, k);
	ev_timer_init(&k->minute, on_minute, 60, 60);
	k->minute.data = k;
	ev_timer_start(loop, &k->minute);
	ev_timer_init(&k->up, on_up_timer, 0., 0.);
	k->up.data = k;
	kube_discovery_start(k);
	choose_feeds(k);
	return &k->store;
}
