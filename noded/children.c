#include "config.h"

#include "noded/children.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/ipc.h"
#include "lib/log.h"
#include "noded/spawn.h"
#include "noded/supervise.h"

#define SUB "children"

static const ev_tstamp STOP_FIRST = 2.5, STOP_ALL = 5.0; /* s after children_stop() */

struct child_process {
	struct children *all;
	enum daemon_id id;
	struct sup sup;
	pid_t pid; /* 0: none */
	time_t since;
	bool told; /* to stop: once is enough */
	struct ipc *ipc;
	ev_child watcher;
};

struct children {
	struct ev_loop *loop;
	const struct setup *setup;
	int cni_sock;
	int kube; /* -1: none */
	const struct children_ops *ops;
	void *arg;
	struct child_process p[NDAEMONS];
	ev_timer timer; /* restarts; when stopping, the next stage */
	bool stopping;
	ev_tstamp stop_began;
	/* The end of a channel whose owner is not running yet; -1 none. */
	int spare;
	enum daemon_id spare_for;
};

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static enum daemon_id other(enum daemon_id id)
{
	return id == BGPD ? FELIX : BGPD;
}

static void drop_spare(struct children *c)
{
	if (c->spare >= 0)
		close(c->spare);
	c->spare = -1;
}

/* The new process's end of a channel to the other daemon. Its other end goes to the survivor at
 * once, or waits for one that is yet to start. */
static int make_channel(struct children *c, enum daemon_id id)
{
	int pair[2];

	if (c->spare >= 0 && c->spare_for == id) {
		int fd = c->spare;
		c->spare = -1;
		return fd;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		log_error(SUB, "no channel between the daemons: %s", strerror(errno));
		return -1;
	}
	struct child_process *survivor = &c->p[other(id)];
	if (survivor->ipc) {
		ipc_send_fds(survivor->ipc, M_CHANNEL, NULL, &pair[1], 1);
		close(pair[1]);
	} else {
		drop_spare(c);
		c->spare = pair[1];
		c->spare_for = other(id);
	}
	return pair[0];
}

static void send_init(struct child_process *p, int config, int channel)
{
	const struct setup *s = p->all->setup;
	struct spawn_init in;

	spawn_init_begin(&in, s, p->id, config);
	in.body.restarts = sup_restarts(&p->sup);
	spawn_init_add(&in, INIT_CHANNEL, channel, "");
	if (p->id == BGPD) {
		for (unsigned i = 0; i < s->listeners.n; i++)
			spawn_init_add(&in, INIT_LISTENER, s->listeners.v[i].fd,
				       s->listeners.v[i].name);
		spawn_init_add(&in, INIT_CHROOT, s->chroot_dir, "");
	} else {
		spawn_init_add(&in, INIT_CNI, p->all->cni_sock, "");
		spawn_init_add(&in, INIT_STATE_DIR, s->state_dir, "");
		spawn_init_add(&in, INIT_STORE_DIR, s->store_dir, "");
		spawn_init_add(&in, INIT_SPOOL_DIR, s->spool_dir, "");
		spawn_init_add(&in, INIT_KUBE, p->all->kube, "");
	}
	spawn_init_end(&in);
	ipc_send_fds(p->ipc, M_INIT, &in.body, in.fds, in.n);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m);
static void on_close(struct ipc *ipc, void *arg, const struct err *why);
static void on_exit_of(struct ev_loop *loop, ev_child *w, int revents);

static const struct ipc_ops child_ipc_ops = { .on_msg = on_msg, .on_close = on_close };

static void start(struct child_process *p)
{
	struct children *c = p->all;
	const char *name = daemon_names[p->id];
	struct err err = { 0 };
	int sock = -1;
	bool was_refusing = p->sup.refusing;

	sup_started(&p->sup, now_ms());
	int config = setup_conf_fd(c->setup, &err);
	pid_t pid = config < 0 ? -1 : spawn(c->setup->exe[p->id], name, &sock, &err);
	if (pid < 0) {
		log_error(SUB, "cannot start %s", err.text);
		if (config >= 0)
			close(config);
		sup_ended(&p->sup, now_ms(), 127 << 8);
		return;
	}
	p->pid = pid;
	p->since = time(NULL);
	p->ipc = ipc_new(c->loop, sock, &child_ipc_ops, p);
	ev_child_init(&p->watcher, on_exit_of, pid, 0);
	p->watcher.data = p;
	ev_child_start(c->loop, &p->watcher);
	if (p->id == BGPD && was_refusing)
		listeners_resume(&c->setup->listeners);
	int channel = make_channel(c, p->id);
	send_init(p, config, channel);
	close(config);
	if (channel >= 0)
		close(channel);
	log_obj(LOG_INFO, SUB, "daemon", name, "started, pid %ld", (long)pid);
}

