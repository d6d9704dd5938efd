#include "config.h"

#include "felix/ipam_report.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_check.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "store/ipam_api.h"
#include "store/pods.h"

/* What a block's owner knows of it may be older than what was just read: it reads it again first.
 */
static const double read_again = 1.5;
/* Nobody waits longer for an API that hangs. */
static const double patience = 20.;

struct list {
	const void **v;
	unsigned n, cap;
};

struct ipam_report {
	struct ipam_report_conf conf;
	struct ipc *ipc; /* NULL: the client went */
	unsigned what;
	void (*done)(void *arg);
	void *done_arg;
	struct arena arena; /* of all that was read */
	struct list blocks, affinities, handles, pods;
	unsigned pending; /* answers on their way */
	struct addr only; /* FAM_NONE: all */
	char failed[512]; /* "" */
	struct sync_finding *findings;
	bool *mended;
	unsigned nfindings;
	ev_timer later; /* for the leaks, once their blocks were read again */
	ev_timer deadline;
};

/* A deletion on its way. */
struct mend {
	struct ipam_report *r;
	unsigned finding;
};

static void keep(struct list *l, const void *item)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n++] = item;
}

static void report_free(struct ipam_report *r)
{
	ev_timer_stop(r->conf.loop, &r->deadline);
	free(r->blocks.v);
	free(r->affinities.v);
	free(r->handles.v);
	free(r->pods.v);
	free(r->mended);
	arena_free(&r->arena);
	free(r);
}

static void end(struct ipam_report *r)
{
	struct m_ctl_error e = { r->failed };

	if (r->ipc) {
		if (*r->failed)
			ipc_send(r->ipc, M_CTL_ERROR, &e);
		else
			ipc_send(r->ipc, M_CTL_END, NULL);
		if (r->conf.claims)
			r->done(r->done_arg);
	}
	report_free(r);
}

/* What is under way comes home to nobody. */
static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ipam_report *r = w->data;
	const struct m_ctl_error e = { "the Kubernetes API does not answer; `nodectl status` says "
				       "what is known of it, and of this node's blocks" };

	(void)loop;
	(void)revents;
	if (!r->ipc)
		return;
	ipc_send(r->ipc, M_CTL_ERROR, &e);
	r->ipc = NULL;
	r->done(r->done_arg);
}

/* ---- rows of `ipam show` ---- */

static uint32_t used_of(const struct ipamobj_block *b)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < b->size; i++)
		used += b->allocations[i] >= 0;
	return used;
}

static void send_pools(struct ipam_report *r)
{
	unsigned n;
	const struct object *const *pools = store_list(r->conf.store, KIND_IPPOOL, &n);

	for (unsigned i = 0; i < n; i++) {
		const struct spec_ippool *p = pools[i]->spec;
		struct m_ctl_pool row = { .cidr = p->cidr,
					  .name = pools[i]->name,
					  .size = prefix_size(&p->cidr),
					  .whole = r->conf.claims != NULL };

		for (unsigned k = 0; k < r->blocks.n; k++) {
			const struct ipamobj_block *b = r->blocks.v[k];

			if (!prefix_covers(&p->cidr, &b->cidr))
				continue;
			row.used += used_of(b);
			row.claimed += b->size;
		}
		ipc_send(r->ipc, M_CTL_POOL, &row);
	}
}

static int by_affinity(const void *a, const void *b)
{
	const struct ipamobj_block *x = *(const void *const *)a, *y = *(const void *const *)b;

	return strcmp(x->affinity, y->affinity);
}

static void send_nodes(struct ipam_report *r)
{
	struct m_ctl_node_use row = { 0 };
	const char *affinity = NULL;

	if (r->blocks.n)
		qsort(r->blocks.v, r->blocks.n, sizeof(*r->blocks.v), by_affinity);
	for (unsigned i = 0; i < r->blocks.n; i++) {
		const struct ipamobj_block *b = r->blocks.v[i];

		if (!affinity || strcmp(affinity, b->affinity) != 0) {
			if (affinity)
				ipc_send(r->ipc, M_CTL_NODE_USE, &row);
			affinity = b->affinity;
			row = (struct m_ctl_node_use){ .node = affinity };
			if (!strncmp(affinity, "host:", 5))
				row.node = affinity + 5;
		}
		row.blocks++;
		row.size += b->size;
		row.used += used_of(b);
	}
	if (affinity)
		ipc_send(r->ipc, M_CTL_NODE_USE, &row);
}

/* ---- what is compared ---- */

