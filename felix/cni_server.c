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

enum { BATCH = 16, SPOOL_INTERVAL = 5, MAX_CLIENTS = 1024, SEEN_SLOTS = 1024 };
static const double default_wait = 10;

TAILQ_HEAD(job_queue, cni_job);
LIST_HEAD(client_list, cni_client);

struct cni_client {
	LIST_ENTRY(cni_client) next;
	struct cni_server *s;
	struct ipc *ipc;
	int fd; /* the channel's, to see whether the plugin still waits */
};

/* When the plugins of an attachment's last DEL and of its last ADD that was served were started; 0
 * unknown. Another attachment with the same place in the table takes it: then a late request is
 * not known as such, and is left to GC. */
struct seen {
	uint64_t key, del, add;
};

struct cni_server {
	struct cni_server_conf c;
	int listen_fd;
	ev_io accept;
	ev_prepare prepare;
	ev_idle idle; /* runs while requests are left, so that the loop does not sleep on them */
	ev_timer spool;
	struct job_queue queue, waiting; /* both in order of arrival */
	unsigned nwaiting;
	uint64_t arrivals;
	struct cni_job **batch; /* in work now, or NULL */
	unsigned nbatch;
	bool wake, retry; /* somebody is told, or everybody is to be tried again */
	struct client_list clients;
	unsigned nclients;
	struct seen seen[SEEN_SLOTS];
	uint8_t *scratch; /* MSG_MAX bytes, of which only what a message takes is ever touched */
};

/* ---- jobs ---- */

static void job_free(struct cni_job *j)
{
	if (j->sock >= 0)
		close(j->sock);
	arena_free(&j->ask_arena);
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
	j->arrived = client->s->arrivals++;
	return j;
}

static void answer_error(struct cni_client *cl, uint32_t code, const char *text)
{
	struct m_cni_error e = { .code = code, .text = text, .details = "" };

	ipc_send(cl->ipc, M_CNI_ERROR, &e);
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
					    plumb_gateway((enum family)j->addrs[i].fam) };
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

/* ---- late ones ---- */

static uint64_t key_hash(const struct cni_job *j)
{
	struct ipam_owner o = cni_job_owner(j);
	const char *const parts[3] = { o.network, o.container_id, o.ifname };
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < 3; i++) {
		const char *p = parts[i];

		do
			h = (h ^ (uint8_t)*p) * 0x100000001b3u;
		while (*p++);
	}
	return h;
}

static struct seen *slot_of(struct cni_server *s, uint64_t key)
{
	return &s->seen[key % SEEN_SLOTS];
}

static uint64_t started(const struct cni_job *j)
{
	return j->type == M_CNI_DEL ? ((const struct m_cni_del *)j->body)->started
				    : ((const struct m_cni_add *)j->body)->started;
}

static void note_seen(struct cni_server *s, const struct cni_job *j)
{
	uint64_t key = key_hash(j), at = started(j);
	struct seen *slot = slot_of(s, key);

	if (at == 0 || j->type == M_CNI_CHECK)
		return;
	if (slot->key != key)
		*slot = (struct seen){ .key = key };
	uint64_t *last = j->type == M_CNI_DEL ? &slot->del : &slot->add;
	if (*last < at)
		*last = at;
}

/* Did its plugin begin before that of a request which has undone, or redone, what it asks for? An
 * ADD that the runtime has given up, and whose DEL was carried out, would be deleted by nobody; a
 * DEL that stood in the spool would end a pod that was made since. */
static bool is_late(struct cni_server *s, const struct cni_job *j)
{
	uint64_t key = key_hash(j), at = started(j);
	const struct seen *slot = slot_of(s, key);

	if (at == 0 || slot->key != key)
		return false;
	return j->type == M_CNI_ADD ? at < slot->del : j->type == M_CNI_DEL && at < slot->add;
}

/* ---- those that wait ---- */

static void insert_by_arrival(struct job_queue *q, struct cni_job *j)
{
	struct cni_job *at = TAILQ_FIRST(q);

	while (at && at->arrived < j->arrived)
		at = TAILQ_NEXT(at, next);
	if (at)
		TAILQ_INSERT_BEFORE(at, j, next);
	else
		TAILQ_INSERT_TAIL(q, j, next);
}

