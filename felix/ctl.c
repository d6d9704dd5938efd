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
	for (unsigned i = 0; ipam && i < ipam_block_count(ipam); i++) {
		struct ipam_block_use use;

		ipam_block_use(ipam, i, (uint64_t)time(NULL), &use);
		struct m_ctl_block row = { use.cidr, use.size, use.used, use.free, use.cooling };
		ipc_send(ipc, M_CTL_BLOCK, &row);
	}
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

static void answer(struct ctl *c, struct ipc *ipc, const struct m_ctl_query *q)
{
	static const struct m_ctl_error unknown = {
		"felix does not answer this question; nodectl and "
		"felix differ in version"
	};

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
	default:
		ipc_send(ipc, M_CTL_ERROR, &unknown);
		return;
	}
	ipc_send(ipc, M_CTL_END, NULL);
}

static void client_free(struct ctl_client *cl)
{
	LIST_REMOVE(cl, next);
	ipc_free(cl->ipc);
	free(cl);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct ctl_client *cl = arg;

	if (m->type == M_CTL_QUERY) {
		answer(cl->c, ipc, m->body);
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

void ctl_client(struct ctl *c, int fd)
{
	struct ctl_client *cl = xcalloc(1, sizeof(*cl));

	cl->c = c;
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