static void arm(struct children *c)
{
	uint64_t next = SUP_NEVER, now = now_ms();

	ev_timer_stop(c->loop, &c->timer);
	for (int i = 0; i < NDAEMONS; i++) {
		uint64_t at = sup_next(&c->p[i].sup);
		next = at < next ? at : next;
	}
	if (next == SUP_NEVER)
		return;
	ev_timer_set(&c->timer, next > now ? (double)(next - now) / 1000.0 : 0.0, 0.0);
	ev_timer_start(c->loop, &c->timer);
}

static void run_due(struct children *c)
{
	bool changed = false;
	for (int i = 0; i < NDAEMONS; i++) {
		struct child_process *p = &c->p[i];
		if (sup_start_due(&p->sup, now_ms())) {
			start(p);
			changed = true;
		}
		if (sup_refuse_due(&p->sup, now_ms()) && p->id == BGPD) {
			log_warn(SUB, "bgpd is away for more than a second; BGP connections are "
				      "refused until it is back");
			listeners_refuse(&c->setup->listeners);
		}
	}
	arm(c);
	if (changed)
		c->ops->on_change(c->arg);
}

static void signal_child(const struct child_process *p, int sig)
{
	if (p->pid)
		kill(p->pid, sig);
}

static void tell_stop(struct child_process *p)
{
	if (!p->told)
		signal_child(p, SIGTERM);
	p->told = true;
}

static bool all_gone(const struct children *c)
{
	return !c->p[BGPD].pid && !c->p[FELIX].pid;
}