static void unpark(struct cni_server *s, struct cni_job *j)
{
	TAILQ_REMOVE(&s->waiting, j, next);
	s->nwaiting--;
	j->waits = CNI_WAITS_NOT;
}

static void requeue(struct cni_server *s, struct cni_job *j)
{
	unpark(s, j);
	insert_by_arrival(&s->queue, j);
}

/* Ends a job that is in no list; one that had addresses has given them up before. */
static void finish(struct cni_server *s, struct cni_job *j)
{
	ev_timer_stop(s->c.loop, &j->deadline);
	if (j->type == M_CNI_ADD && !j->code)
		note_seen(s, j);
	answer(j);
	job_free(j);
}

/* It will not be waited for any more; why NULL: as the owner said when it began to wait. */
static void end_wait(struct cni_server *s, struct cni_job *j, const char *why)
{
	unpark(s, j);
	cni_work_give_up(&s->c, j);
	j->code = why ? CNI_CODE_AGAIN : j->ask.code;
	if (why)
		err_set(&j->err, "%s", why);
	finish(s, j);
}

static void say_too_late(struct cni_job *j, double wait)
{
	if (!*j->err.text)
		err_set(&j->err, "what it needs is not there");
	err_ctx(&j->err, "waited %g s", wait);
}

static double wait_of(const struct cni_server *s)
{
	return s->c.wait > 0 ? s->c.wait : default_wait;
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cni_job *j = w->data;
	struct cni_server *s = j->client->s;

	(void)loop;
	(void)revents;
	j->expired = true;
	/* One that is about to be tried again may still succeed. */
	if (!j->waits || j->told)
		return;
	say_too_late(j, wait_of(s));
	end_wait(s, j, NULL);
}

static void park(struct cni_server *s, struct cni_job *j)
{
	insert_by_arrival(&s->waiting, j);
	s->nwaiting++;
	if (j->expired && !j->told) {
		say_too_late(j, wait_of(s));
		end_wait(s, j, NULL);
		return;
	}
	if (ev_is_active(&j->deadline))
		return;
	log_obj(LOG_DEBUG, "cni", "container", cni_job_container(j), "ADD waits: %s", j->err.text);
	ev_timer_init(&j->deadline, on_deadline, wait_of(s), 0.);
	j->deadline.data = j;
	ev_timer_start(s->c.loop, &j->deadline);
}

/* The lists change in our own turn alone, so that the owner may speak from anywhere. */
static void wake(struct cni_server *s)
{
	s->wake = true;
	/* It may do so between our prepare watcher and the loop's sleep. */
	ev_idle_start(s->c.loop, &s->idle);
}

void cni_server_retry(struct cni_server *s)
{
	if (!s->nwaiting && !s->nbatch)
		return;
	s->retry = true;
	wake(s);
}

static bool is_add_of(const struct cni_job *j, const struct ipam_owner *o)
{
	struct ipam_owner own = cni_job_owner(j);

	return j->type == M_CNI_ADD && strcmp(own.container_id, o->container_id) == 0 &&
	       strcmp(own.ifname, o->ifname) == 0 && strcmp(own.network, o->network) == 0;
}

void cni_server_settled(struct cni_server *s, const struct ipam_owner *owner, bool ok)
{
	struct cni_job *j;

	/* One that is in work does not wait yet. */
	for (unsigned i = 0; i < s->nbatch; i++)
		if (is_add_of(s->batch[i], owner))
			s->batch[i]->told = ok ? 1 : -1;
	TAILQ_FOREACH(j, &s->waiting, next)
	if (j->waits == CNI_WAITS_SETTLE && is_add_of(j, owner))
		j->told = ok ? 1 : -1;
	wake(s);
}

unsigned cni_server_waiting(const struct cni_server *s)
{
	return s->nwaiting;
}

static void wake_up(struct cni_server *s)
{
	struct cni_job *j, *following;
	bool retry = s->retry;

	s->wake = s->retry = false;
	for (j = TAILQ_FIRST(&s->waiting); j; j = following) {
		following = TAILQ_NEXT(j, next);
		if (j->waits == CNI_WAITS_RETRY ? !retry : !j->told)
			continue;
		j->settled = j->told > 0;
		if (j->told < 0)
			cni_work_give_up(&s->c, j);
		j->told = 0;
		requeue(s, j);
	}
}

