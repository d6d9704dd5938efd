#include "config.h"

#include "noded/control.h"

#include <errno.h>
#include <ev.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/ipc.h"
#include "lib/log.h"
#include "noded/children.h"

#define SUB "control"

enum { BACKLOG = 128, CLIENTS_MAX = 64 };
static const ev_tstamp IDLE = 30.0; /* s that a client may stay silent */

struct client {
	struct control *control;
	struct client *next, **at;
	bool readonly;
	ev_io io;
	ev_timer idle;
};

struct control {
	struct ev_loop *loop;
	const char *node;
	time_t since;
	struct children *children;
	ev_io ctl, ro;
	struct client *clients;
	unsigned nclients;
	char reason[512];
};

int control_bind(const char *run, const char *name, unsigned mode, uint32_t gid, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", run, name);

	if (n >= (int)sizeof(sun.sun_path))
		return err_set(err,
			       "state.run: %s/%s is longer than the %zu characters that a socket's "
			       "path can have; choose a shorter folder",
			       run, name, sizeof(sun.sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, errno, "%s: no socket", name);
	/* The lock on the folder is held: whoever bound this is dead. */
	unlink(sun.sun_path);
	mode_t old = umask(0177);
	int bad = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(old);
	if (!bad && gid != getegid())
		bad = lchown(sun.sun_path, geteuid(), gid);
	if (!bad && mode != 0600)
		bad = chmod(sun.sun_path, mode);
	if (!bad && !listen(fd, BACKLOG))
		return fd;
	int e = errno;
	close(fd);
	return err_sys(err, e, "state.run: cannot make the socket %s", sun.sun_path);
}

static void client_free(struct client *cl)
{
	struct control *c = cl->control;

	ev_io_stop(c->loop, &cl->io);
	ev_timer_stop(c->loop, &cl->idle);
	close(cl->io.fd);
	*cl->at = cl->next;
	if (cl->next)
		cl->next->at = cl->at;
	c->nclients--;
	free(cl);
}

/* Answers are a few short packets; a client that does not take them is let go. */
static int answer(const struct client *cl, enum msg_type type, const void *body)
{
	struct err ignored;
	return ipc_sync_send(cl->io.fd, type, body, NULL, 0, &ignored);
}

static int refuse(const struct client *cl, const char *why)
{
	struct m_ctl_error body = { why };
	return answer(cl, M_CTL_ERROR, &body);
}

static int answer_rows(const struct client *cl)
{
	struct control *c = cl->control;
	struct m_ctl_node node = { c->node, PACKAGE_VERSION };
	struct m_ctl_daemon self = { .name = "noded",
				     .state = "running",
				     .pid = (uint32_t)getpid(),
				     .since = (uint64_t)c->since,
				     .pss = process_pss(getpid()),
				     .ready = children_ready(c->children) && !c->reason[0],
				     .reason = c->reason };
	char text[512];

	if (!self.ready && !c->reason[0])
		self.reason = CTL_REASON_DAEMON;
	if (answer(cl, M_CTL_NODE, &node) || answer(cl, M_CTL_DAEMON, &self))
		return -1;
	for (int i = 0; i < NDAEMONS; i++) {
		struct m_ctl_daemon row;
		children_row(c->children, (enum daemon_id)i, &row, text, sizeof(text));
		if (answer(cl, M_CTL_DAEMON, &row))
			return -1;
	}
	return answer(cl, M_CTL_END, NULL);
}

/* 1: the client is no longer noded's. */
static int on_open(struct client *cl, const struct m_ctl_open *m)
{
	struct err err = { 0 };

	if (m->target == CTL_NODED)
		return answer_rows(cl);
	if (m->target != CTL_BGPD && m->target != CTL_FELIX)
		return refuse(cl,
			      "noded knows no such daemon; nodectl and noded differ in version");
	enum daemon_id id = m->target == CTL_BGPD ? BGPD : FELIX;
	if (!children_hand_client(cl->control->children, id, cl->io.fd, cl->readonly, &err))
		return 1;
	return refuse(cl, err.text);
}

static int on_log_level(const struct client *cl, const struct m_log_level *m)
{
	if (cl->readonly)
		return refuse(
			cl, "this socket only reads; the log level is set by root, over ctl.sock");
	if (m->level > LOG_DEBUG)
		return refuse(cl, "no such log level: give error, warn, info or debug");
	log_set_level(m->sub[0] ? m->sub : NULL, (enum log_level)m->level);
	children_log_level(cl->control->children, m);
	log_info(SUB, "log level %s for %s", log_level_name((enum log_level)m->level),
		 m->sub[0] ? m->sub : "all");
	return answer(cl, M_CTL_END, NULL);
}

/* One packet; what the client sends after M_CTL_OPEN stays in the socket for the daemon. */
static int serve(struct client *cl)
{
	static const char wrong[] = "not a message of Selvage's control protocol";
	struct arena arena = { 0 };
	struct err err = { 0 };
	struct msg m = { 0 };
	uint8_t buf[4096];
	int r = -1;

	/* No room for descriptors is given: the kernel drops what is sent along. */
	ssize_t n = recv(cl->io.fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0 && n <= (ssize_t)sizeof(buf) && !msg_decode(buf, (size_t)n, &arena, &m, &err)) {
		if (m.type == M_CTL_OPEN)
			r = on_open(cl, m.body);
		else if (m.type == M_LOG_LEVEL)
			r = on_log_level(cl, m.body);
		else
			(void)refuse(cl, "noded does not serve this message");
	} else if (n > 0) {
		(void)refuse(cl, wrong);
	}
	arena_free(&arena);
	return r;
}

static void on_client(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *cl = w->data;
	(void)revents;
	if (serve(cl))
		client_free(cl);
	else
		ev_timer_again(loop, &cl->idle);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	client_free(w->data);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct control *c = w->data;
	(void)revents;

	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (c->nclients >= CLIENTS_MAX) {
		close(fd);
		return;
	}
	struct client *cl = xcalloc(1, sizeof(*cl));
	cl->control = c;
	cl->readonly = w == &c->ro;
	cl->next = c->clients;
	cl->at = &c->clients;
	if (cl->next)
		cl->next->at = &cl->next;
	c->clients = cl;
	c->nclients++;
	ev_io_init(&cl->io, on_client, fd, EV_READ);
	ev_timer_init(&cl->idle, on_idle, 0.0, IDLE);
	cl->io.data = cl->idle.data = cl;
	ev_io_start(loop, &cl->io);
	ev_timer_again(loop, &cl->idle);
}

static int listen_on(struct control *c, ev_io *io, const char *run, const char *name, unsigned mode,
		     uint32_t gid, struct err *err)
{
	int fd = control_bind(run, name, mode, gid, err);
	if (fd < 0)
		return -1;
	ev_io_init(io, on_accept, fd, EV_READ);
	io->data = c;
	ev_io_start(c->loop, io);
	return 0;
}

static void listen_off(struct control *c, ev_io *io)
{
	if (!ev_is_active(io))
		return;
	ev_io_stop(c->loop, io);
	close(io->fd);
}

struct control *control_new(struct ev_loop *loop, const char *run, const char *node,
			    struct children *children, struct err *err)
{
	struct control *c = xcalloc(1, sizeof(*c));
	const struct group *gr = getgrnam("selvage");

	c->loop = loop;
	c->node = node;
	c->since = time(NULL);
	c->children = children;
	if (!listen_on(c, &c->ctl, run, "ctl.sock", 0600, getegid(), err) &&
	    !listen_on(c, &c->ro, run, "ro.sock", gr ? 0660 : 0600, gr ? gr->gr_gid : getegid(),
		       err))
		return c;
	control_free(c);
	return NULL;
}

void control_reason(struct control *c, const char *reason)
{
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	while (c->clients)
		client_free(c->clients);
	listen_off(c, &c->ctl);
	listen_off(c, &c->ro);
	free(c);
}
