#include "config.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "felix/cni_impl.h"
#include "lib/ipc.h"
#include "lib/log.h"

enum { BATCH = 16, SPOOL_INTERVAL = 5, MAX_CLIENTS = 1024 };

TAILQ_HEAD(job_queue, cni_job);
LIST_HEAD(client_list, cni_client);

struct cni_client {
	LIST_ENTRY(cni_client) next;
	struct cni_server *s;
	struct ipc *ipc;
	int fd; /* the channel's, to see whether the plugin still waits */
};

struct cni_server {
	struct cni_server_conf c;
	int listen_fd;
	ev_io accept;
	ev_prepare prepare;
	ev_idle idle; /* runs while requests are left, so that the loop does not sleep on them */
	ev_timer spool;
	struct job_queue queue;
	struct client_list clients;
	unsigned nclients;
	uint8_t *scratch; /* MSG_MAX bytes, of which only what a message takes is ever touched */
};

/* ---- jobs ---- */

static void job_free(struct cni_job *j)
{
	if (j->sock >= 0)
		close(j->sock);
	arena_free(&j->arena);
	free(j);
}

/* The message's memory is the channel's; what waits needs its own. */
static struct cni_job *job_new(struct cni_client *client, const struct msg *m)
{
	struct cni_job *j = xcalloc(1, sizeof(*j));
	struct wr w = wr_over(client->s->scratch, MSG_MAX);
	struct msg copy;

	msg_encode(&w, (enum msg_type)m->type, m->body);
	j->sock = m->nfds ? m->fds[0] : -1;
	uint8_t *packet = arena_alloc(&j->arena, w.len);
	memcpy(packet, w.buf, w.len);
	if (w.full || msg_decode(packet, w.len, &j->arena, &copy, &j->err) < 0) {
		job_free(j);
		return NULL;
	}
	j->client = client;
	j->type = (enum msg_type)m->type;
	j->body = copy.body;
	return j;
}

static void answer_error(struct cni_client *cl, uint32_t code, const char *text)
{
	struct m_cni_error e = { .code = code, .text = text, .details = "" };

	ipc_send(cl->ipc, M_CNI_ERROR, &e);
}

static struct addr gateway(enum family fam)
{
	static const uint8_t v4[4] = { 169, 254, 1, 1 };
	static const uint8_t v6[16] = { 0xfe, 0x80, 0,	  0,	0,    0,    0,	  0,
					0xec, 0xee, 0xee, 0xff, 0xfe, 0xee, 0xee, 0xee };

	return addr_make(fam, fam == FAM_V4 ? v4 : v6);
}

static void answer_add(const struct cni_job *j)
{
	struct m_cni_ip ips[2];
	struct m_cni_result r = {
		.host_ifname = j->host,
		.host_mac = j->plumbed.host_mac,
		.pod_mac = j->plumbed.pod_mac,
		.mtu = j->mtu,
	};

	for (unsigned i = 0; i < j->naddrs; i++)
		ips[i] = (struct m_cni_ip){ prefix_host(&j->addrs[i]),
					    gateway((enum family)j->addrs[i].fam) };
	r.ips.n = j->naddrs;
	r.ips.v = ips;
	ipc_send(j->client->ipc, M_CNI_RESULT, &r);
}

static const char *verb(const struct cni_job *j)
{
	return j->type == M_CNI_ADD ? "ADD" : j->type == M_CNI_DEL ? "DEL" : "CHECK";
}

static void log_outcome(const struct cni_job *j)
{
	char addrs[2 * ADDR_STRLEN + 2] = "", text[ADDR_STRLEN];

	if (j->code) {
		log_obj(LOG_WARN, "cni", "container", cni_job_container(j), "%s refused (%u): %s",
			verb(j), j->code, j->err.text);
		return;
	}
	for (unsigned i = 0; i < j->naddrs && j->type == M_CNI_ADD; i++) {
		strcat(addrs, " ");
		strcat(addrs, addr_format(&j->addrs[i], text, sizeof(text)));
	}
	log_obj(LOG_INFO, "cni", "container", cni_job_container(j), "%s done%s%s%s", verb(j),
		*j->host ? " " : "", j->host, addrs);
}

static void answer(const struct cni_job *j)
{
	log_outcome(j);
	if (!j->client)
		return;
	if (j->code)
		answer_error(j->client, j->code, j->err.text);
	else if (j->type == M_CNI_ADD)
		answer_add(j);
	else
		ipc_send(j->client->ipc, M_CNI_OK, NULL);
}

