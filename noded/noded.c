#include "config.h"

#include "noded/noded.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/sandbox.h"
#include "noded/access.h"
#include "noded/check.h"
#include "noded/children.h"
#include "noded/control.h"
#include "noded/notify.h"
#include "noded/options.h"

#define SUB "noded"

struct noded {
	struct ev_loop *loop;
	struct setup setup;
	struct notify notify;
	struct children *children;
	struct control *control;
	struct access *access; /* NULL: no Kubernetes API */
	int cni_sock;
	int status; /* to exit with */
	bool told_ready, stopping;
	ev_signal term, intr, hup;
	ev_timer watchdog;
};

/* 0, 1 and 2 are never a socket of ours that a stray printf() would write into. */
static void fill_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2)
		fd = dup(fd);
	if (fd > 2)
		close(fd);
}

static void raise_files(void)
{
	struct rlimit r;
	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max < 65536 ? r.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* What starting, handing on and killing the daemons takes; PTRACE only to read their memory size.
 */
static int limit_self(struct err *err)
{
	static const int keep[] = { CAP_CHOWN,	    CAP_DAC_OVERRIDE, CAP_KILL,	     CAP_SETGID,
				    CAP_SETUID,	    CAP_SETPCAP,      CAP_NET_ADMIN, CAP_NET_RAW,
				    CAP_SYS_CHROOT, CAP_SYS_PTRACE };
	uint64_t mask = 0;
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		mask |= 1ull << keep[i];
	return sandbox_limit(mask, err);
}

static void stop(struct noded *n, int status)
{
	if (n->stopping)
		return;
	n->stopping = true;
	n->status = status;
	notify_send(&n->notify, "STOPPING=1\nSTATUS=stopping");
	children_stop(n->children);
}

static void on_change(void *arg)
{
	struct noded *n = arg;
	char text[NDAEMONS][512];
	struct m_ctl_daemon row[NDAEMONS];

	if (n->stopping)
		return;
	if (!n->told_ready && children_started(n->children)) {
		n->told_ready = true;
		notify_send(&n->notify, "READY=1");
		log_info(SUB, "started");
	}
	for (int i = 0; i < NDAEMONS; i++)
		children_row(n->children, (enum daemon_id)i, &row[i], text[i], sizeof(text[i]));
	const char *why = n->access ? access_reason(n->access) : "";
	notify_send(&n->notify, "STATUS=%s%sbgpd %s%s%s; felix %s%s%s", why, why[0] ? "; " : "",
		    row[BGPD].state, row[BGPD].reason[0] ? ": " : "", row[BGPD].reason,
		    row[FELIX].state, row[FELIX].reason[0] ? ": " : "", row[FELIX].reason);
}

static void on_fatal(void *arg, enum daemon_id id, const char *text)
{
	check_print(daemon_names[id], text);
	stop(arg, 1);
}

static void on_kube_refresh(void *arg)
{
	struct noded *n = arg;
	if (n->access && !n->stopping)
		access_refresh(n->access);
}

static void on_stopped(void *arg)
{
	struct noded *n = arg;
	ev_break(n->loop, EVBREAK_ALL);
}

static const struct children_ops children_ops = { .on_change = on_change,
						  .on_fatal = on_fatal,
						  .on_kube_refresh = on_kube_refresh,
						  .on_stopped = on_stopped };

static void on_access(void *arg)
{
	struct noded *n = arg;
	children_kube_access(n->children, access_fd(n->access));
}

static void on_access_reason(void *arg)
{
	struct noded *n = arg;
	control_reason(n->control, access_reason(n->access));
	on_change(n);
}

static const struct access_ops access_ops = { .on_access = on_access,
					      .on_reason = on_access_reason };

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct noded *n = w->data;
	(void)loop;
	(void)revents;
	if (w->signum == SIGHUP) {
		log_warn(SUB,
			 "a hangup does not reload: resources are read as they change; after a "
			 "change of node.yaml, run systemctl restart selvage");
		return;
	}
	log_info(SUB, "stopping on signal %d", w->signum);
	stop(n, 0);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct noded *n = w->data;
	(void)loop;
	(void)revents;
	notify_send(&n->notify, "WATCHDOG=1");
}

