#include "config.h"

#include "bgpd/peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bgpd/ctl.h"
#include "bgpd/listener.h"
#include "bgpd/session.h"
#include "bgpd/transmit.h"
#include "lib/log.h"

enum {
	SYNC_WITHOUT_EOR_MS = 3000,
	AFTER_COLLISION_MS = 1000,
	AFTER_RESET_MS = 500,
	TELLING_MS = 120000
};

static void start(struct peer *p, uint32_t delay_ms);

/* ---- configuration ---- */

static void conf_copy(struct m_bgp_peer *to, const struct m_bgp_peer *from)
{
	*to = *from;
	to->name = xstrdup(from->name);
	to->interface = xstrdup(from->interface);
	to->password = xstrdup(from->password);
}

static void conf_free(struct m_bgp_peer *conf)
{
	free((char *)conf->name);
	free((char *)conf->interface);
	explicit_bzero((char *)conf->password, strlen(conf->password));
	free((char *)conf->password);
}

/* The address may be another peer's by now, with that one's key. */
static void drop_password(const struct peer *p)
{
	for (const struct peer *o = p->b->peers; o; o = o->next)
		if (o != p && addr_eq(&o->conf.address, &p->conf.address))
			return;
	listeners_password(p->b->listeners, &p->conf.address, "");
}

static void tell_listeners(struct peer *p)
{
	int rc = listeners_password(p->b->listeners, &p->conf.address, p->conf.password);
	p->unkeyed = rc < 0 && p->conf.password[0];
	if (p->conf.ttl_security)
		listeners_gtsm(p->b->listeners, p->conf.address.fam);
}

struct peer *peer_new(struct bgpd *b, const struct m_bgp_peer *conf)
{
	struct peer *p = xcalloc(1, sizeof(*p));
	struct peer **at = &b->peers;
	conf_copy(&p->conf, conf);
	p->b = b;
	p->since = bgpd_wall();
	while (*at)
		at = &(*at)->next;
	*at = p;
	tell_listeners(p);
	return p;
}

void peer_free(struct peer *p)
{
	struct peer **at = &p->b->peers;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	drop_password(p);
	conn_free_retired(p->b);
	conf_free(&p->conf);
	free(p);
}

/* What only counts for the next attempt, or for nodectl, needs no reset: type, connect_retry. */
bool peer_conf_needs_reset(const struct m_bgp_peer *a, const struct m_bgp_peer *b)
{
	return !addr_eq(&a->address, &b->address) || strcmp(a->interface, b->interface) != 0 ||
	       a->port != b->port || a->asn != b->asn || a->local_asn != b->local_asn ||
	       a->hold_time != b->hold_time || a->keepalive != b->keepalive ||
	       a->nexthop_mode != b->nexthop_mode || !addr_eq(&a->source, &b->source) ||
	       a->ttl_security != b->ttl_security || a->allowed_own_as != b->allowed_own_as ||
	       strcmp(a->password, b->password) != 0 || a->restart_time != b->restart_time ||
	       a->max_prefixes != b->max_prefixes || a->passive != b->passive ||
	       a->reflector_client != b->reflector_client;
}

void peer_set_conf(struct peer *p, const struct m_bgp_peer *conf, bool force)
{
	if (!force && !peer_conf_needs_reset(&p->conf, conf)) {
		p->conf.type = conf->type;
		p->conf.connect_retry = conf->connect_retry;
		return;
	}
	peer_stop(p, BERR_CEASE, CEASE_CONFIG, "its configuration changed");
	if (!addr_eq(&p->conf.address, &conf->address))
		drop_password(p);
	struct m_bgp_peer old = p->conf;
	conf_copy(&p->conf, conf);
	conf_free(&old);
	p->backoff.failures = 0;
	p->refuse_until = p->telling_until = 0;
	tell_listeners(p);
	/* not before the peer has seen the end of the old session */
	start(p, AFTER_RESET_MS);
}

/* ---- what it is ---- */

struct peer *peer_by_name(const struct bgpd *b, const char *name)
{
	for (struct peer *p = b->peers; p; p = p->next)
		if (!strcmp(p->conf.name, name))
			return p;
	return NULL;
}

struct peer *peer_by_address(const struct bgpd *b, const struct addr *a, uint32_t ifindex)
{
	bool local = a->fam == FAM_V6 && addr_is_linklocal(a);
	for (struct peer *p = b->peers; p; p = p->next) {
		if (p->conf.address.fam ? !addr_eq(&p->conf.address, a) : !local)
			continue;
		if (!local || peer_scope(p) == ifindex)
			return p;
	}
	return NULL;
}