/* An ADD whose plugin was killed is not begun: its DEL may have been served already. */
static bool is_abandoned(const struct cni_job *j)
{
	if (j->type != M_CNI_ADD)
		return false;
	if (!j->client)
		return true;
	struct pollfd p = { .fd = j->client->fd, .events = POLLRDHUP };
	return poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* Takes what can be done together: in order of arrival, each attachment once. */
static unsigned take_batch(struct cni_server *s, struct cni_job *jobs[BATCH])
{
	struct cni_job *j;
	unsigned n = 0;

	while (n < BATCH && (j = TAILQ_FIRST(&s->queue))) {
		for (unsigned i = 0; i < n; i++)
			if (cni_job_same_key(jobs[i], j))
				return n;
		TAILQ_REMOVE(&s->queue, j, next);
		if (is_abandoned(j)) {
			log_obj(LOG_WARN, "cni", "container", cni_job_container(j),
				"ADD not begun: the plugin is gone");
			job_free(j);
			continue;
		}
		jobs[n++] = j;
	}
	return n;
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct cni_server *s = w->data;
	struct cni_job *jobs[BATCH];
	unsigned n = take_batch(s, jobs);

	(void)revents;
	if (n)
		cni_work(&s->c, jobs, n);
	for (unsigned i = 0; i < n; i++) {
		answer(jobs[i]);
		job_free(jobs[i]);
	}
	if (TAILQ_EMPTY(&s->queue))
		ev_idle_stop(loop, &s->idle);
	else
		ev_idle_start(loop, &s->idle);
}

static void on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* ---- clients ---- */

static void client_free(struct cni_client *cl)
{
	struct cni_job *j;

	TAILQ_FOREACH(j, &cl->s->queue, next)
	if (j->client == cl)
		j->client = NULL;
	LIST_REMOVE(cl, next);
	cl->s->nclients--;
	ipc_free(cl->ipc);
	free(cl);
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct cni_client *cl = arg;
	struct cni_job *j;

	(void)ipc;
	if (m->type != M_CNI_ADD && m->type != M_CNI_DEL && m->type != M_CNI_CHECK) {
		log_warn("cni", "%s is no request for cni.sock; the connection is closed",
			 msg_name(m->type));
		client_free(cl);
		return;
	}
	j = job_new(cl, m);
	if (!j) {
		answer_error(cl, CNI_CODE_IO, "the request cannot be kept");
		return;
	}
	TAILQ_INSERT_TAIL(&cl->s->queue, j, next);
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	(void)ipc;
	log_debug("cni", "connection: %s", why->text);
	client_free(arg);
}

static const struct ipc_ops client_ops = { .on_msg = on_msg, .on_close = on_close };

void cni_server_client(struct cni_server *s, int fd)
{
	struct cni_client *cl = xcalloc(1, sizeof(*cl));

	cl->s = s;
	cl->fd = fd;
	cl->ipc = ipc_new(s->c.loop, fd, &client_ops, cl);
	LIST_INSERT_HEAD(&s->clients, cl, next);
	s->nclients++;
	long uid = ipc_peer_uid(cl->ipc);
	if (uid == 0)
		return;
	log_warn("cni", "a process of uid %ld asked on cni.sock; only root may", uid);
	client_free(cl);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct cni_server *s = w->data;

	(void)loop;
	(void)revents;
	/* The rest waits in the kernel's queue until one is done. */
	while (s->nclients < MAX_CLIENTS) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			cni_server_client(s, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN)
			log_warn("cni", "accept on cni.sock: %s", strerror(errno));
		return;
	}
}

/* ---- the spool ---- */

static void drain_spool(struct cni_server *s)
{
	struct cni_job jobs[BATCH], *list[BATCH];
	char names[BATCH][64];
	unsigned n, done;

	do {
		n = cni_spool_read(s->c.spool_dir, jobs, names, BATCH);
		for (unsigned i = 0; i < n; i++)
			list[i] = &jobs[i];
		if (n)
			cni_work(&s->c, list, n);
		done = 0;
		for (unsigned i = 0; i < n; i++) {
			log_outcome(&jobs[i]);
			/* One that failed stays and is tried again. */
			if (!jobs[i].code && unlinkat(s->c.spool_dir, names[i], 0) == 0)
				done++;
			arena_free(&jobs[i].arena);
		}
	} while (n == BATCH && done > 0);
}

static void on_spool(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cni_server *s = w->data;

	(void)loop;
	(void)revents;
	drain_spool(s);
}

/* ---- start and end ---- */

struct cni_server *cni_server_new(const struct cni_server_conf *conf, int listen_fd)
{
	struct cni_server *s = xcalloc(1, sizeof(*s));

	s->c = *conf;
	s->scratch = xmalloc(MSG_MAX);
	s->listen_fd = listen_fd;
	TAILQ_INIT(&s->queue);
	LIST_INIT(&s->clients);
	ev_prepare_init(&s->prepare, on_prepare);
	ev_idle_init(&s->idle, on_idle);
	ev_timer_init(&s->spool, on_spool, SPOOL_INTERVAL, SPOOL_INTERVAL);
	ev_io_init(&s->accept, on_accept, listen_fd, EV_READ);
	s->prepare.data = s->idle.data = s->spool.data = s->accept.data = s;
	ev_prepare_start(conf->loop, &s->prepare);
	if (conf->spool_dir >= 0) {
		drain_spool(s);
		ev_timer_start(conf->loop, &s->spool);
	}
	if (listen_fd >= 0)
		ev_io_start(conf->loop, &s->accept);
	return s;
}

void cni_server_free(struct cni_server *s)
{
	struct cni_client *cl;
	struct cni_job *j;

	if (!s)
		return;
	while ((cl = LIST_FIRST(&s->clients)))
		client_free(cl);
	while ((j = TAILQ_FIRST(&s->queue))) {
		TAILQ_REMOVE(&s->queue, j, next);
		job_free(j);
	}
	ev_prepare_stop(s->c.loop, &s->prepare);
	ev_idle_stop(s->c.loop, &s->idle);
	ev_timer_stop(s->c.loop, &s->spool);
	ev_io_stop(s->c.loop, &s->accept);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	free(s->scratch);
	free(s);
}
