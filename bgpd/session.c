#include "config.h"

#include "bgpd/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgpd/linger.h"
#include "bgpd/peer.h"
#include "bgpd/receive.h"
#include "bgpd/sockopt.h"
#include "bgpd/transmit.h"
#include "lib/log.h"

/* RFC 4271 section 8.2.2 suggests four minutes for the peer's OPEN; whoever connects to us and says
 * nothing gets half a minute. */
enum { OPEN_WAIT_MS = 240000, OPEN_WAIT_ACCEPTED_MS = 30000 };

static void on_io(struct ev_loop *loop, ev_io *w, int revents);
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents);

struct conn *conn_new(struct peer *peer, bool initiated)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct fsm_conf conf = {
		.hold_s = peer->conf.hold_time,
		.keepalive_s = peer->conf.keepalive,
		.connect_retry_ms = peer->conf.connect_retry * 1000,
		.open_wait_ms = initiated ? OPEN_WAIT_MS : OPEN_WAIT_ACCEPTED_MS,
		.passive = !initiated,
	};
	c->peer = peer;
	c->initiated = initiated;
	c->fd = -1;
	c->remote = peer->conf.address;
	c->failure = FSM_FAIL_CLOSED;
	fsm_init(&c->fsm, &conf);
	ev_init(&c->io, on_io);
	ev_init(&c->timer, on_timer);
	/* data that has come is read before a hold timer that ended is believed */
	ev_set_priority(&c->timer, -1);
	c->io.data = c->timer.data = c;
	return c;
}

void conn_watch(struct conn *c, bool write)
{
	struct ev_loop *loop = c->peer->b->loop;
	int want = EV_READ | (write ? EV_WRITE : 0);
	if (c->fsm.state == FSM_CONNECT)
		want = EV_WRITE;
	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == want)
		return;
	ev_io_stop(loop, &c->io);
	ev_io_set(&c->io, c->fd, want);
	ev_io_start(loop, &c->io);
}

/* The timer is only moved forward here; one that fires too soon is set again. */
static void arm(struct conn *c)
{
	struct ev_loop *loop = c->peer->b->loop;
	uint64_t next = fsm_next(&c->fsm);
	if (!next || c->retired) {
		ev_timer_stop(loop, &c->timer);
		c->armed = 0;
		return;
	}
	if (c->armed > 0 && c->armed <= (double)next)
		return;
	uint64_t now = bgpd_now();
	ev_timer_stop(loop, &c->timer);
	ev_timer_set(&c->timer, next > now ? (double)(next - now) / 1000. : 0., 0.);
	ev_timer_start(loop, &c->timer);
	c->armed = (double)next;
}

/* ---- sockets ---- */

static int set_options(const struct conn *c, int fd, unsigned fam, struct err *err)
{
	const struct peer *p = c->peer;
	sockopt_common(fd, fam);
	if (p->conf.ttl_security)
		return sockopt_gtsm(fd, fam, p->conf.ttl_security, err);
	if (peer_single_hop(p))
		return sockopt_ttl(fd, fam, 1, err);
	return 0;
}

static int bind_source(const struct conn *c, int fd, struct err *err)
{
	const struct addr *src = &c->peer->conf.source;
	struct sockaddr_storage ss;
	char text[ADDR_STRLEN];
	int one = 1;
	if (src->fam != c->remote.fam)
		return 0;
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	socklen_t len = addr_to_sockaddr(src, 0, addr_is_linklocal(src) ? c->scope : 0, &ss);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return err_sys(err, errno, "cannot use the source address %s",
			       addr_format(src, text, sizeof(text)));
	return 0;
}

static int begin_connect(struct conn *c, int fd, struct err *err)
{
	const struct peer *p = c->peer;
	struct sockaddr_storage ss;
	c->scope = peer_scope(p);
	if (set_options(c, fd, c->remote.fam, err) < 0 || bind_source(c, fd, err) < 0)
		return -1;
	if (p->conf.password[0] && sockopt_md5(fd, &c->remote, p->conf.password, err) < 0)
		return -1;
	socklen_t len = addr_to_sockaddr(&c->remote, p->conf.port,
					 addr_is_linklocal(&c->remote) ? c->scope : 0, &ss);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		return err_sys(err, errno, "cannot connect");
	return 0;
}