enum fsm_state peer_state(const struct peer *p)
{
	if (p->session)
		return p->session->fsm.state;
	enum fsm_state in = p->in ? p->in->fsm.state : FSM_IDLE;
	enum fsm_state out = p->out ? p->out->fsm.state : FSM_IDLE;
	if (p->running && p->conf.passive && in == FSM_IDLE)
		return FSM_ACTIVE;
	return in > out ? in : out;
}

uint32_t peer_local_asn(const struct peer *p)
{
	return p->conf.local_asn ? p->conf.local_asn : p->b->global.asn;
}

uint32_t peer_asn(const struct peer *p)
{
	return p->conf.asn || !p->session ? p->conf.asn : p->session->open.asn;
}

bool peer_ebgp(const struct peer *p)
{
	return p->conf.asn != peer_local_asn(p);
}

uint32_t peer_scope(const struct peer *p)
{
	const struct iface *i = NULL;
	if (p->conf.interface[0])
		i = ifaces_by_name(&p->b->ifaces, p->conf.interface);
	return i ? i->ifindex : 0;
}

bool peer_single_hop(const struct peer *p)
{
	if (!peer_ebgp(p))
		return false;
	return !p->conf.address.fam ||
	       ifaces_link_of(&p->b->ifaces, &p->conf.address, peer_scope(p)) != NULL;
}

void peer_error(struct peer *p, const char *fmt, ...)
{
	char text[sizeof(p->last_error)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	bool again = !strcmp(text, p->last_error);
	memcpy(p->last_error, text, sizeof(text));
	/* what we end ourselves is no cause for alarm */
	log_obj(again	     ? LOG_DEBUG
		: p->running ? LOG_WARN
			     : LOG_INFO,
		"session", "peer", p->conf.name, "%s", text);
}

void peer_conn_failed(struct peer *p, const struct conn *c)
{
	uint64_t now = bgpd_now();
	if (!c->why[0])
		return;
	if (c->failure == FSM_FAIL_ERROR)
		p->telling_until = now + TELLING_MS;
	if (c->failure == FSM_FAIL_ERROR || c == p->session || now >= p->telling_until)
		peer_error(p, "%s", c->why);
	else
		log_debug("session", "peer %s: %s", p->conf.name, c->why);
}

bool peer_synced(const struct peer *p, uint64_t now)
{
	if (!p->session)
		return false;
	family_set agreed = p->session->rx.families;
	if ((p->eor & agreed) == agreed)
		return true;
	return !p->session->open.caps.gr && now - p->up_at >= SYNC_WITHOUT_EOR_MS;
}

/* ---- starting and stopping ---- */

/* Lets our own connection try after delay_ms, where one is wanted. */
static void want_out(struct peer *p, uint32_t delay_ms)
{
	if (!p->running || p->session || p->conf.passive || !p->conf.address.fam)
		return;
	if (!p->out)
		p->out = conn_new(p, true);
	if (p->out->fsm.state != FSM_IDLE)
		return;
	if (delay_ms)
		conn_idle_hold(p->out, delay_ms);
	else
		conn_event(p->out, FSM_EV_START, 0, 0);
}

static void start(struct peer *p, uint32_t delay_ms)
{
	if (p->running || !p->b->ifaces_known || p->b->stopping)
		return;
	p->running = true;
	if (!p->conf.address.fam && !p->conf.passive)
		peer_error(p, "it has no address: waiting for the peer's connection on %s",
			   p->conf.interface);
	want_out(p, delay_ms);
}

void peer_start(struct peer *p)
{
	start(p, 0);
}

static void end_conn(struct conn **slot, uint8_t code, uint8_t subcode, const char *why)
{
	struct conn *c = *slot;
	if (!c)
		return;
	conn_end(c, FSM_EV_STOP, code, subcode, "%s", why);
	if (*slot == c) { /* it was Idle already */
		*slot = NULL;
		conn_retire(c);
	}
}

void peer_stop(struct peer *p, uint8_t code, uint8_t subcode, const char *why)
{
	p->running = false;
	end_conn(&p->in, code, subcode, why);
	end_conn(&p->out, code, subcode, why);
	end_conn(&p->session, code, subcode, why);
}

/* ---- connections ---- */

static void dump(struct conn *c, uint8_t code, uint8_t subcode)
{
	c->dumped = true;
	c->why[0] = '\0';
	c->error = (struct bgp_error){ 0 };
	conn_event(c, FSM_EV_COLLISION, code, subcode);
}

void peer_accept(struct peer *p, int fd, const struct addr *remote, uint32_t scope)
{
	if (!p->running || bgpd_now() < p->refuse_until) {
		log_debug("session", "peer %s: its connection is refused for now", p->conf.name);
		close(fd);
		return;
	}
	/* it would not open a second one if the first were any good */
	if (p->in)
		dump(p->in, BERR_CEASE, CEASE_COLLISION);
	p->in = conn_new(p, false);
	conn_accept(p->in, fd, remote, scope);
}

void peer_conn_open(struct conn *c)
{
	struct peer *p = c->peer;
	struct conn *others[] = { p->session, p->out, p->in };
	struct fsm_ends ends = { p->b->global.router_id, peer_local_asn(p), c->open.id,
				 c->open.asn };
	for (unsigned k = 0; k < 3; k++) {
		struct conn *o = others[k];
		if (!o || o == c)
			continue;
		struct fsm_side fresh = { .state = c->fsm.state, .initiated = c->initiated };
		struct fsm_side other = { .state = o->fsm.state,
					  .initiated = o->initiated,
					  .gr = o->open.caps.gr,
					  .age_ms = bgpd_now() - p->up_at };
		switch (fsm_collide(&fresh, &other, &ends)) {
		case FSM_KEEP_BOTH:
			break;
		case FSM_DROP_NEW:
			dump(c, BERR_CEASE, CEASE_COLLISION);
			return;
		case FSM_DROP_OLD:
			dump(o, BERR_CEASE, CEASE_COLLISION);
			break;
		case FSM_DROP_OLD_SILENT:
			dump(o, 0, 0);
			peer_error(p, "the peer started anew: its new connection replaces the old");
			break;
		}
	}
}

/* Our addresses on the session's link: next hops for next-hop-self (RFC 4271 section 5.1.3). */
static void find_link(const struct peer *p, const struct conn *c, struct addr local[2],
		      uint32_t *ifindex, bool *connected)
{
	const struct ifaces *t = &p->b->ifaces;
	const struct iface *i = ifaces_link_of(t, &c->remote, c->scope);
	*connected = i != NULL;
	if (!i)
		i = ifaces_owner(t, &c->local);
	*ifindex = i ? i->ifindex : 0;
	local[0] = c->local.fam == FAM_V4 ? c->local : iface_address(i, FAM_V4);
	local[1] = c->local.fam == FAM_V6 && !addr_is_linklocal(&c->local)
			   ? c->local
			   : iface_address(i, FAM_V6);
	if (!local[1].fam && c->local.fam == FAM_V6)
		local[1] = c->local;
	/* over several hops any address of ours that routes lead to will do */
	for (unsigned f = 0; f < 2 && !*connected; f++)
		for (unsigned k = 0; k < t->n && !local[f].fam; k++) {
			struct addr a = iface_address(&t->v[k], f ? FAM_V6 : FAM_V4);
			if (a.fam && !addr_is_linklocal(&a))
				local[f] = a;
		}
}

static const char *agreed_text(const struct conn *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", c->rx.families & FAMILY_BIT(FAM_V4) ? " IPv4" : "",
		 c->rx.families & FAMILY_BIT(FAM_V6) ? " IPv6" : "",
		 c->gr ? ", graceful restart" : "");
	return buf;
}

