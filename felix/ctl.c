#include "config.h"

#include "felix/ctl.h"

#include <ev.h>
#include <stdlib.h>
#include <time.h>

#include "felix/routes.h"
#include "lib/ipc.h"
#include "lib/log.h"

LIST_HEAD(ctl_clients, ctl_client);

struct ctl_client {
	LIST_ENTRY(ctl_client) next;
	struct ctl *c;
	struct ipc *ipc;
	struct ipam_report *report; /* under way; NULL none */
	bool readonly;
};

struct ctl {
	struct ctl_conf c;
	struct ctl_clients clients;
};

static void send_status(struct ctl *c, struct ipc *ipc)
{
	struct arena arena = { 0 };
	struct m_ctl_felix row = { 0 };
	struct routes_stats stats;

	routes_stats(c->c.routes, &stats);
	row.routes_learned = stats.learned;
	row.routes_local = stats.local;
	endpoints_count(c->c.endpoints, &row.endpoints, &row.endpoints_ready);
	c->c.status(c->c.arg, &row, &arena);
	ipc_send(ipc, M_CTL_FELIX, &row);
	arena_free(&arena);
}

static uint64_t used_in_pool(struct ipam *ipam, const struct prefix *pool)
{
	struct ipam_block_use use;
	uint64_t used = 0;

	for (unsigned i = 0; ipam && i < ipam_block_count(ipam); i++) {
		ipam_block_use(ipam, i, 0, &use);
		if (prefix_covers(pool, &use.cidr))
			used += use.used;
	}
	return used;
}

static void send_blocks(struct ctl *c, struct ipc *ipc)
{
	struct ipam *ipam = c->c.ipam(c->c.arg);

	for (unsigned i = 0; ipam && i < ipam_block_count(ipam); i++) {
		struct ipam_block_use use;

		ipam_block_use(ipam, i, (uint64_t)time(NULL), &use);
		struct m_ctl_block row = { use.cidr, use.size, use.used, use.free, use.cooling };
		ipc_send(ipc, M_CTL_BLOCK, &row);
	}
}

static void send_ipam(struct ctl *c, struct ipc *ipc)
{
	struct store *store = c->c.store(c->c.arg);
	struct ipam *ipam = c->c.ipam(c->c.arg);
	unsigned n = 0;
	const struct object *const *pools = store ? store_list(store, KIND_IPPOOL, &n) : NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct spec_ippool *p = pools[i]->spec;
		struct m_ctl_pool row = { .cidr = p->cidr,
					  .name = pools[i]->name,
					  .size = prefix_size(&p->cidr),
					  .used = used_in_pool(ipam, &p->cidr) };

		ipc_send(ipc, M_CTL_POOL, &row);
	}
	send_blocks(c, ipc);
}

static void send_endpoints(struct ctl *c, struct ipc *ipc)
{
	struct arena arena = { 0 };

	for (const struct endpoint *ep = endpoints_first(c->c.endpoints); ep;
	     ep = TAILQ_NEXT(ep, next)) {
		struct m_ctl_endpoint row = endpoint_row(ep, &arena);

		ipc_send(ipc, M_CTL_ENDPOINT, &row);
		arena_reset(&arena);
	}
	arena_free(&arena);
}

static void refuse(struct ipc *ipc, const char *text)
{
	struct m_ctl_error e = { text };

	ipc_send(ipc, M_CTL_ERROR, &e);
}

static void report_done(void *arg)
{
	((struct ctl_client *)arg)->report = NULL;
}

static void start_report(struct ctl_client *cl, const struct m_ctl_query *q)
{
	struct ipam_report_conf conf = { 0 };
	struct err err;
	bool there = cl->c->c.report(cl->c->c.arg, &conf, &err);

	/* What this node knows by itself is shown at any time. */
	if (q->what == CTL_IPAM_ALL && !conf.claims) {
		send_ipam(cl->c, cl->ipc);
		ipc_send(cl->ipc, M_CTL_END, NULL);
		return;
	}
	if (cl->report)
		refuse(cl->ipc, "one question at a time");
	else if (q->what == CTL_IPAM_RELEASE && cl->readonly)
		refuse(cl->ipc, "ipam release changes something: run it as root");
	else if (!there)
		refuse(cl->ipc, err.text);
	else {
		if (q->what == CTL_IPAM_ALL)
			send_blocks(cl->c, cl->ipc);
		cl->report = ipam_report_start(&conf, cl->ipc, q->what, q->name, report_done, cl);
	}
}

static void answer(struct ctl_client *cl, const struct m_ctl_query *q)
{
	struct ctl *c = cl->c;
	struct ipc *ipc = cl->ipc;

	switch (q->what) {
	case CTL_STATUS:
		send_status(c, ipc);
		send_ipam(c, ipc);
		break;
	case CTL_IPAM:
		send_ipam(c, ipc);
		break;
	case CTL_ENDPOINTS:
		send_endpoints(c, ipc);
		break;
	case CTL_IPAM_ALL:
	case CTL_IPAM_CHECK:
	case CTL_IPAM_RELEASE:
		start_report(cl, q);
		return;
	default:
		refuse(ipc, "felix does not answer this question; nodectl and felix differ in "
			    "version");
		return;
	}
	ipc_send(ipc, M_CTL_END, NULL);
}

static void client_free(struct ctl_client *cl)
{
	LIST_REMOVE(cl, next);
	if (cl->report)
		ipam_report_cancel(cl->report);
	ipc_free(cl->ipc);
	free(cl);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct ctl_client *cl = arg;

	(void)ipc;
	if (m->type == M_CTL_QUERY) {
		answer(cl, m->body);
		return;
	}
	log_warn("ctl", "a control client sent %s; dropped", msg_name(m->type));
	client_free(cl);
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	(void)ipc;
	(void)why;
	client_free(arg);
}

static const struct ipc_ops client_ops = { .on_msg = on_msg, .on_close = on_close };

struct ctl *ctl_new(const struct ctl_conf *conf)
{
	struct ctl *c = xcalloc(1, sizeof(*c));

	c->c = *conf;
	LIST_INIT(&c->clients);
	return c;
}

void ctl_client(struct ctl *c, int fd, bool readonly)
{
	struct ctl_client *cl = xcalloc(1, sizeof(*cl));

	cl->c = c;
	cl->readonly = readonly;
	cl->ipc = ipc_new(c->c.loop, fd, &client_ops, cl);
	LIST_INSERT_HEAD(&c->clients, cl, next);
}

void ctl_free(struct ctl *c)
{
	struct ctl_client *cl;

	if (!c)
		return;
	while ((cl = LIST_FIRST(&c->clients)))
		client_free(cl);
	free(c);
}
