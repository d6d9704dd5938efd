#include "config.h"

#include "felix/felix_impl.h"

#include <linux/rtnetlink.h>
#include <string.h>

#include "felix/claims.h"
#include "lib/log.h"

/* Interfaces change in bursts; the node's own address is looked for once they are quiet. */
static const double settle_delay = 0.1;

/* Pods' interfaces are felix's alone: a node with 250 pods has two uplinks. */
bool felix_is_pod_link(const struct link *l)
{
	return strncmp(l->name, "cali", 4) == 0;
}

struct link_filter {
	void (*cb)(void *cb_arg, const struct link *l);
	void *cb_arg;
};

static void pass_link(void *arg, const struct link *l)
{
	const struct link_filter *lf = arg;

	if (!felix_is_pod_link(l))
		lf->cb(lf->cb_arg, l);
}

void felix_each_link(void *arg, void (*cb)(void *cb_arg, const struct link *l), void *cb_arg)
{
	struct felix *f = arg;
	struct link_filter lf = { cb, cb_arg };

	links_each(f->links, pass_link, &lf);
}

/* ---- the kernel ---- */

bool felix_find_addresses(struct felix *f)
{
	struct prefix out[2];
	struct err err = { 0 };
	int n = links_node_addresses(f->links, f->nl, f->child.conf, out, &err);

	if (n < 0)
		n = 0;
	bool changed = (unsigned)n != f->naddrs;
	for (int i = 0; i < n && !changed; i++)
		changed = !prefix_eq(&out[i], &f->addrs[i]);
	for (int i = 0; i < n; i++)
		f->addrs[i] = out[i];
	f->naddrs = (unsigned)n;
	felix_set_why(f, f->address_why,
		      n > 0	  ? ""
		      : *err.text ? err.text
				  : "the node has no address of its own");
	return changed;
}

static void on_settle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct felix *f = w->data;

	(void)loop;
	(void)revents;
	if (felix_find_addresses(f)) {
		if (f->claims)
			claims_update(f->claims, f->addrs, f->naddrs);
		felix_recompute(f);
	}
}

static void links_changed(struct felix *f)
{
	if (!f->up)
		return;
	ev_timer_stop(f->child.loop, &f->settle);
	ev_timer_set(&f->settle, settle_delay, 0.);
	ev_timer_start(f->child.loop, &f->settle);
	bgp_link_recheck(f->bgp);
	felix_routes_dirty(f);
}

static void on_link(void *arg, const struct link *l)
{
	struct felix *f = arg;

	if (felix_is_pod_link(l))
		return;
	if (f->bgp)
		bgp_link_iface(f->bgp, l);
	links_changed(f);
}

static void on_link_gone(void *arg, uint32_t ifindex, const char *name)
{
	struct felix *f = arg;

	for (struct endpoint *ep = f->endpoints ? endpoints_first(f->endpoints) : NULL; ep;
	     ep = TAILQ_NEXT(ep, next)) {
		if (ep->ifindex != ifindex)
			continue;
		log_obj(LOG_INFO, "endpoints", "container", ep->container_id,
			"its interface %s is gone", name);
		ep->ifindex = 0;
		ep->ready = false;
		for (unsigned i = 0; i < ep->naddrs; i++) {
			struct prefix p = prefix_host(&ep->addrs[i]);

			routes_set_pod(f->routes, &p, 0);
		}
		felix_routes_dirty(f);
		return;
	}
	/* A pod's link is nothing to bgpd and holds no address of the node. */
	if (!strncmp(name, "cali", 4))
		return;
	if (f->bgp)
		bgp_link_iface_gone(f->bgp, ifindex);
	links_changed(f);
}

static const struct links_ops links_ops = { .on_link = on_link, .on_gone = on_link_gone };

static void on_event(void *arg, const struct nlmsghdr *nlh)
{
	struct felix *f = arg;

	links_on_event(f->links, nlh);
	routes_on_event(f->routes, nlh);
	felix_routes_dirty(f);
	if (nlh->nlmsg_type == RTM_NEWROUTE || nlh->nlmsg_type == RTM_DELROUTE)
		bgp_link_recheck(f->bgp);
}

static void on_lost(void *arg)
{
	struct felix *f = arg;
	struct err err;

	log_warn("felix", "events of the kernel were lost; reading everything again");
	if (links_resync(f->links, &err) < 0)
		log_error("felix", "%s", err.text);
	routes_resync(f->routes);
	links_changed(f);
}

static const struct nl_events_ops events_ops = { .on_event = on_event, .on_lost = on_lost };

static const int groups[] = { RTNLGRP_LINK,
			      RTNLGRP_IPV4_IFADDR,
			      RTNLGRP_IPV6_IFADDR,
			      RTNLGRP_IPV4_ROUTE,
			      RTNLGRP_IPV6_ROUTE,
			      RTNLGRP_NEXTHOP,
			      0 };

int felix_open_kernel(struct felix *f, struct err *err)
{
	f->nl = nl_open(NETLINK_ROUTE, err);
	if (!f->nl)
		return -1;
	ev_timer_init(&f->settle, on_settle, settle_delay, 0.);
	f->settle.data = f;
	/* Events first: what changes during the dumps is not missed. */
	f->events = nl_events_open(f->child.loop, NETLINK_ROUTE, groups, nl_portid(f->nl),
				   &events_ops, f, err);
	if (!f->events)
		return -1;
	f->links = links_new(f->nl, &links_ops, f, err);
	return f->links ? 0 : -1;
}