struct gather {
	struct arena *arena;
	struct sync_lease *leases;
	unsigned nleases, cap;
};

static void gather_lease(void *arg, const struct ipam_lease *l)
{
	struct gather *g = arg;
	char id[IPAMOBJ_NAME];

	ipamobj_handle_id(l->owner.network, l->owner.container_id, l->owner.ifname, id);
	for (unsigned i = 0; i < l->naddrs; i++) {
		if (g->nleases == g->cap) {
			g->cap = g->cap ? g->cap * 2 : 64;
			g->leases = xrealloc(g->leases, g->cap * sizeof(*g->leases));
		}
		g->leases[g->nleases++] = (struct sync_lease){
			l->addrs[i],
			arena_strdup(g->arena, id),
			arena_strdup(g->arena, l->owner.pod),
			arena_strdup(g->arena, l->owner.namespace_),
			l->since,
		};
	}
}

static unsigned gather_links(struct ipam_report *r, struct sync_check_link **out)
{
	uint32_t total, ready;
	unsigned n = 0;

	endpoints_count(r->conf.endpoints, &total, &ready);
	*out = arena_array(&r->arena, 2u * total + 1u, sizeof(**out));
	for (const struct endpoint *ep = endpoints_first(r->conf.endpoints); ep;
	     ep = TAILQ_NEXT(ep, next))
		for (unsigned i = 0; ep->ifindex && i < ep->naddrs; i++)
			(*out)[n++] = (struct sync_check_link){ ep->host, ep->addrs[i] };
	return n;
}

/* What only this node knows says little where there is no API to compare with. */
static bool local_kind(enum sync_check_kind k)
{
	return k == CHECK_LEASE_NO_POD || k == CHECK_LINK_NO_LEASE || k == CHECK_ADDRESS_TWICE;
}

static void keep_finding(struct ipam_report *r, const struct sync_finding *f)
{
	if (!r->conf.claims && !local_kind(f->kind))
		return;
	if (r->only.fam != FAM_NONE && !addr_eq(&f->addr, &r->only))
		return;
	r->findings[r->nfindings++] = *f;
}

static void compare(struct ipam_report *r)
{
	struct sync_check_in in = {
		.node = r->conf.node,
		.blocks = (const struct ipamobj_block *const *)r->blocks.v,
		.nblocks = r->blocks.n,
		.affinities = (const struct ipamobj_affinity *const *)r->affinities.v,
		.naffinities = r->affinities.n,
		.handles = (const struct ipamobj_handle *const *)r->handles.v,
		.nhandles = r->handles.n,
	};
	struct gather g = { .arena = &r->arena };
	struct sync_check_pod *pods = arena_array(&r->arena, r->pods.n + 1u, sizeof(*pods));
	struct sync_finding *found;
	struct sync_check_link *links;
	struct sync_pool *pools;
	unsigned n, nnodes;
	const struct object *const *nodes = store_list(r->conf.store, KIND_NODE, &nnodes);
	const char **names = arena_array(&r->arena, nnodes + 1u, sizeof(*names));

	in.npools = claims_pools(r->conf.store, r->conf.node, &r->arena, &pools);
	in.pools = pools;
	if (r->conf.ipam)
		ipam_each(r->conf.ipam, gather_lease, &g);
	in.leases = g.leases;
	in.nleases = g.nleases;
	in.nlinks = gather_links(r, &links);
	in.links = links;
	for (unsigned i = 0; i < r->pods.n; i++)
		pods[i] = *(const struct sync_check_pod *)r->pods.v[i];
	in.pods = pods;
	in.npods = r->pods.n;
	for (unsigned i = 0; i < nnodes; i++)
		names[i] = nodes[i]->name;
	in.nodes = names;
	in.nnodes = nnodes;
	n = sync_check(&in, &r->arena, &found);
	r->findings = arena_array(&r->arena, n + 1u, sizeof(*r->findings));
	r->mended = xcalloc(n + 1u, sizeof(*r->mended));
	for (unsigned i = 0; i < n; i++)
		keep_finding(r, &found[i]);
	free(g.leases);
}

/* ---- rows of `ipam check` and `release` ---- */

static const char *mend_text(const struct ipam_report *r, const struct sync_finding *f)
{
	switch (f->mend) {
	case MEND_FREE_ADDRESS:
		return strcmp(f->node, r->conf.node) != 0 ? "" : "free the address in its block";
	case MEND_DELETE_HANDLE:
		return "delete the IPAMHandle";
	case MEND_DELETE_AFFINITY:
		return "delete the BlockAffinity";
	case MEND_RELEASE_LEASE:
		return "give the address back";
	case MEND_NONE:
	case MEND_WAIT:
		break;
	}
	return "";
}

