#include "config.h"

#include "bgpd/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bgpd/peer.h"
#include "bgpd/session.h"
#include "lib/ipc.h"

struct client {
	struct client *next;
	struct ctl *ctl;
	struct ipc *ipc;
	bool gone;
	bool listing;
	struct rib_query query;
	struct rib_cursor cursor;
};

struct ctl {
	struct bgpd *b;
	struct client *clients;
	struct arena arena; /* of one row */
};

struct ctl *ctl_new(struct bgpd *b)
{
	struct ctl *ctl = xcalloc(1, sizeof(*ctl));
	ctl->b = b;
	return ctl;
}

static void fail(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct client *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->listing = false;
	ipc_send(c->ipc, M_CTL_ERROR, &(struct m_ctl_error){ text });
}

static void done(struct client *c)
{
	c->listing = false;
	ipc_send(c->ipc, M_CTL_END, NULL);
}

/* ---- peers ---- */

static const char *capabilities(const struct conn *c, char *buf, size_t size)
{
	buf[0] = '\0';
	if (c)
		snprintf(buf, size, "%s%s%s%s%s%s",
			 c->rx.families & FAMILY_BIT(FAM_V4) ? "ipv4 " : "",
			 c->rx.families & FAMILY_BIT(FAM_V6) ? "ipv6 " : "",
			 c->rx.as4 ? "as4 " : "", c->open.caps.route_refresh ? "refresh " : "",
			 c->rx.max_message > BGP_MAX ? "extended-messages " : "",
			 c->gr ? "graceful-restart " : "");
	size_t len = strlen(buf);
	if (len)
		buf[len - 1] = '\0';
	return buf;
}

static void send_peer(struct client *cl, const struct peer *p)
{
	const struct conn *c = p->session;
	struct rib_peer_counts n = { 0 };
	char caps[128];
	if (c && c->rib)
		rib_peer_counts(p->b->rib, c->rib, &n);
	struct m_ctl_peer m = {
		.name = p->conf.name,
		.interface = p->conf.interface,
		.address = c ? c->remote : p->conf.address,
		.local = c ? c->local : p->conf.source,
		.asn = peer_asn(p),
		.local_asn = peer_local_asn(p),
		.type = p->conf.type,
		.state = (uint8_t)peer_state(p),
		.since = p->since,
		.received = n.received,
		.accepted = n.accepted,
		.advertised = n.advertised,
		.last_error = p->last_error,
		.hold_time = c ? c->fsm.hold_ms / 1000 : p->conf.hold_time,
		.keepalive = c			 ? c->fsm.keepalive_ms / 1000
			     : p->conf.keepalive ? p->conf.keepalive
						 : p->conf.hold_time / 3,
		.updates_in = p->updates_in,
		.updates_out = n.updates_out,
		.messages_in = p->messages_in,
		.messages_out = p->messages_out,
		.capabilities = capabilities(c, caps, sizeof(caps)),
	};
	ipc_send(cl->ipc, M_CTL_PEER, &m);
}

/* By name, else by address. */
static const struct peer *find_peer(const struct bgpd *b, const char *text)
{
	const struct peer *p = peer_by_name(b, text);
	struct addr a;
	if (p || addr_parse(text, &a) < 0)
		return p;
	for (p = b->peers; p; p = p->next)
		if (addr_eq(&p->conf.address, &a))
			return p;
	return NULL;
}

static void no_such_peer(struct client *c, const char *name)
{
	fail(c, "no BGP peer has the name or address \"%s\"; `nodectl peers` lists them", name);
}

static void query_peers(struct client *c, const struct m_ctl_query *q)
{
	const struct bgpd *b = c->ctl->b;
	if (q->name[0]) {
		const struct peer *p = find_peer(b, q->name);
		if (!p) {
			no_such_peer(c, q->name);
			return;
		}
		send_peer(c, p);
	} else {
		for (const struct peer *p = b->peers; p; p = p->next)
			send_peer(c, p);
	}
	done(c);
}

/* ---- routes ---- */

/* A row that no packet takes loses what is said last: the peers it went to, then paths. */
static void send_route(struct client *c, struct m_ctl_route *row)
{
	static const unsigned header = 4;
	uint8_t *buf = xmalloc(MSG_MAX);
	for (;;) {
		struct wr w = wr_over(buf, MSG_MAX - header);
		msg_encode(&w, M_CTL_ROUTE, row);
		if (!w.full)
			break;
		if (row->advertised_to.n)
			row->advertised_to.n = 0;
		else if (row->paths.n)
			row->paths.n /= 2;
		else
			break;
	}
	free(buf);
	ipc_send(c->ipc, M_CTL_ROUTE, row);
}

