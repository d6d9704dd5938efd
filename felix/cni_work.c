#include "config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "felix/cni_impl.h"
#include "felix/routes.h"
#include "lib/log.h"

enum { FLUSH_BUDGET = 1024, FLUSH_ROUNDS = 64 };

static const struct m_cni_add *add_of(const struct cni_job *j)
{
	return j->body;
}

struct ipam_owner cni_job_owner(const struct cni_job *j)
{
	const struct m_cni_del *d = j->body;

	if (j->type == M_CNI_DEL)
		return (struct ipam_owner){ d->network, d->container_id, d->ifname, "", "" };
	const struct m_cni_add *a = j->body;
	return (struct ipam_owner){ a->network, a->container_id, a->ifname, a->namespace_, a->pod };
}

const char *cni_job_container(const struct cni_job *j)
{
	return cni_job_owner(j).container_id;
}

bool cni_job_same_key(const struct cni_job *a, const struct cni_job *b)
{
	struct ipam_owner x = cni_job_owner(a), y = cni_job_owner(b);

	return strcmp(x.container_id, y.container_id) == 0 && strcmp(x.ifname, y.ifname) == 0 &&
	       strcmp(x.network, y.network) == 0;
}

static uint64_t now(void)
{
	return (uint64_t)time(NULL);
}

static void fail(struct cni_job *j, uint32_t code)
{
	j->code = code;
}

static uint32_t code_of(enum ipam_result rc)
{
	switch (rc) {
	case IPAM_OK:
		return 0;
	case IPAM_EXHAUSTED:
	case IPAM_COOLING:
		return CNI_CODE_EXHAUSTED;
	case IPAM_TAKEN:
		return CNI_CODE_TAKEN;
	case IPAM_OUTSIDE:
		return CNI_CODE_OUTSIDE;
	case IPAM_EXISTS:
		return CNI_CODE_EXISTS;
	case IPAM_IO:
		break;
	}
	return CNI_CODE_IO;
}

static void flush_routes(const struct cni_server_conf *c)
{
	for (unsigned i = 0; i < FLUSH_ROUNDS && routes_flush(c->routes, FLUSH_BUDGET); i++)
		;
}

static void set_routes(const struct cni_server_conf *c, const struct addr *addrs, unsigned n,
		       uint32_t ifindex)
{
	for (unsigned i = 0; i < n; i++) {
		struct prefix p = prefix_host(&addrs[i]);

		routes_set_pod(c->routes, &p, ifindex);
	}
}

/* ---- DEL ---- */

static void del_routes(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct endpoint *ep = endpoints_find(c->endpoints, o.network, o.container_id, o.ifname);

	if (ep)
		set_routes(c, ep->addrs, ep->naddrs, 0);
}

static void del_link(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct endpoint *ep = endpoints_find(c->endpoints, o.network, o.container_id, o.ifname);

	/* The interface may be a newer container's of the same pod by now. */
	if (!ep || endpoints_by_host(c->endpoints, ep->host, ep))
		return;
	if (plumb_del(c->nl, ep->host, &j->err) < 0)
		fail(j, CNI_CODE_PLUMB);
}

static void forget(const struct cni_server_conf *c, struct endpoint *ep)
{
	if (c->endpoint_dir >= 0)
		endpoint_file_remove(c->endpoint_dir, ep);
	endpoints_remove(c->endpoints, ep);
}

static void del_release(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);

	if (j->code || !c->ipam)
		return;
	enum ipam_result rc = ipam_release(c->ipam, &o, now(), &j->err);
	if (rc != IPAM_OK)
		fail(j, code_of(rc));
}

static void del_forget(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct endpoint *ep = endpoints_find(c->endpoints, o.network, o.container_id, o.ifname);

	if (!j->code && ep)
		forget(c, ep);
}

/* ---- ADD ---- */

static int check_netns(struct cni_job *j)
{
	int own = plumb_is_own_netns(j->sock, &j->err);

	if (own < 0)
		return -1;
	if (own)
		return err_set(&j->err,
			       "CNI_NETNS %s is the host's own network namespace, not a pod's",
			       add_of(j)->netns);
	return 0;
}

/* READY, but its interface is gone: the runtime makes the same container's network anew. */
static bool may_make_again(const struct cni_server_conf *c, const struct ipam_owner *o)
{
	const struct endpoint *ep =
		endpoints_find(c->endpoints, o->network, o->container_id, o->ifname);

	return !ep || ep->ifindex == 0;
}

