#include "config.h"

#include "bgpd/felix_link.h"

#include <ev.h>
#include <stdlib.h>

#include "bgpd/conf.h"
#include "bgpd/peer.h"
#include "lib/ipc.h"
#include "lib/log.h"

/* How long M_ROUTES_END waits for a configured peer that is not there: longer where an earlier bgpd
 * may have had it. And for one that is established but sends a long table. */
enum { WAIT_FIRST_MS = 5000, WAIT_RESTART_MS = 10000, WAIT_TABLE_MS = 60000 };

enum nh_where { NH_UNKNOWN, NH_LINK, NH_FELIX };

struct nexthop {
	struct addr addr;
	uint32_t ifindex;
	enum nh_where where;
	bool unanswered;
};

struct felix_link {
	struct bgpd *b;
	struct ipc *ipc; /* NULL: felix is away */
	ev_timer tick;	 /* until M_ROUTES_END has gone */
	bool ended, blocked, unanswered;
	struct nexthop *nh;
	unsigned n, cap;
	uint32_t group; /* of the gathered prefixes */
	unsigned gathered;
	struct prefix prefixes[IPC_BATCH];
};

/* ---- out ---- */

static void send_gathered(struct felix_link *f)
{
	if (!f->gathered)
		return;
	struct m_routes m = { .nhg = f->group };
	m.prefixes.n = f->gathered;
	m.prefixes.v = f->prefixes;
	if (f->ipc)
		ipc_send(f->ipc, M_ROUTES, &m);
	f->gathered = 0;
}

static struct felix_link *of(void *arg)
{
	return ((struct bgpd *)arg)->felix;
}

void felix_link_routes(void *arg, uint32_t group, const struct prefix *p, unsigned n)
{
	struct felix_link *f = of(arg);
	if (!f->ipc) /* a new channel gets everything */
		return;
	if (group != f->group)
		send_gathered(f);
	f->group = group;
	for (unsigned k = 0; k < n; k++) {
		f->prefixes[f->gathered++] = p[k];
		if (f->gathered == IPC_BATCH)
			send_gathered(f);
	}
}

void felix_link_group_set(void *arg, uint32_t id, const struct rib_nexthop *nh, unsigned n)
{
	struct felix_link *f = of(arg);
	if (!f->ipc)
		return;
	send_gathered(f);
	struct m_nexthop *v = xcalloc(n ? n : 1, sizeof(*v));
	for (unsigned k = 0; k < n; k++)
		v[k] = (struct m_nexthop){ nh[k].gateway, nh[k].ifindex, nh[k].weight };
	struct m_nhg m = { .id = id };
	m.nexthops.n = n;
	m.nexthops.v = v;
	ipc_send(f->ipc, M_NHG, &m);
	free(v);
}

void felix_link_group_del(void *arg, uint32_t id)
{
	struct felix_link *f = of(arg);
	if (!f->ipc)
		return;
	send_gathered(f);
	ipc_send(f->ipc, M_NHG_DEL, &(struct m_nhg_del){ .id = id });
}

bool felix_link_may_install(void *arg)
{
	struct felix_link *f = of(arg);
	if (!f->ipc || ipc_backlog(f->ipc) < IPC_HIGH)
		return true;
	f->blocked = true;
	return false;
}

/* ---- next hops ---- */

static void ask_felix(struct felix_link *f, const struct addr *nh, bool on)
{
	if (f->ipc)
		ipc_send(f->ipc, M_NH_TRACK, &(struct m_nh_track){ .nexthop = *nh, .on = on });
}

static struct nexthop *find_nh(struct felix_link *f, const struct addr *a, uint32_t ifindex)
{
	for (unsigned k = 0; k < f->n; k++)
		if (f->nh[k].ifindex == ifindex && addr_eq(&f->nh[k].addr, a))
			return &f->nh[k];
	return NULL;
}

void felix_link_track(void *arg, const struct addr *nh, uint32_t ifindex, bool on)
{
	struct felix_link *f = of(arg);
	struct nexthop *h = find_nh(f, nh, ifindex);
	if (on && !h) {
		if (f->n == f->cap) {
			f->cap = f->cap ? f->cap * 2 : 16;
			f->nh = xrealloc(f->nh, f->cap * sizeof(*f->nh));
		}
		/* answered between two runs of the RIB, not from inside one */
		f->nh[f->n++] = (struct nexthop){ *nh, ifindex, NH_UNKNOWN, true };
		f->unanswered = true;
	} else if (!on && h) {
		if (h->where == NH_FELIX)
			ask_felix(f, nh, false);
		*h = f->nh[--f->n];
	}
}

static void answer(struct felix_link *f, struct nexthop h)
{
	const struct iface *i = ifaces_link_of(&f->b->ifaces, &h.addr, h.ifindex);
	bool local = h.addr.fam == FAM_V6 && addr_is_linklocal(&h.addr);
	enum nh_where where = i || local ? NH_LINK : NH_FELIX;
	if (h.where == NH_FELIX && where == NH_FELIX)
		return;
	struct nexthop *now = find_nh(f, &h.addr, h.ifindex);
	now->where = where;
	if (where == NH_FELIX)
		ask_felix(f, &h.addr, true);
	else if (h.where == NH_FELIX)
		ask_felix(f, &h.addr, false);
	rib_nexthop_state(f->b->rib, &h.addr, h.ifindex, i != NULL, 0);
}

void felix_link_answer(struct felix_link *f)
{
	if (!f->unanswered || !f->b->rib || !f->b->ifaces_known)
		return;
	f->unanswered = false;
	for (unsigned k = 0; k < f->n; k++) {
		if (!f->nh[k].unanswered)
			continue;
		f->nh[k].unanswered = false;
		answer(f, f->nh[k]);
	}
}