static void answer_findings(struct ipam_report *r)
{
	char text[ADDR_STRLEN];

	for (unsigned i = 0; r->ipc && i < r->nfindings; i++) {
		const struct sync_finding *f = &r->findings[i];
		struct m_ctl_issue row = { sync_check_kind_name(f->kind), f->object, f->what,
					   mend_text(r, f), r->mended[i] };

		ipc_send(r->ipc, M_CTL_ISSUE, &row);
	}
	if (r->only.fam != FAM_NONE && !r->nfindings && !*r->failed)
		snprintf(r->failed, sizeof(r->failed),
			 "%s: nothing to release: `nodectl ipam check` finds nothing wrong with it",
			 addr_format(&r->only, text, sizeof(text)));
	end(r);
}

static void mend_done(struct ipam_report *r)
{
	if (--r->pending == 0)
		answer_findings(r);
}

static void on_deleted(void *arg, const struct ipamobj_reply *reply)
{
	struct mend *m = arg;

	m->r->mended[m->finding] =
		reply->result == IPAMOBJ_OK || reply->result == IPAMOBJ_NOT_FOUND;
	if (!m->r->mended[m->finding])
		log_warn("ipam", "%s is not deleted: %s", m->r->findings[m->finding].object,
			 reply->why);
	mend_done(m->r);
	free(m);
}

static void delete_object(struct ipam_report *r, unsigned i, enum ipamobj_kind kind)
{
	const struct sync_finding *f = &r->findings[i];
	struct ipamobj_request rq = { .verb = IPAMOBJ_DELETE,
				      .kind = kind,
				      .name = f->object,
				      .uid = f->uid,
				      .resource_version = f->resource_version,
				      .label_selector = "" };
	struct mend *m = xcalloc(1, sizeof(*m));

	*m = (struct mend){ r, i };
	r->pending++;
	store_ipam_request(r->conf.store, &rq, on_deleted, m);
}

static void mend_leak(struct ipam_report *r, unsigned i)
{
	const struct sync_finding *f = &r->findings[i];
	struct err err;

	r->mended[i] = claims_release_leak(r->conf.claims, &f->addr, f->handle_id, &err) == 0;
	if (!r->mended[i])
		log_warn("ipam", "%s is not released: %s", f->object, err.text);
}

static bool is_own_leak(const struct ipam_report *r, const struct sync_finding *f)
{
	return r->conf.claims && f->mend == MEND_FREE_ADDRESS && *mend_text(r, f);
}

static void on_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ipam_report *r = w->data;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < r->nfindings; i++)
		if (is_own_leak(r, &r->findings[i]))
			mend_leak(r, i);
	mend_done(r);
}

static void mend_one(struct ipam_report *r, unsigned i)
{
	const struct sync_finding *f = &r->findings[i];
	struct err err;

	switch (f->mend) {
	case MEND_RELEASE_LEASE:
		r->mended[i] = r->conf.release(r->conf.arg, &f->addr, &err) == 0;
		if (!r->mended[i])
			log_warn("ipam", "%s is not released: %s", f->object, err.text);
		break;
	case MEND_FREE_ADDRESS:
		if (!is_own_leak(r, f) || ev_is_active(&r->later))
			break;
		r->pending++;
		ev_timer_start(r->conf.loop, &r->later);
		break;
	case MEND_DELETE_HANDLE:
		delete_object(r, i, IPAMOBJ_HANDLE);
		break;
	case MEND_DELETE_AFFINITY:
		delete_object(r, i, IPAMOBJ_AFFINITY);
		break;
	case MEND_NONE:
	case MEND_WAIT:
		break;
	}
}

static void finish(struct ipam_report *r)
{
	if (*r->failed || !r->ipc) {
		end(r);
		return;
	}
	if (r->what == CTL_IPAM_ALL) {
		send_pools(r);
		send_nodes(r);
		end(r);
		return;
	}
	compare(r);
	for (unsigned i = 0; i < r->nfindings; i++)
		if (is_own_leak(r, &r->findings[i]))
			claims_read_again(r->conf.claims, &r->findings[i].addr);
	/* Held until all that is mended below is under way. */
	r->pending = 1;
	if (r->what == CTL_IPAM_RELEASE)
		for (unsigned i = 0; i < r->nfindings; i++)
			mend_one(r, i);
	mend_done(r);
}

/* ---- reading the API ---- */

