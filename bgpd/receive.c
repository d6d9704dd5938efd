#include "config.h"

#include "bgpd/receive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bgpd/peer.h"
#include "lib/log.h"

/* The NOTIFICATION that e describes; the event says how the machine takes it. */
static void protocol_error(struct conn *c, enum fsm_event event, const struct bgp_error *e)
{
	c->error = *e;
	conn_end(c, event, e->code, e->subcode, "%s", e->text);
}

/* The capability that we miss, as NOTIFICATION data (RFC 5492 section 5): IPv4 unicast. */
static void no_family(struct bgp_error *e)
{
	static const uint8_t want[] = { CAP_MP, 4, 0, 1, 0, SAFI_UNICAST };
	*e = (struct bgp_error){ .code = BERR_OPEN, .subcode = OPEN_CAPABILITY };
	memcpy(e->data, want, sizeof(want));
	e->data_len = sizeof(want);
	snprintf(e->text, sizeof(e->text),
		 "it speaks neither IPv4 nor IPv6 unicast; enable one of them there");
}

/* What configuration knows and the codec does not. */
static int check_open(const struct conn *c, const struct bgp_open *o, struct bgp_error *e)
{
	const struct peer *p = c->peer;
	uint32_t local = peer_local_asn(p);
	bool wrong = p->conf.asn ? o->asn != p->conf.asn : o->asn == local;
	*e = (struct bgp_error){ .code = BERR_OPEN };
	if (wrong) {
		e->subcode = OPEN_PEER_AS;
		if (p->conf.asn)
			snprintf(e->text, sizeof(e->text),
				 "it says AS %u, asNumber here says %u; correct one of the two",
				 o->asn, p->conf.asn);
		else
			snprintf(e->text, sizeof(e->text),
				 "it says our own AS %u, but an external peer is configured",
				 o->asn);
		return -1;
	}
	/* RFC 6286 section 2.2: unique within an AS */
	if (o->asn == local && o->id == p->b->global.router_id) {
		e->subcode = OPEN_ID;
		put_u32(e->data, o->id);
		e->data_len = 4;
		snprintf(e->text, sizeof(e->text),
			 "its BGP identifier is our own; give every node a router ID of its own");
		return -1;
	}
	if (!(o->caps.mp & (FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6)))) {
		no_family(e);
		return -1;
	}
	return 0;
}

/* We announce both families, 4-octet AS numbers and extended messages always. */
static void agree(struct conn *c)
{
	const struct bgp_open *o = &c->open;
	bool ebgp = o->asn != peer_local_asn(c->peer);
	c->rx = (struct bgp_session_ctx){
		.as4 = o->caps.as4,
		.ebgp = ebgp,
		.check_first_as = ebgp,
		.peer_as = o->asn,
		.families = o->caps.mp & (FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6)),
		.max_message = o->caps.extended_messages ? BGP_MAX_EXTENDED : BGP_MAX,
	};
	c->tx = c->rx;
	c->tx.check_first_as = false;
	c->gr = o->caps.gr && c->peer->conf.restart_time;
}

static void rx_open(struct conn *c, const uint8_t *msg, size_t len)
{
	struct bgp_error e = { 0 };
	if (c->fsm.state != FSM_OPENSENT) {
		conn_end(c, FSM_EV_OPEN, 0, 0, "an OPEN came in state %s",
			 fsm_state_name(c->fsm.state));
		return;
	}
	if (bgp_open_decode(msg, len, &c->open, &e) < 0 || check_open(c, &c->open, &e) < 0) {
		protocol_error(c, FSM_EV_OPEN_ERR, &e);
		return;
	}
	agree(c);
	conn_event(c, FSM_EV_OPEN, 0, 0);
	if (c->fsm.state == FSM_OPENCONFIRM)
		peer_conn_open(c);
}

static void rx_notification(struct conn *c, const uint8_t *msg, size_t len)
{
	struct bgp_notification n;
	struct bgp_error e = { 0 };
	char name[96];
	/* a malformed one cannot be answered (RFC 4271 section 6.4) */
	if (bgp_notification_decode(msg, len, &n, &e) < 0) {
		conn_end(c, FSM_EV_NOTIF, 0, 0, "received a malformed NOTIFICATION: %s", e.text);
		return;
	}
	if (n.code != BERR_CEASE)
		c->failure = FSM_FAIL_ERROR;
	if (n.code == BERR_CEASE && n.subcode == CEASE_COLLISION && !c->rib) {
		c->dumped = true;
		c->why[0] = '\0';
		conn_event(c, FSM_EV_NOTIF, 0, 0);
		return;
	}
	bgp_error_name(n.code, n.subcode, name, sizeof(name));
	bool version = n.code == BERR_OPEN && n.subcode == OPEN_VERSION;
	conn_end(c, version ? FSM_EV_NOTIF_VERSION : FSM_EV_NOTIF, 0, 0, "received %s%s%s", name,
		 n.shutdown_text[0] ? ": " : "", n.shutdown_text);
}

