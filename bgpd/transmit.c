#include "config.h"

#include "bgpd/transmit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bgpd/peer.h"

enum { TX_SLICE = 256 * 1024, TX_IOV = 32 };

static struct wr own_space(struct conn *c)
{
	if (c->own_off == c->own_len)
		c->own_off = c->own_len = 0;
	return wr_over(c->own + c->own_len, sizeof(c->own) - c->own_len);
}

static void own_added(struct conn *c, const struct wr *w)
{
	if (w->full)
		return;
	c->own_len += w->len;
	c->peer->messages_out++;
}

static struct bgp_open our_open(const struct conn *c)
{
	const struct peer *p = c->peer;
	const family_set both = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6);
	struct bgp_open o = {
		.asn = peer_local_asn(p),
		.hold_time = (uint16_t)p->conf.hold_time,
		.id = p->b->global.router_id,
		.caps = { .mp = both,
			  .route_refresh = true,
			  .as4 = true,
			  .extended_messages = true },
	};
	if (p->conf.restart_time) {
		o.caps.gr = true;
		o.caps.gr_restarting = bgpd_restarting(p->b);
		o.caps.gr_time =
			(uint16_t)(p->conf.restart_time < 4095 ? p->conf.restart_time : 4095);
		/* felix keeps the routes in the kernel whatever becomes of this process */
		o.caps.gr_families = o.caps.gr_forwarding = both;
	}
	return o;
}

void tx_open(struct conn *c)
{
	struct wr w = own_space(c);
	struct bgp_open o = our_open(c);
	bgp_open_encode(&w, &o);
	own_added(c, &w);
}

void tx_keepalive(struct conn *c)
{
	struct wr w = own_space(c);
	bgp_keepalive_encode(&w);
	own_added(c, &w);
}

void tx_notification(struct conn *c, uint8_t code, uint8_t subcode, const void *data, size_t len)
{
	struct wr w = own_space(c);
	bgp_notification_encode(&w, code, subcode, data, len);
	own_added(c, &w);
}

static size_t own_left(const struct conn *c)
{
	return c->own_len - c->own_off;
}

/* Our own messages first, but never inside one of the RIB's. */
static unsigned gather(struct conn *c, struct iovec *iov, bool *own)
{
	struct rib *rib = c->peer->b->rib;
	unsigned n = 0;
	*own = own_left(c) && !c->tx_left;
	if (*own)
		iov[n++] = (struct iovec){ c->own + c->own_off, own_left(c) };
	if (!c->rib)
		return n;
	if (!own_left(c) || *own)
		return n + rib_out_peek(rib, c->rib, iov + n, TX_IOV - n);
	n = rib_out_peek(rib, c->rib, iov, TX_IOV);
	size_t room = c->tx_left;
	for (unsigned k = 0; k < n; k++) {
		if (iov[k].iov_len >= room) {
			iov[k].iov_len = room;
			return k + 1;
		}
		room -= iov[k].iov_len;
	}
	return n;
}

/* Where in the RIB's stream of whole messages do we stand after `sent` more bytes? */
static void walk(struct conn *c, const struct iovec *iov, unsigned n, size_t sent)
{
	for (unsigned k = 0; k < n && sent; k++) {
		const uint8_t *p = iov[k].iov_base;
		size_t len = iov[k].iov_len < sent ? iov[k].iov_len : sent;
		sent -= len;
		for (size_t at = 0; at < len;) {
			if (!c->tx_left) {
				c->tx_left = (size_t)p[at + 16] << 8 | p[at + 17];
				c->peer->messages_out++;
			}
			size_t step = c->tx_left < len - at ? c->tx_left : len - at;
			at += step;
			c->tx_left -= step;
		}
	}
}

static void account(struct conn *c, const struct iovec *iov, unsigned n, bool own, size_t sent)
{
	if (own) {
		size_t part = iov[0].iov_len < sent ? iov[0].iov_len : sent;
		c->own_off += part;
		sent -= part;
		iov++;
		n--;
	}
	if (!sent)
		return;
	walk(c, iov, n, sent);
	rib_out_consume(c->peer->b->rib, c->rib, sent);
}

/* TCP_FAILS does not come from here: this runs inside the machine's actions. The reader sees the
 * broken connection as soon as the loop turns. */
static void broken(struct conn *c, int errnum)
{
	c->tx_broken = true;
	if (!c->why[0])
		snprintf(c->why, sizeof(c->why), "sending failed: %s", strerror(errnum));
	conn_watch(c, false);
}

void tx_flush(struct conn *c)
{
	size_t total = 0;
	/* a NOTIFICATION leaves when the machine is in Idle already */
	if (c->fd < 0 || c->tx_broken || c->fsm.state == FSM_CONNECT)
		return;
	while (total < TX_SLICE) {
		struct iovec iov[TX_IOV];
		bool own;
		struct msghdr mh = { .msg_iov = iov, .msg_iovlen = gather(c, iov, &own) };
		if (!mh.msg_iovlen)
			break;
		ssize_t sent = sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN) {
			broken(c, errno);
			return;
		}
		if (sent <= 0) {
			conn_watch(c, true);
			return;
		}
		account(c, iov, (unsigned)mh.msg_iovlen, own, (size_t)sent);
		total += (size_t)sent;
	}
	if (total)
		fsm_sent(&c->fsm, bgpd_now());
	conn_watch(c, total >= TX_SLICE);
}

void tx_mark(struct conn *c)
{
	struct bgpd *b = c->peer->b;
	if (c->in_output)
		return;
	c->in_output = true;
	c->next_output = b->output;
	b->output = c;
}

void tx_unmark(struct conn *c)
{
	struct conn **at = &c->peer->b->output;
	if (!c->in_output)
		return;
	while (*at != c)
		at = &(*at)->next_output;
	*at = c->next_output;
	c->in_output = false;
}

void tx_flush_all(struct bgpd *b)
{
	while (b->output) {
		struct conn *c = b->output;
		tx_unmark(c);
		tx_flush(c);
	}
}