static void act_connect(struct conn *c)
{
	struct err err;
	int af = c->remote.fam == FAM_V4 ? AF_INET : AF_INET6;
	int fd = socket(af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	c->notified = c->tx_broken = c->dumped = false;
	c->tx_left = c->own_off = c->own_len = 0;
	c->why[0] = '\0';
	c->error = (struct bgp_error){ 0 };
	if (fd < 0)
		err_sys(&err, errno, "cannot open a socket");
	else if (begin_connect(c, fd, &err) == 0) {
		c->fd = fd;
		conn_watch(c, true);
		return;
	}
	if (fd >= 0)
		close(fd);
	snprintf(c->why, sizeof(c->why), "%.250s", err.text);
	c->connect_failed = true;
}

static void act_close(struct conn *c)
{
	struct bgpd *b = c->peer->b;
	ev_io_stop(b->loop, &c->io);
	tx_unmark(c);
	free(c->part);
	c->part = NULL;
	c->part_len = 0;
	if (c->fd < 0)
		return;
	if (c->notified)
		linger_add(b->lingering, c->fd);
	else
		close(c->fd);
	c->fd = -1;
}

/* ---- the machine's actions ---- */

static void act_notify(struct conn *c, enum fsm_state before, uint8_t code, uint8_t subcode)
{
	struct peer *p = c->peer;
	bool ours = c->error.code == code && c->error.subcode == subcode;
	char name[96];
	tx_notification(c, code, subcode, c->error.data, ours ? c->error.data_len : 0);
	tx_flush(c);
	c->notified = c->own_off == c->own_len && !c->tx_broken;
	if (code == BERR_CEASE && subcode == CEASE_COLLISION) {
		log_debug("session", "peer %s: collision: %s is closed", p->conf.name,
			  c->initiated ? "our connection" : "the peer's connection");
		return;
	}
	if (code != BERR_CEASE && code != BERR_HOLD)
		c->failure = FSM_FAIL_ERROR;
	bgp_error_name(code, subcode, name, sizeof(name));
	if (code == BERR_HOLD)
		snprintf(c->why, sizeof(c->why), "nothing came for %u s",
			 before >= FSM_OPENCONFIRM ? c->fsm.hold_ms / 1000
						   : c->fsm.conf.open_wait_ms / 1000);
	else if (code == BERR_SEND_HOLD)
		snprintf(c->why, sizeof(c->why), "it has read nothing of ours for minutes");
	char was[sizeof(c->why)];
	memcpy(was, c->why, sizeof(was));
	snprintf(c->why, sizeof(c->why), "sent %s%s%.140s", name, was[0] ? ": " : "", was);
}

static void do_action(struct conn *c, enum fsm_action a, enum fsm_state before,
		      const struct fsm_output *out)
{
	switch (a) {
	case FSM_ACT_CONNECT:
		act_connect(c);
		break;
	case FSM_ACT_OPEN:
		tx_open(c);
		tx_flush(c);
		break;
	case FSM_ACT_KEEPALIVE:
		tx_keepalive(c);
		tx_flush(c);
		break;
	case FSM_ACT_NOTIFY:
		act_notify(c, before, out->code, out->subcode);
		break;
	case FSM_ACT_CLOSE:
		act_close(c);
		break;
	case FSM_ACT_UP:
		peer_conn_up(c);
		break;
	case FSM_ACT_DOWN:
		peer_conn_down(c);
		break;
	}
}

void conn_event(struct conn *c, enum fsm_event event, uint8_t code, uint8_t subcode)
{
	struct bgpd *b = c->peer->b;
	struct fsm_input in = { .event = event,
				.now = bgpd_now(),
				.random = bgpd_random(b),
				.peer_hold = c->open.hold_time,
				.code = code,
				.subcode = subcode };
	struct fsm_output out;
	enum fsm_state before = c->fsm.state;
	if (c->retired)
		return;
	fsm_step(&c->fsm, &in, &out);
	if (c->fsm.state != before)
		log_debug("session", "peer %s: %s connection: %s -> %s on %s", c->peer->conf.name,
			  c->initiated ? "our" : "its", fsm_state_name(before),
			  fsm_state_name(c->fsm.state), fsm_event_name(event));
	for (unsigned k = 0; k < out.n; k++)
		do_action(c, out.act[k], before, &out);
	if (c->connect_failed) {
		c->connect_failed = false;
		c->failure = FSM_FAIL_CONNECT;
		conn_event(c, FSM_EV_TCP_FAILS, 0, 0);
		return;
	}
	arm(c);
	bool gone = c->fsm.state == FSM_IDLE && before != FSM_IDLE;
	/* an accepted connection that is lost in OpenSent has nothing to go back to */
	if (gone || (!c->initiated && c->fsm.state == FSM_ACTIVE && before == FSM_OPENSENT))
		peer_conn_idle(c);
	else if (c->fsm.state == FSM_ACTIVE && before == FSM_OPENSENT)
		peer_conn_failed(c->peer, c);
}

void conn_end(struct conn *c, enum fsm_event event, uint8_t code, uint8_t subcode, const char *fmt,
	      ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	conn_event(c, event, code, subcode);
}

/* ---- the loop ---- */

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conn *c = w->data;
	enum fsm_event due;
	(void)loop, (void)revents;
	c->armed = 0;
	while (!c->retired && (due = fsm_due(&c->fsm, bgpd_now())) != 0) {
		if (due == FSM_EV_RETRY_DUE && c->fsm.state == FSM_CONNECT) {
			snprintf(c->why, sizeof(c->why), "no answer to our connection");
			peer_conn_failed(c->peer, c);
		}
		conn_event(c, due, 0, 0);
	}
	arm(c);
}

