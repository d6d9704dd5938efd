#include "config.h"

#include "lib/child.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ipc_packet.h"
#include "lib/log.h"
#include "lib/sandbox.h"

#define SUB "child"

enum { INIT_WAIT_MS = 10000 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

/* The channel's own struct ipc comes later, in the sandbox. */
static int read_packet(void *buf, size_t cap, struct packet *p, struct err *err)
{
	struct pollfd pfd = { CHILD_FD, POLLIN, 0 };

	int got = poll(&pfd, 1, INIT_WAIT_MS);
	if (got <= 0)
		return err_sys(err, got ? errno : ETIMEDOUT, "no first message from noded");
	int r = packet_recv(CHILD_FD, buf, cap, 0, p);
	if (r < 0)
		return err_sys(err, -r, "cannot read the first message from noded");
	if (r == 0)
		return err_set(err, "noded closed the channel before its first message");
	return 0;
}

/* Where a descriptor of that kind goes; NULL: this version does not know it. */
static int *fd_place(struct child_fds *f, unsigned kind)
{
	switch (kind) {
	case INIT_CHANNEL:
		return &f->channel;
	case INIT_CHROOT:
		return &f->chroot;
	case INIT_CNI:
		return &f->cni;
	case INIT_STATE_DIR:
		return &f->state_dir;
	case INIT_STORE_DIR:
		return &f->store_dir;
	case INIT_SPOOL_DIR:
		return &f->spool_dir;
	case INIT_KUBE:
		return &f->kube;
	case INIT_LISTENER:
		if (f->nlisteners < sizeof(f->listeners) / sizeof(f->listeners[0]))
			return &f->listeners[f->nlisteners++];
		return NULL;
	default:
		return NULL;
	}
}

static int place_fds(struct child *c, const struct m_init *init, const int *fds, unsigned nfds,
		     int *config, struct err *err)
{
	if (init->fds.n != nfds) {
		close_all(fds, nfds);
		return err_set(err, "noded named %u descriptors and sent %u", init->fds.n, nfds);
	}
	for (unsigned i = 0; i < nfds; i++) {
		unsigned kind = init->fds.v[i].kind;
		int *place = kind == INIT_CONFIG ? config : fd_place(&c->fds, kind);
		if (!place) {
			close(fds[i]);
			continue;
		}
		close_fd(place);
		*place = fds[i];
	}
	if (*config < 0)
		return err_set(err, "noded sent no configuration");
	return 0;
}

static int load_conf(struct child *c, int fd, const char *path, struct err *err)
{
	struct arena arena = { 0 };
	struct problems problems = { .arena = &arena };
	c->conf = nodeconf_load_fd(fd, path, &problems);
	if (!c->conf)
		err_set(err, "%s", problems.n ? problems.text[0] : "the configuration is wrong");
	arena_free(&arena);
	return c->conf ? 0 : -1;
}

static int enter(struct child *c, const struct m_init *init, bool keep_net_admin, struct err *err)
{
	struct sandbox s = { .uid = init->uid,
			     .gid = init->gid,
			     .chroot_fd = c->fds.chroot,
			     .keep_net_admin = keep_net_admin };
	if (sandbox_enter(&s, err))
		return err_ctx(err, "giving up privileges");
	/* The open folder would be a way to look outside of later, smaller roots. */
	close_fd(&c->fds.chroot);
	/* Only now: a change of user clears it. SIGTERM, so that sessions are closed as on any
	 * stop. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	return 0;
}

/* M_INIT to a filled struct child. */
static int take_init(struct child *c, bool keep_net_admin, struct arena *arena, struct err *err)
{
	struct packet p;
	int config = -1;
	uint8_t *buf = arena_alloc(arena, MSG_MAX);
	struct msg m = { 0 };

	if (read_packet(buf, MSG_MAX, &p, err))
		return -1;
	if (msg_decode(buf, p.len, arena, &m, err) || m.type != M_INIT) {
		packet_close_fds(&p);
		return m.type && m.type != M_INIT
			       ? err_set(err, "the first message from noded is %s, not M_INIT",
					 msg_name(m.type))
			       : err_ctx(err, "the first message from noded");
	}
	const struct m_init *init = m.body;
	c->restarts = init->restarts;
	c->check_only = init->check_only;
	snprintf(c->node, sizeof(c->node), "%s", init->node);
	int r = place_fds(c, init, p.fds, p.nfds, &config, err);
	if (!r)
		r = enter(c, init, keep_net_admin, err);
	if (!r)
		r = load_conf(c, config, init->config_path, err);
	close_fd(&config);
	return r;
}

static int check_channel(const char *proc, struct err *err)
{
	int type = 0;
	socklen_t len = sizeof(type);
	if (getsockopt(CHILD_FD, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET)
		return err_set(err, "%s is not started by hand; start noded, which starts it",
			       proc);
	fcntl(CHILD_FD, F_SETFD, FD_CLOEXEC);
	return 0;
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m);
static void on_close(struct ipc *ipc, void *arg, const struct err *why);

static const struct ipc_ops noded_ops = { .on_msg = on_msg, .on_close = on_close };

int child_start(struct child *c, const char *proc, bool keep_net_admin, struct err *err)
{
	*c = (struct child){ .fds = { .channel = -1,
				      .chroot = -1,
				      .cni = -1,
				      .state_dir = -1,
				      .store_dir = -1,
				      .spool_dir = -1,
				      .kube = -1 },
			     .priv = { .ready = -1 } };
	for (size_t i = 0; i < sizeof(c->fds.listeners) / sizeof(c->fds.listeners[0]); i++)
		c->fds.listeners[i] = -1;
	log_init(proc, LOG_INFO);
	prctl(PR_SET_NAME, proc);
	signal(SIGPIPE, SIG_IGN);
	/* Ctrl-C in a terminal and a hangup reach the whole group: noded says when to stop. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (check_channel(proc, err)) {
		log_error(SUB, "%s", err->text);
		return -1;
	}

	struct arena arena = { 0 };
	int r = take_init(c, keep_net_admin, &arena, err);
	arena_free(&arena);
	if (r) {
		struct m_fatal fatal = { err->text };
		struct err ignored;
		if (ipc_sync_send(CHILD_FD, M_FATAL, &fatal, NULL, 0, &ignored))
			log_error(SUB, "%s", err->text);
		return -1;
	}
	log_init(proc, (enum log_level)c->conf->log_level);
	c->loop = ev_default_loop(EVFLAG_NOENV);
	if (!c->loop)
		return err_set(err, "libev finds no way to wait for events");
	c->noded = ipc_new(c->loop, CHILD_FD, &noded_ops, c);
	return 0;
}

static void stop(struct child *c)
{
	if (c->priv.stopping)
		return;
	c->priv.stopping = true;
	if (c->priv.ops && c->priv.ops->on_stop)
		c->priv.ops->on_stop(c->priv.arg);
	if (c->noded)
		ipc_flush(c->noded);
	ev_break(c->loop, EVBREAK_ALL);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct child *c = arg;
	const struct child_ops *ops = c->priv.ops;
	(void)ipc;

	if (m->type == M_CHANNEL && m->nfds == 1 && ops && ops->on_channel) {
		ops->on_channel(c->priv.arg, m->fds[0]);
		return;
	}
	if (m->type == M_CTL_CLIENT && m->nfds == 1 && ops && ops->on_ctl_client) {
		const struct m_ctl_client *b = m->body;
		ops->on_ctl_client(c->priv.arg, m->fds[0], b->readonly);
		return;
	}
	if (m->type == M_KUBE_ACCESS && m->nfds == 1 && ops && ops->on_kube_access) {
		ops->on_kube_access(c->priv.arg, m->fds[0]);
		return;
	}
	close_all(m->fds, m->nfds);
	if (m->type == M_LOG_LEVEL) {
		const struct m_log_level *b = m->body;
		if (b->level <= LOG_DEBUG)
			log_set_level(b->sub[0] ? b->sub : NULL, (enum log_level)b->level);
		return;
	}
	log_warn(SUB, "noded sent %s, which this process does not serve", msg_name(m->type));
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct child *c = arg;
	log_warn(SUB, "noded is gone (%s); stopping", why->text);
	ipc_free(ipc);
	c->noded = NULL;
	stop(c);
}

static void on_sigterm(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	log_info(SUB, "stopping on SIGTERM");
	stop(w->data);
}

void child_run(struct child *c, const struct child_ops *ops, void *arg)
{
	ev_signal term;
	c->priv.ops = ops;
	c->priv.arg = arg;
	ev_signal_init(&term, on_sigterm, SIGTERM);
	term.data = c;
	ev_signal_start(c->loop, &term);
	if (!c->priv.stopping)
		ev_run(c->loop, 0);
	ev_signal_stop(c->loop, &term);
	/* What main() still releases is not cut short by a second one. */
	signal(SIGTERM, SIG_IGN);
}

void child_free(struct child *c)
{
	ipc_free(c->noded);
	c->noded = NULL;
	nodeconf_free(c->conf);
	c->conf = NULL;
}

void child_ready(struct child *c, bool ready, const char *reason)
{
	const char *why = reason ? reason : "";
	if (c->priv.ready == ready && !strcmp(c->priv.reason, why))
		return;
	c->priv.ready = ready;
	snprintf(c->priv.reason, sizeof(c->priv.reason), "%s", why);
	struct m_ready body = { ready, c->priv.reason };
	if (c->noded)
		ipc_send(c->noded, M_READY, &body);
}

struct kube_access *child_kube_access(int fd, struct err *err)
{
	struct kube_access *a = NULL;
	struct stat st;

	if (fstat(fd, &st) || st.st_size > KUBE_MAX_ENCODED) {
		err_set(err, "the access to the API that noded sent cannot be read");
		return NULL;
	}
	size_t len = (size_t)st.st_size;
	char *data = xmalloc(len);
	/* By position: noded passes the same descriptor again at a restart. */
	ssize_t n = pread(fd, data, len, 0);

	if (n == (ssize_t)len)
		a = kube_access_decode(data, len, err);
	else
		err_set(err, "the access to the API that noded sent cannot be read");
	explicit_bzero(data, len);
	free(data);
	return a;
}

void child_kube_refresh(struct child *c)
{
	if (c->noded)
		ipc_send(c->noded, M_KUBE_REFRESH, NULL);
}

void child_fatal(struct child *c, const char *text)
{
	struct m_fatal body = { text };
	if (c->noded) {
		ipc_send(c->noded, M_FATAL, &body);
		ipc_flush(c->noded);
	} else {
		log_error(SUB, "%s", text);
	}
	exit(1);
}