/* An older container of the same pod holds an address that this one asks for: it makes room. */
static bool oust_older(const struct cni_server_conf *c, struct cni_job *j)
{
	const struct ipam_want *w = &j->ask.want;
	bool ousted = false;

	for (unsigned i = 0; i < w->naddrs; i++) {
		struct ipam_lease l;
		struct endpoint *ep;
		struct err err;

		if (!ipam_find_addr(c->ipam, &w->addrs[i], &l))
			continue;
		ep = endpoints_find(c->endpoints, l.owner.network, l.owner.container_id,
				    l.owner.ifname);
		if (!ep || strcmp(ep->host, j->host) != 0)
			continue;
		struct ipam_owner o = endpoint_owner(ep);
		set_routes(c, ep->addrs, ep->naddrs, 0);
		if (plumb_del(c->nl, ep->host, &err) < 0 ||
		    ipam_release(c->ipam, &o, now(), &err) != IPAM_OK) {
			log_obj(LOG_WARN, "cni", "container", ep->container_id, "%s", err.text);
			continue;
		}
		forget(c, ep);
		ousted = true;
	}
	return ousted;
}

/* What the owner of the server said of this ADD; true: go on. */
static bool heed(struct cni_job *j, enum cni_turn turn, enum cni_wait wait)
{
	uint32_t code = j->ask.code;

	if (turn == CNI_GO)
		return true;
	if (turn == CNI_WAIT) {
		j->waits = wait;
		j->ask.code = code ? code : CNI_CODE_AGAIN;
	} else {
		fail(j, code ? code : CNI_CODE_NOT_AVAILABLE);
	}
	return false;
}

static bool admit(const struct cni_server_conf *c, struct cni_job *j)
{
	const struct m_cni_add *a = add_of(j);
	struct ipam_want *w = &j->ask.want;

	arena_free(&j->ask_arena);
	j->err = (struct err){ 0 };
	j->ask = (struct cni_ask){ .add = a,
				   .arena = &j->ask_arena,
				   .mac = a->mac,
				   .labels = &a->labels,
				   .err = &j->err };
	if (a->ips.n > 2) {
		err_set(&j->err, "at most one address of each family can be asked for");
		fail(j, CNI_CODE_CONFIG);
		return false;
	}
	w->if_any = 1u << FAM_V4 | 1u << FAM_V6;
	w->naddrs = a->ips.n;
	for (uint32_t i = 0; i < a->ips.n; i++)
		w->addrs[i] = a->ips.v[i];
	return !c->admit || heed(j, c->admit(c->arg, &j->ask), CNI_WAITS_RETRY);
}

/* No address: the owner may know how to come by one. */
static void no_address(const struct cni_server_conf *c, struct cni_job *j, enum ipam_result rc)
{
	unsigned families;

	j->ask.code = code_of(rc);
	if (!c->claim || (rc != IPAM_EXHAUSTED && rc != IPAM_COOLING && rc != IPAM_OUTSIDE)) {
		fail(j, j->ask.code);
		return;
	}
	families = ipam_short_of(c->ipam, &j->ask.want, now());
	if (heed(j, c->claim(c->arg, &j->ask, families), CNI_WAITS_RETRY))
		fail(j, j->ask.code);
}

static enum ipam_result assign(const struct cni_server_conf *c, struct cni_job *j,
			       struct ipam_lease *lease)
{
	struct ipam_owner o = cni_job_owner(j);

	return ipam_assign(c->ipam, &o, &j->ask.want, now(), lease, &j->err);
}

static void add_assign(const struct cni_server_conf *c, struct cni_job *j)
{
	const struct m_cni_add *a = add_of(j);
	struct ipam_owner o = cni_job_owner(j);
	struct ipam_lease lease;

	if (j->settled)
		return;
	if (!c->may_add(c->arg, &j->err)) {
		fail(j, CNI_CODE_NOT_AVAILABLE);
		return;
	}
	if (check_netns(j) < 0) {
		fail(j, CNI_CODE_ENVIRONMENT);
		return;
	}
	plumb_host_ifname(a->namespace_, a->pod, a->container_id, a->ifname, j->host);
	if (!admit(c, j))
		return;
	enum ipam_result rc = assign(c, j, &lease);
	if (rc == IPAM_TAKEN && oust_older(c, j))
		rc = assign(c, j, &lease);
	if (rc == IPAM_EXISTS && may_make_again(c, &o))
		rc = IPAM_OK;
	if (rc != IPAM_OK) {
		no_address(c, j, rc);
		return;
	}
	j->assigned = true;
	j->naddrs = lease.naddrs;
	for (unsigned i = 0; i < lease.naddrs; i++)
		j->addrs[i] = lease.addrs[i];
}