static void fail(struct ipam_report *r, const char *what, const char *why)
{
	if (!*r->failed)
		snprintf(r->failed, sizeof(r->failed), "%s cannot be read from the API: %s", what,
			 why);
}

static void on_pod(void *arg, const struct pod *pod)
{
	struct ipam_report *r = arg;
	struct sync_check_pod *p;

	if (pod->host_network || pod_is_over(pod))
		return;
	p = arena_alloc(&r->arena, sizeof(*p));
	*p = (struct sync_check_pod){ arena_strdup(&r->arena, pod->namespace_),
				      arena_strdup(&r->arena, pod->name),
				      arena_strdup(&r->arena, pod->node),
				      pod->naddrs,
				      { { 0 }, { 0 } } };
	for (unsigned i = 0; i < pod->naddrs; i++)
		p->addrs[i] = pod_addr(pod, i);
	keep(&r->pods, p);
}

static void on_pods(void *arg, enum ipamobj_result result, const char *why)
{
	struct ipam_report *r = arg;

	if (result != IPAMOBJ_OK)
		fail(r, "the pods", why);
	finish(r);
}

/* Pods come last: a pod that is younger than what was read of the blocks is no leak. */
static void one_read(struct ipam_report *r)
{
	if (--r->pending > 0)
		return;
	if (*r->failed || !r->ipc || r->what == CTL_IPAM_ALL)
		finish(r);
	else
		store_read_pods(r->conf.store, "", 0, on_pod, on_pods, r);
}

static void on_blocks(void *arg, const struct ipamobj_reply *reply)
{
	struct ipam_report *r = arg;

	if (reply->result != IPAMOBJ_OK)
		fail(r, "the blocks", reply->why);
	for (uint32_t i = 0; reply->result == IPAMOBJ_OK && i < reply->n; i++)
		if (!((const struct ipamobj_block *)reply->objects[i])->deleted)
			keep(&r->blocks, ipamobj_copy_block(reply->objects[i], &r->arena));
	one_read(r);
}

static void on_affinities(void *arg, const struct ipamobj_reply *reply)
{
	struct ipam_report *r = arg;

	if (reply->result != IPAMOBJ_OK)
		fail(r, "the affinities", reply->why);
	for (uint32_t i = 0; reply->result == IPAMOBJ_OK && i < reply->n; i++)
		keep(&r->affinities, ipamobj_copy_affinity(reply->objects[i], &r->arena));
	one_read(r);
}

static void on_handles(void *arg, const struct ipamobj_reply *reply)
{
	struct ipam_report *r = arg;

	if (reply->result != IPAMOBJ_OK)
		fail(r, "the handles", reply->why);
	for (uint32_t i = 0; reply->result == IPAMOBJ_OK && i < reply->n; i++)
		keep(&r->handles, ipamobj_copy_handle(reply->objects[i], &r->arena));
	one_read(r);
}

static void read_kind(struct ipam_report *r, enum ipamobj_kind kind,
		      void (*cb)(void *arg, const struct ipamobj_reply *reply))
{
	struct ipamobj_request rq = { .verb = IPAMOBJ_LIST, .kind = kind, .label_selector = "" };

	r->pending++;
	store_ipam_request(r->conf.store, &rq, cb, r);
}

struct ipam_report *ipam_report_start(const struct ipam_report_conf *conf, struct ipc *ipc,
				      unsigned what, const char *name, void (*done)(void *arg),
				      void *done_arg)
{
	struct ipam_report *r = xcalloc(1, sizeof(*r));

	r->conf = *conf;
	r->ipc = ipc;
	r->what = what;
	r->done = done;
	r->done_arg = done_arg;
	r->only.fam = FAM_NONE;
	ev_timer_init(&r->later, on_later, read_again, 0.);
	r->later.data = r;
	if (*name && addr_parse(name, &r->only) < 0)
		snprintf(r->failed, sizeof(r->failed), "\"%s\" is not an address", name);
	ev_timer_init(&r->deadline, on_deadline, patience, 0.);
	r->deadline.data = r;
	if (!conf->claims) {
		finish(r);
		return NULL;
	}
	ev_timer_start(conf->loop, &r->deadline);
	read_kind(r, IPAMOBJ_BLOCK, on_blocks);
	if (what != CTL_IPAM_ALL) {
		read_kind(r, IPAMOBJ_AFFINITY, on_affinities);
		read_kind(r, IPAMOBJ_HANDLE, on_handles);
	}
	return r;
}

void ipam_report_cancel(struct ipam_report *r)
{
	r->ipc = NULL;
}
