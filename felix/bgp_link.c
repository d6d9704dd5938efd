#include "config.h"

#include "felix/bgp_link.h"

#include <ev.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <unistd.h>

#include "felix/routes.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/nl.h"

/* Long enough that a burst of route events costs one round of lookups, short beside BGP's own
 * delays. */
static const double recheck_delay = 0.02;

struct tracked {
	struct addr addr;
	bool reachable;
	uint32_t metric;
};

struct bgp_link {
	struct bgp_link_conf c;
	struct ipc *ipc; /* NULL: bgpd is away */
	ev_timer recheck;
	struct tracked *nh;
	unsigned nnh;
};

/* ---- next hops ---- */

struct answer {
	bool found;
	uint32_t metric;
};

static int on_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct answer *a = arg;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	a->found = rtm->rtm_type == RTN_UNICAST || rtm->rtm_type == RTN_LOCAL;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm)) if (mnl_attr_get_type(attr) == RTA_PRIORITY &&
						       mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		a->metric = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

bool bgp_link_lookup(struct nl *nl, const struct addr *a, uint32_t *metric)
{
	struct answer answer = { 0 };
	struct err err;
	void *head;
	struct nlmsghdr *nlh = nl_request(nl, RTM_GETROUTE, 0, sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;

	rtm->rtm_family = (unsigned char)family_af(a->fam);
	rtm->rtm_dst_len = (unsigned char)family_bits(a->fam);
	/* The table's entry, for its metric, not the cache entry made from it. */
	rtm->rtm_flags = RTM_F_FIB_MATCH;
	nl_put_addr(nlh, RTA_DST, a);
	*metric = 0;
	if (nl_get(nl, nlh, on_route, &answer, &err) < 0)
		return false;
	*metric = answer.metric;
	return answer.found;
}

static struct tracked *find_nh(struct bgp_link *b, const struct addr *a)
{
	for (unsigned i = 0; i < b->nnh; i++)
		if (addr_eq(&b->nh[i].addr, a))
			return &b->nh[i];
	return NULL;
}

static void send_nh(struct bgp_link *b, const struct tracked *t)
{
	struct m_nh_state m = { t->addr, t->reachable, t->metric };

	ipc_send(b->ipc, M_NH_STATE, &m);
}

static void track(struct bgp_link *b, const struct m_nh_track *m)
{
	struct tracked *t = find_nh(b, &m->nexthop);

	if (!m->on) {
		if (t)
			*t = b->nh[--b->nnh];
		return;
	}
	if (!t) {
		b->nh = xrealloc(b->nh, (b->nnh + 1) * sizeof(*b->nh));
		t = &b->nh[b->nnh++];
		t->addr = m->nexthop;
	}
	t->reachable = bgp_link_lookup(b->c.nl, &t->addr, &t->metric);
	send_nh(b, t);
}

static void on_recheck(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct bgp_link *b = w->data;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; b->ipc && i < b->nnh; i++) {
		struct tracked was = b->nh[i], *t = &b->nh[i];

		t->reachable = bgp_link_lookup(b->c.nl, &t->addr, &t->metric);
		if (t->reachable != was.reachable || t->metric != was.metric)
			send_nh(b, t);
	}
}

void bgp_link_recheck(struct bgp_link *b)
{
	if (b->nnh > 0 && !ev_is_active(&b->recheck)) {
		ev_timer_set(&b->recheck, recheck_delay, 0.);
		ev_timer_start(b->c.loop, &b->recheck);
	}
}

/* ---- from bgpd ---- */

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct bgp_link *b = arg;
	const struct m_routes *r = m->body;

	(void)ipc;
	switch (m->type) {
	case M_NH_TRACK:
		track(b, m->body);
		return;
	case M_NHG:
		routes_nhg(b->c.routes, m->body);
		break;
	case M_NHG_DEL:
		routes_nhg_del(b->c.routes, ((const struct m_nhg_del *)m->body)->id);
		break;
	case M_ROUTES:
		routes_learned(b->c.routes, r->nhg, r->prefixes.v, r->prefixes.n);
		break;
	case M_ROUTES_END:
		routes_sweep(b->c.routes);
		break;
	default:
		log_warn("bgp", "bgpd sent %s, which felix does not serve", msg_name(m->type));
		return;
	}
	b->c.routes_dirty(b->c.arg);
}

static void drop_channel(struct bgp_link *b)
{
	ipc_free(b->ipc);
	b->ipc = NULL;
	b->nnh = 0;
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct bgp_link *b = arg;

	(void)ipc;
	/* What was learned stays in the kernel until the next bgpd has said what holds. */
	log_info("bgp", "bgpd is away: %s; learned routes stay", why->text);
	drop_channel(b);
	routes_bgpd_reset(b->c.routes);
	b->c.routes_dirty(b->c.arg);
}

static const struct ipc_ops channel_ops = { .on_msg = on_msg, .on_close = on_close };

/* ---- to bgpd ---- */

static void send_iface(void *arg, const struct link *l)
{
	struct bgp_link *b = arg;
	struct m_iface m = { .ifindex = l->ifindex, .name = l->name, .up = l->up };

	m.addresses.n = l->naddrs;
	m.addresses.v = l->addrs;
	ipc_send(b->ipc, M_IFACE, &m);
}

void bgp_link_channel(struct bgp_link *b, int fd)
{
	if (b->ipc) {
		drop_channel(b);
		routes_bgpd_reset(b->c.routes);
	}
	b->ipc = ipc_new(b->c.loop, fd, &channel_ops, b);
	bgp_link_config(b);
	b->c.each_link(b->c.arg, send_iface, b);
	ipc_send(b->ipc, M_IFACE_SYNC, NULL);
}

void bgp_link_config(struct bgp_link *b)
{
	if (b->ipc && !b->c.send_config(b->c.arg, b->ipc))
		log_debug("bgp", "no configuration for bgpd yet");
}

void bgp_link_iface(struct bgp_link *b, const struct link *l)
{
	if (b->ipc)
		send_iface(b, l);
}

void bgp_link_iface_gone(struct bgp_link *b, uint32_t ifindex)
{
	struct m_iface_gone m = { ifindex };

	if (b->ipc)
		ipc_send(b->ipc, M_IFACE_GONE, &m);
}

void bgp_link_failed(struct bgp_link *b, const struct prefix *p, unsigned n, const char *why)
{
	for (unsigned at = 0; b->ipc && at < n; at += IPC_BATCH) {
		struct m_routes_failed m = { .reason = why };

		m.prefixes.n = n - at < IPC_BATCH ? n - at : IPC_BATCH;
		m.prefixes.v = (struct prefix *)p + at;
		ipc_send(b->ipc, M_ROUTES_FAILED, &m);
	}
}

struct bgp_link *bgp_link_new(const struct bgp_link_conf *conf)
{
	struct bgp_link *b = xcalloc(1, sizeof(*b));

	b->c = *conf;
	ev_timer_init(&b->recheck, on_recheck, recheck_delay, 0.);
	b->recheck.data = b;
	return b;
}

void bgp_link_free(struct bgp_link *b)
{
	if (!b)
		return;
	ev_timer_stop(b->c.loop, &b->recheck);
	drop_channel(b);
	free(b->nh);
	free(b);
}