/* A DEL, or the same ADD once more, ends an ADD that waits: what it was to make is not wanted. */
static void end_twin(struct cni_server *s, const struct cni_job *newer)
{
	struct cni_job *j;

	/* One that goes on after its wait, and that a DEL in the spool overtakes, begins anew. */
	TAILQ_FOREACH(j, &s->queue, next)
	if (j->assigned && cni_job_same_key(j, newer))
		cni_work_give_up(&s->c, j);
	TAILQ_FOREACH(j, &s->waiting, next)
	{
		if (!cni_job_same_key(j, newer))
			continue;
		end_wait(s, j,
			 newer->type == M_CNI_DEL
				 ? "a DEL of this attachment came meanwhile"
				 : "another ADD of this attachment came meanwhile");
		return;
	}
}

/* ---- a turn ---- */

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

static void abandon(struct cni_server *s, struct cni_job *j)
{
	log_obj(LOG_WARN, "cni", "container", cni_job_container(j),
		"ADD not carried out: the plugin is gone");
	cni_work_give_up(&s->c, j);
	ev_timer_stop(s->c.loop, &j->deadline);
	job_free(j);
}

/* What is decided before any work; true: j has ended. */
static bool ends_early(struct cni_server *s, struct cni_job *j)
{
	if (is_abandoned(j)) {
		abandon(s, j);
		return true;
	}
	if (is_late(s, j)) {
		if (j->type == M_CNI_ADD) {
			j->code = CNI_CODE_AGAIN;
			err_set(&j->err, "this ADD began before a DEL of the same attachment, "
					 "which was carried out: it comes too late");
		}
		finish(s, j);
		return true;
	}
	if (j->type != M_CNI_CHECK)
		end_twin(s, j);
	if (j->type == M_CNI_DEL)
		note_seen(s, j);
	return false;
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
		if (!ends_early(s, j))
			jobs[n++] = j;
	}
	return n;
}

static void work(struct cni_server *s, struct cni_job **jobs, unsigned n)
{
	s->batch = jobs;
	s->nbatch = n;
	cni_work(&s->c, jobs, n);
	s->batch = NULL;
	s->nbatch = 0;
	for (unsigned i = 0; i < n; i++) {
		/* Told of a lease that it has not, or has no more. */
		if (jobs[i]->waits != CNI_WAITS_SETTLE)
			jobs[i]->told = 0;
		if (jobs[i]->waits)
			park(s, jobs[i]);
		else
			finish(s, jobs[i]);
	}
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct cni_server *s = w->data;
	struct cni_job *jobs[BATCH];
	unsigned n;

	(void)revents;
	if (s->wake)
		wake_up(s);
	n = take_batch(s, jobs);
	if (n)
		work(s, jobs, n);
	if (TAILQ_EMPTY(&s->queue) && !s->wake)
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
	struct cni_server *s = cl->s;
	struct cni_job *j, *following;

	TAILQ_FOREACH(j, &s->queue, next)
	{
		if (j->client != cl)
			continue;
		ev_timer_stop(s->c.loop, &j->deadline);
		j->client = NULL;
	}
	for (j = TAILQ_FIRST(&s->waiting); j; j = following) {
		following = TAILQ_NEXT(j, next);
		if (j->client != cl)
			continue;
		unpark(s, j);
		abandon(s, j);
	}
	LIST_REMOVE(cl, next);
	s->nclients--;
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

/* All that were read; those that are late are only struck off. */
static void work_spooled(struct cni_server *s, struct cni_job *jobs, unsigned n)
{
	struct cni_job *list[BATCH];
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++) {
		if (is_late(s, &jobs[i]))
			continue;
		end_twin(s, &jobs[i]);
		note_seen(s, &jobs[i]);
		list[k++] = &jobs[i];
	}
	if (k)
		cni_work(&s->c, list, k);
}

static void drain_spool(struct cni_server *s)
{
	struct cni_job jobs[BATCH];
	char names[BATCH][64];
	unsigned n, done;

	do {
		n = cni_spool_read(s->c.spool_dir, jobs, names, BATCH);
		work_spooled(s, jobs, n);
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
	TAILQ_INIT(&s->waiting);
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
	/* What waits is dropped as it is: a pending lease without an interface is released at the
	 * next start. */
	while ((j = TAILQ_FIRST(&s->waiting))) {
		ev_timer_stop(s->c.loop, &j->deadline);
		unpark(s, j);
		job_free(j);
	}
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
