#include "config.h"

#include "bgpd/listener.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgpd/peer.h"
#include "bgpd/sockopt.h"
#include "lib/log.h"

enum { ACCEPT_SLICE = 64 };

struct listener {
	struct listeners *all;
	ev_io io;
};

struct listeners {
	struct bgpd *b;
	unsigned n;
	bool open;
	struct rate strangers;
	struct listener v[];
};

static void stranger(struct listeners *l, const struct addr *a)
{
	char text[ADDR_STRLEN];
	unsigned swallowed;
	if (!rate_allow(&l->strangers, 5, 60000, &swallowed))
		return;
	log_warn("listener", "refused a connection from %s: no BGP peer has this address%s",
		 addr_format(a, text, sizeof(text)), swallowed ? " (others were refused too)" : "");
}

static void one(struct listeners *l, int fd, const struct sockaddr_storage *ss)
{
	struct addr from = { 0 };
	uint32_t scope = 0;
	struct peer *p = NULL;
	if (addr_from_sockaddr((const struct sockaddr *)ss, &from, NULL, &scope) == 0)
		p = peer_by_address(l->b, &from, scope);
	if (p && !p->unkeyed) {
		peer_accept(p, fd, &from, scope);
		return;
	}
	if (p)
		peer_error(p, "its connection was refused: the TCP-MD5 key could not be set");
	else
		stranger(l, &from);
	close(fd);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct listener *li = w->data;
	(void)loop, (void)revents;
	for (unsigned k = 0; k < ACCEPT_SLICE; k++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		int fd = accept4(w->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			one(li->all, fd, &ss);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;
		if (errno != EAGAIN)
			log_error("listener", "cannot accept a connection: %s", strerror(errno));
		return;
	}
}

struct listeners *listeners_new(struct bgpd *b, const int *fds, unsigned n)
{
	struct listeners *l = xcalloc(1, sizeof(*l) + n * sizeof(l->v[0]));
	l->b = b;
	l->n = n;
	for (unsigned k = 0; k < n; k++) {
		l->v[k].all = l;
		ev_io_init(&l->v[k].io, on_readable, fds[k], EV_READ);
		l->v[k].io.data = &l->v[k];
	}
	return l;
}

void listeners_open(struct listeners *l)
{
	if (l->open)
		return;
	l->open = true;
	for (unsigned k = 0; k < l->n; k++)
		ev_io_start(l->b->loop, &l->v[k].io);
}

int listeners_password(struct listeners *l, const struct addr *peer, const char *password)
{
	struct err err;
	char text[ADDR_STRLEN];
	int rc = 0;
	if (!peer->fam && password[0]) {
		log_error("listener",
			  "TCP-MD5 needs the peer's address: a peer that is named by its "
			  "interface alone cannot connect with a password");
		return -1;
	}
	for (unsigned k = 0; k < l->n; k++) {
		if (sockopt_family(l->v[k].io.fd) != peer->fam ||
		    sockopt_md5(l->v[k].io.fd, peer, password, &err) == 0)
			continue;
		rc = -1;
		log_error("listener", "peer %s: %s%s; its connections are refused",
			  addr_format(peer, text, sizeof(text)), err.text,
			  err.code == ENOMEM ? " (too many keys: raise net.core.optmem_max)" : "");
	}
	return rc;
}

void listeners_gtsm(struct listeners *l, unsigned fam)
{
	struct err err;
	for (unsigned k = 0; k < l->n; k++)
		if (sockopt_family(l->v[k].io.fd) == fam &&
		    sockopt_ttl(l->v[k].io.fd, fam, 255, &err) < 0)
			log_warn("listener", "%s", err.text);
}

void listeners_free(struct listeners *l)
{
	for (unsigned k = 0; k < l->n; k++)
		ev_io_stop(l->b->loop, &l->v[k].io);
	free(l);
}