static void watch_signal(struct noded *n, ev_signal *w, int sig)
{
	ev_signal_init(w, on_signal, sig);
	w->data = n;
	ev_signal_start(n->loop, w);
}

static void wire(struct noded *n)
{
	watch_signal(n, &n->term, SIGTERM);
	watch_signal(n, &n->intr, SIGINT);
	watch_signal(n, &n->hup, SIGHUP);
	if (!n->notify.watchdog_ms)
		return;
	double every = (double)n->notify.watchdog_ms / 1000.0;
	ev_timer_init(&n->watchdog, on_watchdog, every, every);
	n->watchdog.data = n;
	ev_timer_start(n->loop, &n->watchdog);
}

/* After the privileges are limited: what can be read now can be read again later. */
static int open_access(struct noded *n, struct err *err)
{
	const struct nodeconf *conf = n->setup.conf;
	struct access_config config = access_defaults(conf);

	if (conf->datastore.kind != DATASTORE_KUBERNETES)
		return 0;
	n->access = access_new(n->loop, &config, &access_ops, n, err);
	if (!n->access)
		return -1;
	on_access(n);
	control_reason(n->control, access_reason(n->access));
	return 0;
}

static int open_all(struct noded *n, struct err *err)
{
	struct setup *s = &n->setup;
	const char *run = s->conf->state.run;

	if (setup_open(s, err))
		return -1;
	n->cni_sock = control_bind(run, "cni.sock", 0600, getegid(), err);
	if (n->cni_sock < 0)
		return -1;
	n->loop = ev_default_loop(EVFLAG_NOENV);
	if (!n->loop)
		return err_set(err, "libev finds no way to wait for events");
	n->children = children_new(n->loop, s, n->cni_sock, &children_ops, n);
	n->control = control_new(n->loop, run, s->node, n->children, err);
	if (!n->control || limit_self(err))
		return -1;
	return open_access(n, err);
}

static void close_all(struct noded *n)
{
	static const char *const sockets[] = { "ctl.sock", "ro.sock", "cni.sock" };

	access_free(n->access);
	control_free(n->control);
	children_free(n->children);
	if (n->cni_sock >= 0)
		close(n->cni_sock);
	for (size_t i = 0; n->setup.lock >= 0 && i < sizeof(sockets) / sizeof(sockets[0]); i++)
		unlinkat(n->setup.run_dir, sockets[i], 0);
	setup_close(&n->setup);
}

static void log_warnings(const struct nodeconf *conf)
{
	for (uint32_t i = 0; i < conf->warnings.n; i++)
		log_warn("config", "%s", ((const char *const *)conf->warnings.v)[i]);
}

static int run(struct noded *n, const char *file)
{
	struct err err = { 0 };

	if (!sandbox_has_net_admin()) {
		fprintf(stderr, "noded: CAP_NET_ADMIN is missing, without which no route can be "
				"set; run noded as root or by the unit selvage.service\n");
		return 1;
	}
	if (setup_conf(&n->setup, file)) {
		setup_close(&n->setup);
		return 1;
	}
	log_init("noded", (enum log_level)n->setup.conf->log_level);
	log_warnings(n->setup.conf);
	if (open_all(n, &err)) {
		fprintf(stderr, "noded: %s\n", err.text);
		close_all(n);
		return 1;
	}
	log_info(SUB, "version " PACKAGE_VERSION ", node %s", n->setup.node);
	wire(n);
	children_start(n->children);
	ev_run(n->loop, 0);
	close_all(n);
	if (!n->status)
		log_info(SUB, "stopped");
	return n->status;
}

static int check(const char *file)
{
	struct setup s;
	int status = setup_conf(&s, file) ? 1 : check_run(&s);
	setup_close(&s);
	return status;
}

int noded_main(int argc, char **argv)
{
	struct noded n = { .cni_sock = -1 };
	struct options o;

	umask(022); /* modes are said where files are made; a service manager's mask is not asked */
	fill_stdio();
	signal(SIGPIPE, SIG_IGN);
	log_init("noded", LOG_INFO);
	switch (options_parse(&o, argc, argv)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_USAGE:
		return 2;
	case OPTIONS_RUN:
		break;
	}
	if (o.check)
		return check(o.file);
	notify_init(&n.notify);
	raise_files();
	return run(&n, o.file);
}
