/* A channel on the loop. What goes out is encoded straight into a list of big chunks; what comes in
 * is decoded and handed on, a bounded number of messages a wake-up.
 */
#include "config.h"

#include "lib/ipc.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ipc_packet.h"
#include "lib/log.h"

enum { PER_WAKEUP = 64, CHUNK_ROOM = 64 * 1024, CHUNK_MIN_LEFT = 256 };

/* In a chunk, before each message's bytes. */
struct record {
	uint32_t len, nfds;
	int fds[];
};

struct chunk {
	struct chunk *next;
	size_t len, sent; /* bytes of data[] that are filled, and that have left */
	_Alignas(struct record) uint8_t data[CHUNK_ROOM];
};

struct ipc {
	ev_io rd, wr;
	struct ev_loop *loop;
	const struct ipc_ops *ops;
	void *arg;
	int fd;
	struct chunk *head, *tail;
	size_t backlog;
	bool high;   /* ipc_send() found the queue above IPC_HIGH */
	bool mute;   /* nothing can be sent any more */
	bool closed; /* on_close has been called or is about to be */
	bool *freed; /* set by ipc_free() while a handler runs */
	struct arena arena;
	uint8_t *buf; /* one packet; pages that no message reaches are never touched */
	struct err why;
};

static size_t record_size(size_t len, unsigned nfds)
{
	size_t n = sizeof(struct record) + nfds * sizeof(int) + len;

	return (n + _Alignof(struct record) - 1) & ~(_Alignof(struct record) - 1);
}

/* ---- the queue ---- */

static struct record *queue_first(struct ipc *ipc)
{
	struct chunk *c = ipc->head;

	return c && c->sent < c->len ? (struct record *)(c->data + c->sent) : NULL;
}

static struct chunk *queue_grow(struct ipc *ipc)
{
	struct chunk *c = xmalloc(sizeof(*c));

	c->next = NULL;
	c->len = c->sent = 0;
	if (ipc->tail)
		ipc->tail->next = c;
	else
		ipc->head = c;
	ipc->tail = c;
	return c;
}

/* Forgets the first record, whose descriptors this closes. The last chunk stays for the next
 * message. */
static void queue_pop(struct ipc *ipc)
{
	struct chunk *c = ipc->head;
	struct record *r = queue_first(ipc);

	for (unsigned i = 0; i < r->nfds; i++)
		close(r->fds[i]);
	c->sent += record_size(r->len, r->nfds);
	ipc->backlog -= r->len;
	if (c->sent < c->len)
		return;
	if (c->next) {
		ipc->head = c->next;
		free(c);
	} else {
		c->len = c->sent = 0;
	}
}

static void queue_drop(struct ipc *ipc)
{
	while (queue_first(ipc))
		queue_pop(ipc);
}

/* Encodes into what is left of a chunk. NULL: it does not fit. */
static struct record *queue_try(struct chunk *c, enum msg_type type, const void *body,
				unsigned nfds)
{
	size_t head = sizeof(struct record) + nfds * sizeof(int);
	size_t left = sizeof(c->data) - c->len;
	struct record *r = (struct record *)(c->data + c->len);
	struct wr w;

	if (left < head + CHUNK_MIN_LEFT)
		return NULL;
	w = wr_over((uint8_t *)r + head, left - head - _Alignof(struct record));
	msg_encode(&w, type, body);
	if (w.full)
		return NULL;
	r->len = (uint32_t)w.len;
	r->nfds = 0;
	return r;
}

/* ---- sending ---- */

/* The reason is told from the loop, never from inside ipc_send(). */
static void fail_later(struct ipc *ipc)
{
	ipc->mute = true;
	queue_drop(ipc);
	ev_feed_event(ipc->loop, &ipc->rd, EV_CUSTOM);
}

/* Sends until the queue is empty or the socket full. */
static void send_queued(struct ipc *ipc)
{
	struct record *r;
	int rc;

	while ((r = queue_first(ipc))) {
		rc = packet_send(ipc->fd, (uint8_t *)(r->fds + r->nfds), r->len, r->fds, r->nfds,
				 MSG_DONTWAIT);
		if (!rc) {
			queue_pop(ipc);
			continue;
		}
		if (rc == -EAGAIN)
			return;
		if (rc == -EPIPE || rc == -ECONNRESET) {
			/* The end may have said why before it left: the reader tells. */
			ipc->mute = true;
			queue_drop(ipc);
			return;
		}
		err_sys(&ipc->why, -rc, "sending");
		fail_later(ipc);
		return;
	}
}

/* The writer stays on while there is something to send or a producer to wake. */
static void update_writer(struct ipc *ipc)
{
	if (!ipc->closed && !ipc->mute && (queue_first(ipc) || ipc->high))
		ev_io_start(ipc->loop, &ipc->wr);
	else
		ev_io_stop(ipc->loop, &ipc->wr);
}

static int dup_fds(struct record *r, const int *fds, unsigned nfds)
{
	for (; r->nfds < nfds; r->nfds++) {
		r->fds[r->nfds] = fcntl(fds[r->nfds], F_DUPFD_CLOEXEC, 0);
		if (r->fds[r->nfds] < 0)
			return -1;
	}
	return 0;
}