static void say_up(struct peer *p, const struct conn *c)
{
	char addr[ADDR_STRLEN], text[64];
	log_obj(LOG_INFO, "session", "peer", p->conf.name,
		"established with %s, AS %u:%s, hold time %u s",
		addr_format(&c->remote, addr, sizeof(addr)), c->open.asn,
		agreed_text(c, text, sizeof(text)), c->fsm.hold_ms / 1000);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		if ((c->rx.families & FAMILY_BIT(fam)) &&
		    !(fam == FAM_V4 ? p->local4.fam : p->local6.fam))
			log_obj(LOG_WARN, "session", "peer", p->conf.name,
				"no IPv%c address of ours on its link: IPv%c routes are not "
				"announced to it; give the interface one",
				fam == FAM_V4 ? '4' : '6', fam == FAM_V4 ? '4' : '6');
}

void peer_conn_up(struct conn *c)
{
	struct peer *p = c->peer;
	struct addr local[2];
	if (p->out == c)
		p->out = NULL;
	if (p->in == c)
		p->in = NULL;
	p->session = c;
	p->up_at = bgpd_now();
	p->since = bgpd_wall();
	p->eor = 0;
	p->was_up = true;
	p->telling_until = 0;
	p->last_error[0] = '\0';
	if (p->out)
		dump(p->out, BERR_CEASE, CEASE_COLLISION);
	if (p->out) { /* it waited in Idle */
		conn_retire(p->out);
		p->out = NULL;
	}
	if (p->in)
		dump(p->in, BERR_CEASE, CEASE_COLLISION);
	find_link(p, c, local, &p->ifindex, &p->connected);
	p->local4 = local[0];
	p->local6 = local[1];
	struct rib_peer_conf conf = {
		.owner = p,
		.name = p->conf.name,
		.address = c->remote,
		.local = c->local,
		.local4 = p->local4,
		.local6 = p->local6,
		.ifindex = p->ifindex,
		.asn = c->open.asn,
		.local_asn = peer_local_asn(p),
		.id = c->open.id,
		.ebgp = c->rx.ebgp,
		.reflector_client = p->conf.reflector_client,
		.connected = c->rx.ebgp && p->connected,
		.nexthop_mode = p->conf.nexthop_mode,
		.allowed_own_as = p->conf.allowed_own_as,
		.max_prefixes = p->conf.max_prefixes,
		.policy = true, /* what a resource or node.yaml configures counts as having one */
		.rx = c->rx,
		.tx = c->tx,
	};
	c->rib = rib_peer_up(p->b->rib, &conf);
	if (!c->rib) {
		conn_end(c, FSM_EV_AUTO_STOP, BERR_CEASE, CEASE_RESOURCES, "too many sessions");
		return;
	}
	say_up(p, c);
	bgpd_update_ready(p->b);
	bgpd_wake(p->b);
}