static void add_settle(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct ipam_lease lease;

	if (j->code || j->waits || j->settled || !c->settle || !ipam_find(c->ipam, &o, &lease))
		return;
	j->ask.code = 0;
	j->told = 0;
	j->err = (struct err){ 0 };
	j->settled = heed(j, c->settle(c->arg, &j->ask, &lease), CNI_WAITS_SETTLE);
}

void cni_work_give_up(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct err err;

	j->settled = false;
	j->naddrs = 0;
	if (!j->assigned)
		return;
	j->assigned = false;
	/* Of a container whose network was to be made anew. */
	struct endpoint *ep = endpoints_find(c->endpoints, o.network, o.container_id, o.ifname);
	if (ep)
		forget(c, ep);
	if (ipam_release(c->ipam, &o, now(), &err) != IPAM_OK)
		log_warn("cni", "releasing the address of container %s: %s", o.container_id,
			 err.text);
	if (c->leases_changed)
		c->leases_changed(c->arg);
}

static struct plumb_request plumb_request_of(const struct cni_job *j)
{
	struct plumb_request rq = {
		.pod_sock = j->sock,
		.ifname = add_of(j)->ifname,
		.host_ifname = j->host,
		.naddrs = j->naddrs,
		.mtu = j->mtu,
		.mac = j->type == M_CNI_ADD ? j->ask.mac : add_of(j)->mac,
	};

	for (unsigned i = 0; i < j->naddrs; i++)
		rq.addrs[i] = j->addrs[i];
	return rq;
}

static void add_plumb(const struct cni_server_conf *c, struct cni_job *j)
{
	const struct m_cni_add *a = add_of(j);

	if (j->code || j->waits)
		return;
	j->mtu = a->mtu ? a->mtu : c->mtu(c->arg);
	/* Deleting the older container's interface takes its routes along; they must not come
	 * back. */
	const struct endpoint *older = endpoints_by_host(c->endpoints, j->host, NULL);
	if (older)
		set_routes(c, older->addrs, older->naddrs, 0);
	struct plumb_request rq = plumb_request_of(j);
	if (plumb_add(c->nl, &rq, &j->plumbed, &j->err) < 0) {
		fail(j, CNI_CODE_PLUMB);
		return;
	}
	set_routes(c, j->addrs, j->naddrs, j->plumbed.host_ifindex);
}

/* The older container's lease goes once the newer one has the interface. */
static void release_older(const struct cni_server_conf *c, const struct endpoint *newer)
{
	struct endpoint *old;
	struct err err;

	while ((old = endpoints_by_host(c->endpoints, newer->host, newer))) {
		struct ipam_owner o = endpoint_owner(old);

		log_obj(LOG_INFO, "cni", "container", old->container_id,
			"its interface %s has passed to container %s of the same pod", old->host,
			newer->container_id);
		if (ipam_release(c->ipam, &o, now(), &err) != IPAM_OK)
			log_obj(LOG_ERROR, "cni", "container", old->container_id,
				"its address could not be released: %s", err.text);
		forget(c, old);
	}
}

static void add_ready(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct err err;

	if (j->code || j->waits)
		return;
	struct endpoint *ep =
		endpoints_add(c->endpoints, &o, j->host, j->addrs, j->naddrs, j->ask.labels);
	ep->ifindex = j->plumbed.host_ifindex;
	ep->mtu = j->mtu;
	if (c->endpoint_dir >= 0 && endpoint_file_save(c->endpoint_dir, ep, &err) < 0)
		log_warn("cni", "after a restart of felix this pod is without labels: %s",
			 err.text);
	enum ipam_result rc = ipam_ready(c->ipam, &o, j->host, &j->err);
	if (rc != IPAM_OK) {
		fail(j, code_of(rc));
		return;
	}
	ep->ready = true;
	release_older(c, ep);
}

