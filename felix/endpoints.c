#include "config.h"

#include "felix/endpoints.h"

#include <stdlib.h>
#include <string.h>

TAILQ_HEAD(endpoint_list, endpoint);

struct endpoints {
	struct endpoint_list list;
};

struct endpoints *endpoints_new(void)
{
	struct endpoints *t = xcalloc(1, sizeof(*t));

	TAILQ_INIT(&t->list);
	return t;
}

void endpoints_free(struct endpoints *t)
{
	struct endpoint *ep;

	if (!t)
		return;
	while ((ep = TAILQ_FIRST(&t->list)))
		endpoints_remove(t, ep);
	free(t);
}

void endpoints_remove(struct endpoints *t, struct endpoint *ep)
{
	TAILQ_REMOVE(&t->list, ep, next);
	arena_free(&ep->arena);
	free(ep);
}

static const char *dup_text(struct arena *a, const char *text)
{
	return arena_strdup(a, text ? text : "");
}

static void copy_labels(struct endpoint *ep, const msg_kv_list *labels)
{
	if (!labels || labels->n == 0)
		return;
	ep->labels.n = labels->n;
	ep->labels.v = arena_array(&ep->arena, labels->n, sizeof(*labels->v));
	for (uint32_t i = 0; i < labels->n; i++) {
		ep->labels.v[i].key = dup_text(&ep->arena, labels->v[i].key);
		ep->labels.v[i].value = dup_text(&ep->arena, labels->v[i].value);
	}
}

struct endpoint *endpoints_add(struct endpoints *t, const struct ipam_owner *owner,
			       const char *host, const struct addr *addrs, unsigned naddrs,
			       const msg_kv_list *labels)
{
	struct endpoint *ep = xcalloc(1, sizeof(*ep));
	struct endpoint *old =
		endpoints_find(t, owner->network, owner->container_id, owner->ifname);

	ep->network = dup_text(&ep->arena, owner->network);
	ep->container_id = dup_text(&ep->arena, owner->container_id);
	ep->ifname = dup_text(&ep->arena, owner->ifname);
	ep->namespace_ = dup_text(&ep->arena, owner->namespace_);
	ep->name = dup_text(&ep->arena, owner->pod);
	ep->host = dup_text(&ep->arena, host);
	ep->naddrs = naddrs;
	for (unsigned i = 0; i < naddrs; i++)
		ep->addrs[i] = addrs[i];
	copy_labels(ep, labels);
	if (old)
		endpoints_remove(t, old);
	TAILQ_INSERT_TAIL(&t->list, ep, next);
	return ep;
}

struct endpoint *endpoints_find(const struct endpoints *t, const char *network,
				const char *container_id, const char *ifname)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &t->list, next)
	if (strcmp(ep->container_id, container_id) == 0 && strcmp(ep->ifname, ifname) == 0 &&
	    strcmp(ep->network, network) == 0)
		return ep;
	return NULL;
}

struct endpoint *endpoints_by_host(const struct endpoints *t, const char *host,
				   const struct endpoint *except)
{
	struct endpoint *ep;

	TAILQ_FOREACH_REVERSE(ep, &t->list, endpoint_list, next)
	if (ep != except && strcmp(ep->host, host) == 0)
		return ep;
	return NULL;
}

struct endpoint *endpoints_first(const struct endpoints *t)
{
	return TAILQ_FIRST(&t->list);
}

void endpoints_count(const struct endpoints *t, uint32_t *total, uint32_t *ready)
{
	struct endpoint *ep;

	*total = *ready = 0;
	TAILQ_FOREACH(ep, &t->list, next)
	{
		++*total;
		*ready += ep->ready;
	}
}

struct ipam_owner endpoint_owner(const struct endpoint *ep)
{
	return (struct ipam_owner){ ep->network, ep->container_id, ep->ifname, ep->namespace_,
				    ep->name };
}

struct m_ctl_endpoint endpoint_row(const struct endpoint *ep, struct arena *arena)
{
	struct m_ctl_endpoint row = {
		.namespace_ = ep->namespace_,
		.name = ep->name,
		.container_id = ep->container_id,
		.ifname = ep->ifname,
		.host = ep->host,
		.network = ep->network,
		.labels = ep->labels,
		.ready = ep->ready,
	};

	row.addresses.n = ep->naddrs;
	row.addresses.v = arena_array(arena, ep->naddrs + 1, sizeof(*row.addresses.v));
	for (unsigned i = 0; i < ep->naddrs; i++)
		row.addresses.v[i] = prefix_host(&ep->addrs[i]);
	return row;
}