void peer_conn_down(struct conn *c)
{
	struct peer *p = c->peer;
	struct bgpd *b = p->b;
	if (c->rib) {
		struct rib_peer *gone = c->rib;
		c->rib = NULL;
		ctl_peer_down(b->ctl, gone);
		rib_peer_down(b->rib, gone);
	}
	c->tx_left = 0;
	p->since = bgpd_wall();
	p->eor = 0;
	bgpd_wake(b);
}

void peer_conn_idle(struct conn *c)
{
	struct peer *p = c->peer;
	uint64_t now = bgpd_now();
	bool was_session = p->session == c;
	uint32_t delay = AFTER_COLLISION_MS;
	peer_conn_failed(p, c);
	if (!c->dumped)
		delay = fsm_backoff_next(&p->backoff, c->failure, was_session ? now - p->up_at : 0,
					 p->conf.connect_retry * 1000, bgpd_random(p->b));
	if (!c->dumped && c->failure == FSM_FAIL_ERROR)
		p->refuse_until = now + delay;
	if (was_session)
		p->session = NULL;
	if (p->in == c)
		p->in = NULL;
	if (p->out == c && p->running && !p->session) {
		conn_idle_hold(c, delay);
	} else {
		if (p->out == c)
			p->out = NULL;
		conn_retire(c);
		want_out(p, delay);
	}
	if (was_session)
		bgpd_update_ready(p->b);
}

/* ---- the link ---- */

static void addresses_changed(struct peer *p)
{
	struct conn *c = p->session;
	struct addr local[2];
	uint32_t ifindex;
	bool connected;
	find_link(p, c, local, &ifindex, &connected);
	bool four = (c->rx.families & FAMILY_BIT(FAM_V4)) && !addr_eq(&local[0], &p->local4);
	bool six = (c->rx.families & FAMILY_BIT(FAM_V6)) && !addr_eq(&local[1], &p->local6);
	if (!four && !six)
		return;
	/* with graceful restart a silent close keeps the routes at the peer meanwhile */
	conn_end(c, FSM_EV_STOP, c->gr ? 0 : BERR_CEASE, CEASE_CONFIG,
		 "our IPv%c address on its link changed: starting the session anew",
		 four ? '4' : '6');
}

static void try_now(struct peer *p)
{
	p->backoff.failures = 0;
	if (p->out && p->out->fsm.state < FSM_OPENSENT)
		conn_kick(p->out);
	else
		want_out(p, 0);
}

void peer_iface_changed(struct peer *p, uint32_t ifindex)
{
	const struct iface *i = ifaces_by_index(&p->b->ifaces, ifindex);
	if (p->session && p->ifindex == ifindex) {
		if (i && i->up)
			addresses_changed(p);
		else if (p->connected && p->session->rx.ebgp)
			conn_end(p->session, FSM_EV_TCP_FAILS, 0, 0, "%s %s",
				 i ? i->name : "its interface", i ? "went down" : "is gone");
		return;
	}
	if (p->session || !p->running || !i || !i->up)
		return;
	if (ifaces_link_of(&p->b->ifaces, &p->conf.address, peer_scope(p)) == i)
		try_now(p);
}