/* An ADD that failed leaves nothing. */
static void add_undo(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct endpoint *ep = endpoints_find(c->endpoints, o.network, o.container_id, o.ifname);
	struct err err;

	if (!j->code || !j->assigned)
		return;
	set_routes(c, j->addrs, j->naddrs, 0);
	if (j->plumbed.host_ifindex && plumb_del(c->nl, j->host, &err) < 0)
		log_warn("cni", "%s", err.text);
	if (ep)
		forget(c, ep);
	if (ipam_release(c->ipam, &o, now(), &err) != IPAM_OK)
		log_warn("cni", "releasing the address of container %s: %s", o.container_id,
			 err.text);
}

/* ---- CHECK ---- */

static int check_addresses(struct cni_job *j, const struct ipam_lease *l)
{
	const msg_prefix_list *expect = &add_of(j)->expect;
	char text[ADDR_STRLEN];

	for (uint32_t i = 0; i < expect->n; i++) {
		const struct addr *a = &expect->v[i].addr;

		if (!(l->naddrs > 0 && addr_eq(a, &l->addrs[0])) &&
		    !(l->naddrs > 1 && addr_eq(a, &l->addrs[1])))
			return err_set(&j->err,
				       "prevResult names %s, which this container does not hold",
				       addr_format(a, text, sizeof(text)));
	}
	return 0;
}

static void check(const struct cni_server_conf *c, struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	struct ipam_lease l;
	const struct endpoint *ep =
		endpoints_find(c->endpoints, o.network, o.container_id, o.ifname);

	if (!ep || !c->ipam || !ipam_find(c->ipam, &o, &l)) {
		err_set(&j->err, "container %s has no interface %s on network %s here",
			o.container_id, o.ifname, o.network);
		fail(j, CNI_CODE_UNKNOWN_CONTAINER);
		return;
	}
	if (check_netns(j) < 0) {
		fail(j, CNI_CODE_ENVIRONMENT);
		return;
	}
	j->naddrs = ep->naddrs;
	memcpy(j->addrs, ep->addrs, sizeof(j->addrs));
	j->mtu = ep->mtu;
	snprintf(j->host, sizeof(j->host), "%s", ep->host);
	struct plumb_request rq = plumb_request_of(j);
	if (check_addresses(j, &l) < 0 || plumb_check(c->nl, &rq, &j->err) < 0)
		fail(j, CNI_CODE_DIFFERS);
}

/* ---- all of a turn ---- */

static void each(const struct cni_server_conf *c, struct cni_job *const *jobs, unsigned n,
		 enum msg_type type, void (*step)(const struct cni_server_conf *, struct cni_job *))
{
	for (unsigned i = 0; i < n; i++)
		if (jobs[i]->type == type)
			step(c, jobs[i]);
}

static void commit(const struct cni_server_conf *c, struct cni_job *const *jobs, unsigned n)
{
	struct err err;

	if (!c->ipam || ipam_sync_commit(c->ipam, &err) == 0)
		return;
	log_error("cni", "the journal cannot be written: %s", err.text);
	for (unsigned i = 0; i < n; i++) {
		if (jobs[i]->code || jobs[i]->waits || jobs[i]->type == M_CNI_CHECK)
			continue;
		jobs[i]->err = err;
		err_ctx(&jobs[i]->err, "the journal in state.dir cannot be written");
		fail(jobs[i], CNI_CODE_IO);
	}
}

static bool changes_leases(struct cni_job *const *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (jobs[i]->assigned || jobs[i]->type == M_CNI_DEL)
			return true;
	return false;
}

void cni_work(const struct cni_server_conf *c, struct cni_job *const *jobs, unsigned n)
{
	each(c, jobs, n, M_CNI_DEL, del_routes);
	flush_routes(c);
	each(c, jobs, n, M_CNI_DEL, del_link);

	if (c->ipam)
		ipam_sync_begin(c->ipam);
	each(c, jobs, n, M_CNI_DEL, del_release);
	each(c, jobs, n, M_CNI_ADD, add_assign);
	commit(c, jobs, n);
	each(c, jobs, n, M_CNI_DEL, del_forget);
	each(c, jobs, n, M_CNI_ADD, add_settle);

	each(c, jobs, n, M_CNI_ADD, add_plumb);
	flush_routes(c);
	each(c, jobs, n, M_CNI_ADD, add_ready);
	each(c, jobs, n, M_CNI_ADD, add_undo);
	flush_routes(c);
	each(c, jobs, n, M_CNI_CHECK, check);
	if (c->leases_changed && changes_leases(jobs, n))
		c->leases_changed(c->arg);
}