void ipc_send_fds(struct ipc *ipc, enum msg_type type, const void *body, const int *fds,
		  unsigned nfds)
{
	struct record *r = NULL;
	bool idle;
	struct err err;

	if (packet_check_fds(type, nfds, &err)) {
		log_error("ipc", "%s: a fault in the program", err.text);
		abort();
	}
	if (ipc->mute || ipc->closed)
		return;
	idle = !queue_first(ipc);
	if (ipc->tail)
		r = queue_try(ipc->tail, type, body, nfds);
	if (!r)
		r = queue_try(queue_grow(ipc), type, body, nfds);
	if (!r) {
		log_error("ipc", "%s is longer than a message can be: a fault in the program",
			  msg_name(type));
		abort();
	}
	if (dup_fds(r, fds, nfds)) {
		err_sys(&ipc->why, errno, "%s: duplicating a descriptor", msg_name(type));
		while (r->nfds)
			close(r->fds[--r->nfds]);
		fail_later(ipc);
		return;
	}
	ipc->tail->len += record_size(r->len, r->nfds);
	ipc->backlog += r->len;
	if (idle)
		send_queued(ipc);
	if (ipc->backlog > IPC_HIGH)
		ipc->high = true;
	update_writer(ipc);
}

void ipc_send(struct ipc *ipc, enum msg_type type, const void *body)
{
	ipc_send_fds(ipc, type, body, NULL, 0);
}

void ipc_flush(struct ipc *ipc)
{
	if (ipc->mute || ipc->closed)
		return;
	send_queued(ipc);
	update_writer(ipc);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct ipc *ipc = w->data;
	bool drained;

	(void)loop;
	(void)revents;
	send_queued(ipc);
	drained = ipc->high && !ipc->mute && ipc->backlog < IPC_LOW;
	if (drained)
		ipc->high = false;
	update_writer(ipc);
	if (drained && ipc->ops->on_drain)
		ipc->ops->on_drain(ipc, ipc->arg);
}

/* ---- receiving ---- */

static void tell_closed(struct ipc *ipc)
{
	struct err why = ipc->why;

	ipc->closed = true;
	ipc->mute = true;
	queue_drop(ipc);
	ev_io_stop(ipc->loop, &ipc->rd);
	ev_io_stop(ipc->loop, &ipc->wr);
	ipc->ops->on_close(ipc, ipc->arg, &why);
}

/* One packet to a message. 1 = a message; 0 = none for now; -1 = the end, ipc->why says which. */
static int receive(struct ipc *ipc, struct packet *p, struct msg *m)
{
	int rc = packet_recv(ipc->fd, ipc->buf, MSG_MAX, MSG_DONTWAIT, p);

	/* ECONNRESET (the end closed with messages of ours unread) comes once, before what the
	 * end had sent; then come those messages, then the end of file. */
	if (rc == -ECONNRESET) {
		ipc->mute = true;
		queue_drop(ipc);
		rc = packet_recv(ipc->fd, ipc->buf, MSG_MAX, MSG_DONTWAIT, p);
	}
	if (rc == -EAGAIN)
		return 0;
	if (!rc)
		return err_set(&ipc->why, "closed by the other end");
	if (rc == -EMSGSIZE)
		return err_set(&ipc->why, "a packet beyond what a message may hold");
	if (rc < 0)
		return err_sys(&ipc->why, -rc, "receiving");
	arena_reset(&ipc->arena);
	if (msg_decode(ipc->buf, p->len, &ipc->arena, m, &ipc->why) ||
	    packet_check_fds(m->type, p->nfds, &ipc->why)) {
		packet_close_fds(p);
		return -1;
	}
	m->fds = p->fds;
	m->nfds = p->nfds;
	return 1;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct ipc *ipc = w->data;
	bool freed = false;
	struct packet p;
	struct msg m;
	int rc;

	(void)loop;
	if (revents & EV_CUSTOM) {
		tell_closed(ipc);
		return;
	}
	for (int i = 0; i < PER_WAKEUP; i++) {
		rc = receive(ipc, &p, &m);
		if (rc < 0)
			tell_closed(ipc);
		if (rc <= 0)
			return;
		ipc->freed = &freed;
		ipc->ops->on_msg(ipc, ipc->arg, &m);
		if (freed)
			return;
		ipc->freed = NULL;
	}
}

struct ipc *ipc_new(struct ev_loop *loop, int fd, const struct ipc_ops *ops, void *arg)
{
	struct ipc *ipc = xcalloc(1, sizeof(*ipc));

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	ipc->fd = fd;
	ipc->loop = loop;
	ipc->ops = ops;
	ipc->arg = arg;
	ipc->buf = xmalloc(MSG_MAX);
	ev_io_init(&ipc->rd, on_readable, fd, EV_READ);
	ev_io_init(&ipc->wr, on_writable, fd, EV_WRITE);
	ipc->rd.data = ipc->wr.data = ipc;
	ev_io_start(loop, &ipc->rd);
	return ipc;
}

void ipc_free(struct ipc *ipc)
{
	if (!ipc)
		return;
	if (ipc->freed)
		*ipc->freed = true;
	queue_drop(ipc);
	free(ipc->head);
	/* Stopping clears a fed event too. */
	ev_io_stop(ipc->loop, &ipc->rd);
	ev_io_stop(ipc->loop, &ipc->wr);
	close(ipc->fd);
	arena_free(&ipc->arena);
	free(ipc->buf);
	free(ipc);
}

size_t ipc_backlog(const struct ipc *ipc)
{
	return ipc->backlog;
}

long ipc_peer_uid(const struct ipc *ipc)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(ipc->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -1;
	return (long)cred.uid;
}
