#include "config.h"

#include "noded/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "noded/portowner.h"

#define SUB "listen"

/* A noded that was killed leaves children that take a moment to see it and let go of the port. */
enum { BIND_TRIES = 10, BIND_PAUSE_US = 100000 };

static int say_taken(const char *address, uint16_t port, struct err *err)
{
	char who[64];
	err_set(err,
		"bgp.listen: %s port %u is taken by %s; stop it, or give bgp.listen another port",
		address, port,
		portowner_find(port, who, sizeof(who))
			? "another process, perhaps another BGP daemon (bird, frr, calico-node)"
			: who);
	err->code = EADDRINUSE;
	return -1;
}

static int bind_tried(int fd, const struct sockaddr *sa, socklen_t len)
{
	bool bound = false;
	for (int i = 0; i < BIND_TRIES; i++) {
		bound = bound || !bind(fd, sa, len);
		if (bound && !listen(fd, LISTEN_BACKLOG))
			return 0;
		if (errno != EADDRINUSE)
			return errno;
		usleep(BIND_PAUSE_US);
	}
	return EADDRINUSE;
}

static int open_one(const struct conf_listen *c, struct listener *out, struct err *err)
{
	struct sockaddr_storage sa;
	char address[ADDR_STRLEN];
	const int on = 1;
	uint16_t port = (uint16_t)c->port;
	socklen_t len = addr_to_sockaddr(&c->address, port, 0, &sa);

	addr_format(&c->address, address, sizeof(address));
	snprintf(out->name, sizeof(out->name), "%s %u", address, port);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, errno, "bgp.listen: %s port %u: no socket", address, port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	int e = bind_tried(fd, (struct sockaddr *)&sa, len);
	if (!e) {
		out->fd = fd;
		return 0;
	}
	close(fd);
	if (e == EADDRINUSE)
		return say_taken(address, port, err);
	if (e == EADDRNOTAVAIL)
		return err_set(err,
			       "bgp.listen: no interface of this host has the address %s; add it, "
			       "or listen on 0.0.0.0 or ::",
			       address);
	return err_sys(err, e, "bgp.listen: cannot listen on %s port %u", address, port);
}

int listeners_open(struct listeners *l, const struct nodeconf *conf, struct err *err)
{
	const struct conf_listen *want = conf->bgp.listen.v;

	*l = (struct listeners){ 0 };
	for (uint32_t i = 0; i < conf->bgp.listen.n; i++) {
		if (l->n == LISTENERS_MAX) {
			listeners_close(l);
			return err_set(err, "bgp.listen: more than %d entries", LISTENERS_MAX);
		}
		if (!open_one(&want[i], &l->v[l->n], err)) {
			l->n++;
			continue;
		}
		/* A kernel without IPv6 and the default's "::" are no reason not to serve IPv4. */
		if (err->code == EAFNOSUPPORT && conf->bgp.listen.n > 1) {
			log_warn(SUB, "%s; going on without it", err->text);
			continue;
		}
		listeners_close(l);
		return -1;
	}
	return 0;
}

void listeners_refuse(const struct listeners *l)
{
	for (unsigned i = 0; i < l->n; i++)
		shutdown(l->v[i].fd, SHUT_RD);
}

void listeners_resume(const struct listeners *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (listen(l->v[i].fd, LISTEN_BACKLOG))
			log_error(SUB, "cannot listen on %s again: error %d", l->v[i].name, errno);
	}
}

void listeners_close(struct listeners *l)
{
	for (unsigned i = 0; i < l->n; i++)
		close(l->v[i].fd);
	l->n = 0;
}