static void links_changed(struct felix_link *f)
{
	for (unsigned k = 0; k < f->n; k++)
		f->nh[k].unanswered = true;
	f->unanswered = f->n > 0;
	felix_link_answer(f);
}

/* ---- in ---- */

static void iface_changed(struct felix_link *f, uint32_t ifindex)
{
	links_changed(f);
	for (struct peer *p = f->b->peers, *next; p; p = next) {
		next = p->next;
		peer_iface_changed(p, ifindex);
	}
}

static void all_ifaces_known(struct felix_link *f)
{
	struct bgpd *b = f->b;
	b->ifaces_known = true;
	if (ifaces_sweep(&b->ifaces))
		for (struct peer *p = b->peers; p; p = p->next)
			if (p->ifindex && !ifaces_by_index(&b->ifaces, p->ifindex))
				peer_iface_changed(p, p->ifindex);
	links_changed(f);
	for (struct peer *p = b->peers; p; p = p->next)
		peer_start(p);
	bgpd_update_ready(b);
}

static void nh_state(struct felix_link *f, const struct m_nh_state *m)
{
	const struct nexthop *h = find_nh(f, &m->nexthop, 0);
	if (h && h->where == NH_FELIX)
		rib_nexthop_state(f->b->rib, &m->nexthop, 0, m->reachable, m->metric);
}

static void routes_failed(struct felix_link *f, const struct m_routes_failed *m)
{
	char text[PREFIX_STRLEN];
	if (!m->prefixes.n || !f->b->rib)
		return;
	log_warn("felix", "the kernel refused %u routes, %s the first: %s", m->prefixes.n,
		 prefix_format(&m->prefixes.v[0], text, sizeof(text)), m->reason);
	rib_install_failed(f->b->rib, m->prefixes.v, m->prefixes.n);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct felix_link *f = arg;
	const void *body = m->body;
	(void)ipc;
	switch (m->type) {
	case M_BGP_BEGIN:
	case M_BGP_PEER:
	case M_BGP_ORIGIN:
	case M_BGP_POOLS:
	case M_BGP_END:
		config_msg(f->b->config, m);
		break;
	case M_IFACE:
		ifaces_set(&f->b->ifaces, body);
		iface_changed(f, ((const struct m_iface *)body)->ifindex);
		break;
	case M_IFACE_GONE:
		ifaces_del(&f->b->ifaces, ((const struct m_iface_gone *)body)->ifindex);
		iface_changed(f, ((const struct m_iface_gone *)body)->ifindex);
		break;
	case M_IFACE_SYNC:
		all_ifaces_known(f);
		break;
	case M_NH_STATE:
		nh_state(f, body);
		break;
	case M_ROUTES_FAILED:
		routes_failed(f, body);
		break;
	default:
		log_error("felix", "%s is nothing that felix sends: left out", msg_name(m->type));
	}
}

void felix_link_hang_up(struct felix_link *f)
{
	ipc_free(f->ipc);
	f->ipc = NULL;
	f->gathered = 0;
	ev_timer_stop(f->b->loop, &f->tick);
	config_abort(f->b->config);
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct felix_link *f = arg;
	(void)ipc;
	log_warn("felix", "the channel to felix ended: %s; sessions go on", why->text);
	felix_link_hang_up(f);
}

static void on_drain(struct ipc *ipc, void *arg)
{
	struct felix_link *f = arg;
	(void)ipc;
	bgpd_wake(f->b);
}

static const struct ipc_ops ops = { on_msg, on_close, on_drain };

/* Its only work is to turn the loop: felix_link_turn() looks at the clock. */
static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
}

struct felix_link *felix_link_new(struct bgpd *b)
{
	struct felix_link *f = xcalloc(1, sizeof(*f));
	f->b = b;
	ev_timer_init(&f->tick, on_tick, 0.25, 0.25);
	return f;
}

void felix_link_channel(struct felix_link *f, int fd)
{
	felix_link_hang_up(f);
	f->ipc = ipc_new(f->b->loop, fd, &ops, f);
	f->ended = false;
	ev_timer_start(f->b->loop, &f->tick);
	ifaces_stale(&f->b->ifaces);
	for (unsigned k = 0; k < f->n; k++)
		if (f->nh[k].where == NH_FELIX)
			ask_felix(f, &f->nh[k].addr, true);
	if (f->b->rib)
		rib_resend(f->b->rib);
	bgpd_wake(f->b);
}

void felix_link_free(struct felix_link *f)
{
	felix_link_hang_up(f);
	free(f->nh);
	free(f);
}

/* ---- the end of the first round ---- */

static bool converged(struct bgpd *b)
{
	uint64_t now = bgpd_now(), age = now - b->configured_at;
	uint64_t wait = b->restarted ? WAIT_RESTART_MS : WAIT_FIRST_MS;
	if (!b->configured_at || !b->ifaces_known)
		return false;
	if (b->converged)
		return true;
	for (const struct peer *p = b->peers; p; p = p->next)
		if (!peer_synced(p, now) && age < (p->session ? (uint64_t)WAIT_TABLE_MS : wait))
			return false;
	return true;
}

bool felix_link_turn(struct felix_link *f, bool idle)
{
	bool blocked = f->blocked;
	f->blocked = false;
	send_gathered(f);
	if (!f->ended && f->ipc && idle && !f->unanswered && converged(f->b)) {
		ipc_send(f->ipc, M_ROUTES_END, NULL);
		f->ended = f->b->converged = true;
		ev_timer_stop(f->b->loop, &f->tick);
		log_info("felix", "all learned routes are told");
	}
	return blocked;
}
