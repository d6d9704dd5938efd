#include "config.h"

#include "bgpd/linger.h"

#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/arena.h"

enum { LINGER_MAX = 256 };

struct item {
	struct linger_list *list;
	struct item *next;
	ev_io io;
	ev_timer timer;
};

struct linger_list {
	struct ev_loop *loop;
	struct item *items;
	unsigned n;
};

struct linger_list *linger_new(struct ev_loop *loop)
{
	struct linger_list *l = xcalloc(1, sizeof(*l));
	l->loop = loop;
	return l;
}

static void drop(struct item *it)
{
	struct item **at = &it->list->items;
	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	it->list->n--;
	ev_io_stop(it->list->loop, &it->io);
	ev_timer_stop(it->list->loop, &it->timer);
	close(it->io.fd);
	free(it);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	uint8_t waste[4096];
	(void)loop, (void)revents;
	ssize_t n = recv(w->fd, waste, sizeof(waste), MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	drop(w->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	drop(w->data);
}

void linger_add(struct linger_list *l, int fd)
{
	if (shutdown(fd, SHUT_WR) < 0 || l->n >= LINGER_MAX) {
		close(fd);
		return;
	}
	struct item *it = xcalloc(1, sizeof(*it));
	it->list = l;
	it->next = l->items;
	l->items = it;
	l->n++;
	ev_io_init(&it->io, on_readable, fd, EV_READ);
	ev_timer_init(&it->timer, on_timeout, 1., 0.);
	it->io.data = it->timer.data = it;
	ev_io_start(l->loop, &it->io);
	ev_timer_start(l->loop, &it->timer);
}

void linger_free(struct linger_list *l)
{
	while (l->items)
		drop(l->items);
	free(l);
}