/* RFC 7606: what was bad but did not end the session is said, at a bounded rate. */
static void say_bad_update(struct conn *c, const struct bgp_update *u)
{
	struct peer *p = c->peer;
	unsigned swallowed;
	if (!rate_allow(&p->bad_updates, 5, 10000, &swallowed))
		return;
	char more[48] = "";
	if (swallowed)
		snprintf(more, sizeof(more), " (and %u more since)", swallowed);
	log_obj(LOG_WARN, "session", "peer", p->conf.name, "bad UPDATE, %s: %s%s",
		u->outcome == UPDATE_WITHDRAW ? "its routes are treated as withdrawn"
					      : "the attribute is left out",
		u->error.text, more);
}

static void rx_update(struct conn *c, const uint8_t *msg, size_t len)
{
	struct bgpd *b = c->peer->b;
	struct bgp_update u;
	conn_event(c, FSM_EV_UPDATE, 0, 0);
	if (!c->rib)
		return;
	c->peer->updates_in++;
	bgp_update_decode(msg, len, &c->rx, b->rx->scratch, sizeof(b->rx->scratch), &u);
	if (u.outcome == UPDATE_RESET) {
		protocol_error(c, FSM_EV_UPDATE_ERR, &u.error);
		return;
	}
	if (u.outcome != UPDATE_OK)
		say_bad_update(c, &u);
	enum rib_verdict verdict = rib_update(b->rib, c->rib, &u);
	if (u.end_of_rib && (c->peer->eor & u.end_of_rib) != u.end_of_rib) {
		c->peer->eor |= u.end_of_rib;
		bgpd_update_ready(b);
	}
	if (verdict == RIB_MAX_PREFIXES) {
		c->failure = FSM_FAIL_ERROR;
		conn_end(c, FSM_EV_AUTO_STOP, BERR_CEASE, CEASE_MAX_PREFIX,
			 "more than %u prefixes came; raise maxPrefixes or filter at the peer",
			 c->peer->conf.max_prefixes);
	}
}

static void rx_refresh(struct conn *c, const uint8_t *msg, size_t len)
{
	struct bgp_refresh r;
	struct bgp_error e = { 0 };
	conn_event(c, FSM_EV_REFRESH, 0, 0);
	if (!c->rib)
		return;
	if (bgp_refresh_decode(msg, len, &r, &e) < 0) {
		protocol_error(c, FSM_EV_HEADER_ERR, &e);
		return;
	}
	if (r.fam && !r.subtype && (c->rx.families & FAMILY_BIT(r.fam)))
		rib_refresh(c->peer->b->rib, c->rib, r.fam);
}

static void dispatch(struct conn *c, uint8_t type, const uint8_t *msg, size_t len)
{
	c->peer->messages_in++;
	switch (type) {
	case BGP_OPEN:
		rx_open(c, msg, len);
		break;
	case BGP_UPDATE:
		rx_update(c, msg, len);
		break;
	case BGP_NOTIFICATION:
		rx_notification(c, msg, len);
		break;
	case BGP_KEEPALIVE:
		conn_event(c, FSM_EV_KEEPALIVE, 0, 0);
		break;
	case BGP_ROUTE_REFRESH:
		rx_refresh(c, msg, len);
		break;
	}
}

static size_t max_message(const struct conn *c)
{
	return c->fsm.state >= FSM_OPENCONFIRM && c->rx.max_message ? c->rx.max_message : BGP_MAX;
}

static void keep_part(struct conn *c, const uint8_t *p, size_t len)
{
	free(c->part);
	c->part = NULL;
	c->part_len = len;
	if (!len)
		return;
	c->part = xmalloc(len);
	memcpy(c->part, p, len);
}

/* Every whole message of buf; what is left over is kept. */
static void messages(struct conn *c, const uint8_t *buf, size_t total)
{
	size_t at = 0;
	int fd = c->fd;
	while (at < total) {
		struct bgp_error e = { 0 };
		uint8_t type = 0;
		int len = bgp_header_check(buf + at, total - at, max_message(c), &type, &e);
		if (len < 0) {
			protocol_error(c, FSM_EV_HEADER_ERR, &e);
			return;
		}
		if (!len)
			break;
		dispatch(c, type, buf + at, (size_t)len);
		if (c->fd != fd || c->fsm.state < FSM_OPENSENT)
			return;
		at += (size_t)len;
	}
	keep_part(c, buf + at, total - at);
}

void rx_readable(struct conn *c)
{
	struct bgpd_rx *rx = c->peer->b->rx;
	size_t had = c->part_len;
	if (had)
		memcpy(rx->buf, c->part, had);
	ssize_t n = recv(c->fd, rx->buf + had, RX_SLICE, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (n < 0)
			conn_end(c, FSM_EV_TCP_FAILS, 0, 0, "connection lost: %s", strerror(errno));
		else
			conn_end(c, FSM_EV_TCP_FAILS, 0, 0, "connection closed by the peer");
		return;
	}
	messages(c, rx->buf, had + (size_t)n);
}