/* What stopping asks for now, by who is left and how long it has taken. */
static void run_stop(struct children *c)
{
	ev_tstamp gone = ev_time() - c->stop_began, wait;

	if (gone >= STOP_ALL) {
		for (int i = 0; i < NDAEMONS; i++) {
			if (c->p[i].pid)
				log_warn(SUB, "%s does not stop; killing it", daemon_names[i]);
			signal_child(&c->p[i], SIGKILL);
		}
		return;
	}
	if (c->p[BGPD].pid && gone < STOP_FIRST) {
		tell_stop(&c->p[BGPD]);
		wait = STOP_FIRST - gone;
	} else {
		tell_stop(&c->p[FELIX]);
		wait = STOP_ALL - gone;
	}
	ev_timer_stop(c->loop, &c->timer);
	ev_timer_set(&c->timer, wait + 0.001, 0.0);
	ev_timer_start(c->loop, &c->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct children *c = w->data;
	(void)loop;
	(void)revents;
	if (c->stopping)
		run_stop(c);
	else
		run_due(c);
}

static void log_end(const struct child_process *p, int wstatus)
{
	char why[32], next[96];
	const char *name = daemon_names[p->id];

	sup_why(wstatus, why, sizeof(why));
	if (p->all->stopping)
		log_obj(LOG_INFO, SUB, "daemon", name, "stopped: %s", why);
	else
		log_obj(LOG_ERROR, SUB, "daemon", name, "ended with %s; %s", why,
			sup_describe(&p->sup, now_ms(), next, sizeof(next)));
}

/* The process has been waited for and its channel read to the end: an M_FATAL may come after the
 * signal that tells of the death. */
static void finish(struct child_process *p)
{
	struct children *c = p->all;

	if (p->pid || p->ipc)
		return;
	if (c->spare >= 0 && c->spare_for == other(p->id))
		drop_spare(c);
	sup_ended(&p->sup, now_ms(), p->watcher.rstatus);
	log_end(p, p->watcher.rstatus);
	if (!c->stopping) {
		arm(c);
		c->ops->on_change(c->arg);
	} else if (all_gone(c)) {
		ev_timer_stop(c->loop, &c->timer);
		c->ops->on_stopped(c->arg);
	} else {
		run_stop(c);
	}
}

static void on_exit_of(struct ev_loop *loop, ev_child *w, int revents)
{
	struct child_process *p = w->data;
	(void)revents;
	ev_child_stop(loop, w);
	p->pid = 0;
	finish(p);
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct child_process *p = arg;
	ipc_free(ipc);
	p->ipc = NULL;
	/* Alive without its channel it would neither stop nor serve. */
	if (p->pid && !p->all->stopping) {
		log_debug(SUB, "%s: channel closed: %s", daemon_names[p->id], why->text);
		signal_child(p, SIGKILL);
	}
	finish(p);
}

static void on_ready(struct child_process *p, const struct m_ready *m)
{
	const char *name = daemon_names[p->id];
	/* On its way up a daemon says what it waits for; worth a warning is one that was ready. */
	enum log_level level = p->sup.ready ? LOG_WARN : LOG_INFO;

	sup_said(&p->sup, m->ready, m->reason);
	if (m->ready)
		log_obj(LOG_INFO, SUB, "daemon", name, "ready");
	else
		log_obj(level, SUB, "daemon", name, "not ready: %s", m->reason);
	p->all->ops->on_change(p->all->arg);
}

static void on_fatal(struct child_process *p, const struct m_fatal *m)
{
	if (!p->sup.was_ready && !p->all->stopping)
		p->all->ops->on_fatal(p->all->arg, p->id, m->text);
	else
		log_obj(LOG_ERROR, SUB, "daemon", daemon_names[p->id], "%s", m->text);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct child_process *p = arg;
	(void)ipc;

	for (unsigned i = 0; i < m->nfds; i++)
		close(m->fds[i]);
	if (m->type == M_READY)
		on_ready(p, m->body);
	else if (m->type == M_FATAL)
		on_fatal(p, m->body);
	else if (m->type == M_KUBE_REFRESH && p->id == FELIX)
		p->all->ops->on_kube_refresh(p->all->arg);
	else
		log_warn(SUB, "%s sent %s, which is not for noded", daemon_names[p->id],
			 msg_name(m->type));
}

struct children *children_new(struct ev_loop *loop, const struct setup *setup, int cni_sock,
			      const struct children_ops *ops, void *arg)
{
	struct children *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->setup = setup;
	c->cni_sock = cni_sock;
	c->kube = -1;
	c->ops = ops;
	c->arg = arg;
	c->spare = -1;
	for (int i = 0; i < NDAEMONS; i++) {
		c->p[i].all = c;
		c->p[i].id = (enum daemon_id)i;
		sup_init(&c->p[i].sup);
	}
	ev_timer_init(&c->timer, on_timer, 0.0, 0.0);
	c->timer.data = c;
	return c;
}

void children_free(struct children *c)
{
	if (!c)
		return;
	ev_timer_stop(c->loop, &c->timer);
	for (int i = 0; i < NDAEMONS; i++) {
		ev_child_stop(c->loop, &c->p[i].watcher);
		ipc_free(c->p[i].ipc);
	}
	drop_spare(c);
	free(c);
}

void children_kube_access(struct children *c, int fd)
{
	c->kube = fd;
	if (c->p[FELIX].ipc && fd >= 0)
		ipc_send_fds(c->p[FELIX].ipc, M_KUBE_ACCESS, NULL, &fd, 1);
}

void children_start(struct children *c)
{
	run_due(c);
}

void children_stop(struct children *c)
{
	if (c->stopping)
		return;
	c->stopping = true;
	c->stop_began = ev_time();
	ev_timer_stop(c->loop, &c->timer);
	if (all_gone(c))
		c->ops->on_stopped(c->arg);
	else
		run_stop(c);
}

bool children_started(const struct children *c)
{
	return c->p[BGPD].sup.was_ready && c->p[FELIX].sup.was_ready;
}

bool children_ready(const struct children *c)
{
	return c->p[BGPD].sup.ready && c->p[FELIX].sup.ready;
}

uint64_t process_pss(long pid)
{
	char path[64], line[128];
	unsigned long long kib = 0;
	snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Pss: %llu kB", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib * 1024;
}

void children_row(const struct children *c, enum daemon_id id, struct m_ctl_daemon *row, char *text,
		  size_t size)
{
	const struct child_process *p = &c->p[id];

	*row = (struct m_ctl_daemon){
		.name = daemon_names[id],
		.state = sup_describe(&p->sup, now_ms(), text, size),
		.pid = (uint32_t)p->pid,
		.since = p->pid ? (uint64_t)p->since : 0,
		.restarts = sup_restarts(&p->sup),
		.pss = p->pid ? process_pss(p->pid) : 0,
		.ready = p->sup.ready,
		.reason = p->sup.reason,
	};
}

int children_hand_client(struct children *c, enum daemon_id id, int fd, bool readonly,
			 struct err *err)
{
	struct child_process *p = &c->p[id];
	struct m_ctl_client body = { readonly };
	char text[96];

	if (c->stopping)
		return err_set(err, "noded is stopping");
	if (!p->ipc)
		return err_set(err, "%s is not running: %s", daemon_names[id],
			       sup_describe(&p->sup, now_ms(), text, sizeof(text)));
	ipc_send_fds(p->ipc, M_CTL_CLIENT, &body, &fd, 1);
	return 0;
}

void children_log_level(struct children *c, const struct m_log_level *level)
{
	for (int i = 0; i < NDAEMONS; i++) {
		if (c->p[i].ipc)
			ipc_send(c->p[i].ipc, M_LOG_LEVEL, level);
	}
}