/* The longest prefix that has the address, by one exact look-up a length. */
static void longest_match(struct client *c)
{
	struct ctl *ctl = c->ctl;
	struct prefix host = c->query.prefix;
	for (int len = host.len; len >= 0; len--) {
		struct rib_cursor cursor = { 0 };
		struct m_ctl_route row;
		bool again, found;
		host.len = (uint8_t)len;
		c->query.prefix = prefix_mask(&host);
		do {
			again = false;
			found = rib_query_next(ctl->b->rib, &c->query, &cursor, &ctl->arena, &row,
					       &again);
		} while (!found && again);
		if (!found)
			continue;
		send_route(c, &row);
		arena_reset(&ctl->arena);
		break;
	}
	done(c);
}

static void query_routes(struct client *c, const struct m_ctl_query *q)
{
	struct bgpd *b = c->ctl->b;
	if (!b->rib) {
		fail(c, "bgpd has no configuration yet: it waits for felix");
		return;
	}
	c->query = (struct rib_query){ .filter = q->filter };
	c->cursor = (struct rib_cursor){ 0 };
	if (q->prefix.addr.fam)
		c->query.prefix = prefix_mask(&q->prefix);
	if (q->filter == CTL_ROUTE_IN || q->filter == CTL_ROUTE_OUT) {
		const struct peer *p = find_peer(b, q->name);
		if (!p) {
			no_such_peer(c, q->name);
			return;
		}
		if (!p->session || !p->session->rib) {
			fail(c, "peer %s is not established (%s%s%s)", p->conf.name,
			     fsm_state_name(peer_state(p)), p->last_error[0] ? ": " : "",
			     p->last_error);
			return;
		}
		c->query.peer = p->session->rib;
	}
	unsigned bits = family_bits(q->prefix.addr.fam);
	if (bits && q->prefix.len == bits) {
		longest_match(c);
		return;
	}
	c->listing = true;
	bgpd_wake(b);
}

void ctl_peer_down(struct ctl *ctl, const struct rib_peer *peer)
{
	for (struct client *c = ctl->clients; c; c = c->next)
		if (!c->gone && c->listing && c->query.peer == peer)
			fail(c, "the session ended while its routes were listed");
}

/* Returns how much of the budget is left. */
static unsigned list_some(struct client *c, unsigned budget)
{
	struct ctl *ctl = c->ctl;
	while (budget && c->listing && ipc_backlog(c->ipc) < IPC_HIGH) {
		struct m_ctl_route row;
		bool again = false;
		budget--;
		if (rib_query_next(ctl->b->rib, &c->query, &c->cursor, &ctl->arena, &row, &again))
			send_route(c, &row);
		else if (!again)
			done(c);
		arena_reset(&ctl->arena);
	}
	return budget;
}

static void bury(struct ctl *ctl)
{
	for (struct client **at = &ctl->clients; *at;) {
		struct client *c = *at;
		if (!c->gone) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		ipc_free(c->ipc);
		free(c);
	}
}

bool ctl_run(struct ctl *ctl, unsigned budget)
{
	bool more = false;
	bury(ctl);
	for (struct client *c = ctl->clients; c; c = c->next) {
		if (!c->listing)
			continue;
		budget = list_some(c, budget);
		more |= c->listing && ipc_backlog(c->ipc) < IPC_HIGH;
	}
	return more;
}

/* ---- clients ---- */

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct client *c = arg;
	const struct m_ctl_query *q = m->body;
	struct bgpd *b = c->ctl->b;
	(void)ipc;
	if (m->type != M_CTL_QUERY) {
		fail(c, "bgpd takes queries here, not %s", msg_name(m->type));
		return;
	}
	if (c->listing) {
		fail(c, "one query at a time");
		return;
	}
	switch (q->what) {
	case CTL_STATUS:
		ipc_send(c->ipc, M_CTL_BGP,
			 &(struct m_ctl_bgp){ b->global.asn, b->global.router_id });
		query_peers(c, &(struct m_ctl_query){ .name = "" });
		break;
	case CTL_PEERS:
		query_peers(c, q);
		break;
	case CTL_ROUTES:
		query_routes(c, q);
		break;
	default:
		fail(c, "bgpd cannot answer this query (%u); is nodectl newer than bgpd?", q->what);
	}
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct client *c = arg;
	(void)ipc, (void)why;
	c->gone = true;
	c->listing = false;
	bgpd_wake(c->ctl->b);
}

static void on_drain(struct ipc *ipc, void *arg)
{
	(void)ipc;
	bgpd_wake(((struct client *)arg)->ctl->b);
}

static const struct ipc_ops ops = { on_msg, on_close, on_drain };

void ctl_add(struct ctl *ctl, int fd)
{
	struct client *c = xcalloc(1, sizeof(*c));
	c->ctl = ctl;
	c->next = ctl->clients;
	ctl->clients = c;
	c->ipc = ipc_new(ctl->b->loop, fd, &ops, c);
}

void ctl_free(struct ctl *ctl)
{
	for (struct client *c = ctl->clients; c; c = c->next)
		c->gone = true;
	bury(ctl);
	arena_free(&ctl->arena);
	free(ctl);
}