static void find_ends(struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	uint32_t scope = 0;
	if (getsockname(c->fd, (struct sockaddr *)&ss, &len) == 0 &&
	    addr_from_sockaddr((struct sockaddr *)&ss, &c->local, NULL, &scope) == 0 && scope)
		c->scope = scope;
}

static void on_connected(struct conn *c)
{
	int soerr = 0;
	socklen_t len = sizeof(soerr);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &soerr, &len) < 0)
		soerr = errno;
	if (soerr) {
		c->failure = FSM_FAIL_CONNECT;
		conn_end(c, FSM_EV_TCP_FAILS, 0, 0, "cannot connect: %s", strerror(soerr));
		return;
	}
	find_ends(c);
	c->failure = FSM_FAIL_CLOSED;
	conn_event(c, FSM_EV_TCP_ACKED, 0, 0);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *c = w->data;
	(void)loop;
	if (c->fsm.state == FSM_CONNECT) {
		on_connected(c);
		return;
	}
	if (revents & EV_READ)
		rx_readable(c);
	if ((revents & EV_WRITE) && c->fd >= 0)
		tx_flush(c);
	if (!c->retired)
		arm(c);
}

void conn_accept(struct conn *c, int fd, const struct addr *remote, uint32_t scope)
{
	struct err err;
	c->fd = fd;
	c->remote = *remote;
	c->scope = scope;
	conn_event(c, FSM_EV_START, 0, 0);
	if (set_options(c, fd, remote->fam, &err) < 0) {
		conn_end(c, FSM_EV_TCP_FAILS, 0, 0, "%s", err.text);
		return;
	}
	find_ends(c);
	conn_event(c, FSM_EV_TCP_CONFIRMED, 0, 0);
}

void conn_idle_hold(struct conn *c, uint32_t delay_ms)
{
	fsm_idle_hold(&c->fsm, bgpd_now(), delay_ms);
	c->armed = 0;
	arm(c);
}

void conn_kick(struct conn *c)
{
	if (c->fsm.state == FSM_IDLE)
		conn_event(c, FSM_EV_START, 0, 0);
	else if (c->fsm.state == FSM_CONNECT || c->fsm.state == FSM_ACTIVE)
		conn_event(c, FSM_EV_RETRY_DUE, 0, 0);
}

void conn_retire(struct conn *c)
{
	struct bgpd *b = c->peer->b;
	if (c->retired)
		return;
	act_close(c);
	c->retired = true;
	ev_timer_stop(b->loop, &c->timer);
	c->next_retired = b->retired;
	b->retired = c;
}

void conn_free_retired(struct bgpd *b)
{
	while (b->retired) {
		struct conn *c = b->retired;
		b->retired = c->next_retired;
		free(c);
	}
}
