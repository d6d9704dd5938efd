#include "config.h"

#include "noded/access.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/kubeconfig.h"
#include "lib/log.h"
#include "noded/access_exec.h"
#include "noded/setup.h"

#define SUB	"access"
#define POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

enum { SOURCES = 1 + KUBE_NFILES, MARGIN_MAX = 60 };

/* A file as it was when it was read. */
struct source {
	char *path;
	bool there;
	struct stat st;
};

struct sources {
	struct source v[SOURCES];
	unsigned n;
};

struct access {
	struct ev_loop *loop;
	struct access_config config;
	const struct access_ops *ops;
	void *arg;
	struct kube_access *now; /* in force; NULL: none yet */
	int fd;
	struct sources seen;
	bool failed;		/* the last reading, or the plugin's last run */
	struct kube_plan *plan; /* of the plugin that runs */
	struct access_exec *run;
	double retry;	/* s after the next failure of the plugin */
	uint64_t due;	/* s since the epoch: run the plugin again; 0 never */
	double refresh; /* of ev_now(): when felix's last question was served */
	ev_timer poll, exec_timer, refresh_timer;
	char reason[512];
};

/* ---- files ---- */

static struct stat stat_of(const char *path, bool *there)
{
	struct stat st = { 0 };

	*there = !stat(path, &st);
	return st;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Looked at before it is read: a file that changes meanwhile is read once more. */
static void note_source(struct sources *s, const char *path)
{
	struct source *x = &s->v[s->n++];

	x->path = xstrdup(path);
	x->st = stat_of(path, &x->there);
}

static void free_sources(struct sources *s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->v[i].path);
	s->n = 0;
}

static bool sources_changed(const struct sources *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		bool there;
		struct stat st = stat_of(s->v[i].path, &there);

		if (there != s->v[i].there || (there && !same_file(&st, &s->v[i].st)))
			return true;
	}
	return false;
}

static void wipe_free(char *text)
{
	if (text)
		explicit_bzero(text, KUBE_MAX_FILE + 1);
	free(text);
}

/* The content (the caller's, for wipe_free()), or NULL. */
static char *read_source(const char *path, size_t *len, struct err *err)
{
	struct stat st;
	char *text = NULL;
	ssize_t n = 1;
	/* A FIFO without a writer must not hold the supervisor. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*len = 0;
	if (fd < 0) {
		err_sys(err, errno, "the file %s cannot be read", path);
		return NULL;
	}
	if (!fstat(fd, &st) && !S_ISREG(st.st_mode)) {
		err_set(err, "%s is not a regular file", path);
		close(fd);
		return NULL;
	}
	text = xmalloc(KUBE_MAX_FILE + 1);
	while (n > 0 && *len <= KUBE_MAX_FILE) {
		n = read(fd, text + *len, KUBE_MAX_FILE + 1 - *len);
		*len += n > 0 ? (size_t)n : 0;
	}
	int e = errno;

	close(fd);
	if (n >= 0 && *len <= KUBE_MAX_FILE)
		return text;
	if (n < 0)
		err_sys(err, e, "the file %s cannot be read", path);
	else
		err_set(err, "the file %s is longer than 1 MiB", path);
	wipe_free(text);
	return NULL;
}

/* ---- from files to a plan ---- */

static bool is_pod(const struct access_config *config, const char **host, const char **port)
{
	char token[PATH_MAX];
	bool there;

	*host = getenv("KUBERNETES_SERVICE_HOST");
	*port = getenv("KUBERNETES_SERVICE_PORT");
	if (!*host || !**host || !*port || !**port || config->conf->datastore.kubeconfig_written ||
	    *config->conf->datastore.context)
		return false;
	snprintf(token, sizeof(token), "%s/token", config->pod_dir);
	(void)stat_of(token, &there);
	return there;
}

static struct kube_plan *read_kubeconfig(const char *path, const struct kube_choice *choice,
					 struct sources *seen, struct err *err)
{
	size_t len;
	char *text;

	note_source(seen, path);
	if (!seen->v[0].there && access(path, F_OK) && errno == ENOENT) {
		err_set(err,
			"kubeconfig %s does not exist; put one there, or name another with "
			"datastore.kubeconfig",
			path);
		return NULL;
	}
	text = read_source(path, &len, err);
	if (!text) {
		err_ctx(err, "datastore.kubeconfig");
		return NULL;
	}
	struct kube_plan *plan = kubeconfig_parse(text, len, path, choice, err);

	wipe_free(text);
	return plan;
}

static int fill_file(struct kube_plan *plan, enum kube_file which, struct sources *seen,
		     struct err *err)
{
	const char *path = plan->files[which];
	size_t len;

	note_source(seen, path);
	if (which == KUBE_NAMESPACE && !seen->v[seen->n - 1].there)
		return 0;
	char *text = read_source(path, &len, err);

	if (!text)
		return err_ctx(err, "%s: %s", plan->origin, kube_file_word(which));
	int rc = kubeconfig_set_file(plan, which, text, len, err);

	wipe_free(text);
	return rc;
}

/* Everything but the plugin. seen has each file that was looked at, also when this fails. */
static struct kube_plan *gather(const struct access_config *config, struct sources *seen,
				struct err *err)
{
	const struct nodeconf *conf = config->conf;
	struct kube_choice choice = { .context = conf->datastore.context,
				      .nservers = conf->datastore.servers.n,
				      .servers = conf->datastore.servers.v };
	const char *host, *port;
	struct kube_plan *plan;

	if (is_pod(config, &host, &port))
		plan = kubeconfig_incluster(host, port, config->pod_dir, &choice, err);
	else
		plan = read_kubeconfig(conf->datastore.kubeconfig, &choice, seen, err);
	for (int i = 0; plan && i < KUBE_NFILES; i++) {
		if (!*plan->files[i] || !fill_file(plan, (enum kube_file)i, seen, err))
			continue;
		kubeconfig_free(plan);
		plan = NULL;
	}
	return plan;
}

int access_check(const struct access_config *config, struct err *err)
{
	struct sources seen = { .n = 0 };
	struct kube_plan *plan = gather(config, &seen, err);
	struct kube_access *access = NULL;
	char path[PATH_MAX];
	int rc = -1;

	free_sources(&seen);
	if (plan && plan->has_exec) {
		rc = access_exec_find(&plan->exec, path, sizeof(path), err);
		if (rc)
			err_ctx(err, "%s", plan->origin);
	} else if (plan) {
		access = kubeconfig_finish(plan, err);
		rc = access ? 0 : -1;
	}
	kube_access_free(access);
	kubeconfig_free(plan);
	return rc;
}

/* ---- what is in force ---- */

static void set_reason(struct access *a, const char *text)
{
	a->failed = *text != '\0';
	if (!strcmp(a->reason, text))
		return;
	snprintf(a->reason, sizeof(a->reason), "%s", text);
	if (a->ops)
		a->ops->on_reason(a->arg);
}

/* The same line once, not every minute. */
static void fail(struct access *a, const struct err *err)
{
	if (strcmp(a->reason, err->text))
		log_error(SUB, "%s%s", err->text, a->now ? "; the access read before stays" : "");
	set_reason(a, err->text);
}

static int make_fd(const struct kube_access *access, struct err *err)
{
	size_t len;
	uint8_t *data = kube_access_encode(access, &len);
	int fd = len <= KUBE_MAX_ENCODED
			 ? setup_memfd("kube-access", data, len, err)
			 : err_set(err, "the certificates of the access are too large");

	explicit_bzero(data, len);
	free(data);
	return fd;
}

static void log_access(const struct kube_access *x)
{
	char until[48] = "";
	time_t when = (time_t)x->expires;
	struct tm tm;

	if (x->expires && gmtime_r(&when, &tm))
		strftime(until, sizeof(until), ", until %Y-%m-%dT%H:%M:%SZ", &tm);
	log_info(SUB, "access to the API at %s%s as context %s%s", x->servers[0],
		 x->nservers > 1 ? " and others" : "", x->context, until);
}

/* Takes access. */
static void put_in_force(struct access *a, struct kube_access *access)
{
	struct err err = { 0 };
	int fd = -1, old = a->fd;

	if (!kube_access_equal(a->now, access)) {
		fd = make_fd(access, &err);
		if (fd < 0) {
			kube_access_free(access);
			fail(a, &err);
			return;
		}
		log_access(access);
		kube_access_free(a->now);
		a->now = access;
		a->fd = fd;
		if (a->ops)
			a->ops->on_access(a->arg);
		if (old >= 0)
			close(old);
	} else {
		kube_access_free(access);
	}
	set_reason(a, "");
}

/* ---- the plugin ---- */

uint64_t access_due(uint64_t now, uint64_t expires)
{
	if (expires <= now)
		return 0;
	uint64_t margin = (expires - now) / 10;

	return expires - (margin > MARGIN_MAX ? MARGIN_MAX : margin);
}

static void arm(struct access *a, ev_timer *timer, double wait)
{
	ev_timer_stop(a->loop, timer);
	ev_timer_set(timer, wait > 0 ? wait : 0, 0.0);
	ev_timer_start(a->loop, timer);
}

static void drop_run(struct access *a)
{
	access_exec_stop(a->run);
	a->run = NULL;
	kubeconfig_free(a->plan);
	a->plan = NULL;
	ev_timer_stop(a->loop, &a->exec_timer);
}

static void exec_failed(struct access *a, const struct err *err)
{
	log_error(SUB, "%s; next try in %g s%s", err->text, a->retry,
		  a->now ? ", the access read before stays" : "");
	set_reason(a, err->text);
	arm(a, &a->exec_timer, a->retry);
	a->retry = a->retry * 2 > a->config.retry_max ? a->config.retry_max : a->retry * 2;
}

static struct kube_access *take_answer(struct access *a, const char *out, size_t len,
				       const char *why, struct err *err)
{
	if (why) {
		err_set(err, "%s: the exec plugin %s %s%s", a->plan->origin, a->plan->exec.command,
			why, "; the log has what it said");
		return NULL;
	}
	if (kubeconfig_set_exec(a->plan, out, len, err))
		return NULL;
	struct kube_access *x = kubeconfig_finish(a->plan, err);

	if (x && x->expires && !access_due((uint64_t)time(NULL), x->expires)) {
		err_set(err,
			"%s: the exec plugin %s gave credentials that have expired; is this "
			"node's clock right?",
			a->plan->origin, a->plan->exec.command);
		kube_access_free(x);
		return NULL;
	}
	return x;
}

static void on_exec(void *arg, const char *out, size_t len, const char *why)
{
	struct access *a = arg;
	struct err err = { 0 };
	struct kube_access *x = take_answer(a, out, len, why, &err);
	uint64_t now = (uint64_t)time(NULL);

	a->run = NULL; /* freed by its owner */
	kubeconfig_free(a->plan);
	a->plan = NULL;
	if (!x) {
		exec_failed(a, &err);
		return;
	}
	a->retry = a->config.retry_min;
	a->due = x->expires ? access_due(now, x->expires) : 0;
	if (a->due)
		arm(a, &a->exec_timer, (double)(a->due - now));
	put_in_force(a, x);
}

/* Takes plan. */
static void start_exec(struct access *a, struct kube_plan *plan)
{
	struct err err = { 0 };

	drop_run(a);
	a->plan = plan;
	a->run = access_exec_start(a->loop, &plan->exec, kubeconfig_exec_info(plan),
				   a->config.exec_limit, on_exec, a, &err);
	if (a->run) {
		if (!a->now && !a->failed)
			set_reason(a, "the exec plugin of the kubeconfig has not answered yet");
		return;
	}
	err_ctx(&err, "%s", plan->origin);
	drop_run(a);
	exec_failed(a, &err);
}

/* ---- reading again ---- */

static int load(struct access *a, struct err *err)
{
	struct sources seen = { .n = 0 };
	struct kube_plan *plan = gather(&a->config, &seen, err);

	free_sources(&a->seen);
	a->seen = seen;
	if (!plan)
		return -1;
	if (plan->has_exec) {
		start_exec(a, plan);
		return 0;
	}
	struct kube_access *x = kubeconfig_finish(plan, err);

	kubeconfig_free(plan);
	if (!x)
		return -1;
	drop_run(a);
	a->due = 0;
	put_in_force(a, x);
	return 0;
}

static void reload(struct access *a)
{
	struct err err = { 0 };

	if (load(a, &err))
		fail(a, &err);
}

static void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct access *a = w->data;
	(void)loop;
	(void)revents;
	/* A plugin that failed has a timer of its own. */
	bool again = a->failed && !a->run && !ev_is_active(&a->exec_timer);
	/* The clock may have been set, or the machine suspended. */
	bool due = a->due && (uint64_t)time(NULL) >= a->due && !a->run && !a->failed;

	if (again || due || sources_changed(&a->seen))
		reload(a);
}

static void on_exec_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct access *a = w->data;
	(void)loop;
	(void)revents;
	if (!a->run)
		reload(a);
}

static void on_refresh_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct access *a = w->data;
	(void)revents;
	a->refresh = ev_now(loop);
	/* A plugin that runs, or waits for its next try after a failure, is not driven on. */
	if (!a->run && !(a->failed && ev_is_active(&a->exec_timer)))
		reload(a);
}

void access_refresh(struct access *a)
{
	double since = ev_now(a->loop) - a->refresh;

	if (ev_is_active(&a->refresh_timer))
		return;
	/* Later than now, too, when the clock was set back. */
	arm(a, &a->refresh_timer,
	    since >= 0 && since < a->config.refresh_gap ? a->config.refresh_gap - since : 0.0);
}

/* ---- life ---- */

struct access_config access_defaults(const struct nodeconf *conf)
{
	return (struct access_config){ .conf = conf,
				       .pod_dir = POD_DIR,
				       .poll = 60.0,
				       .refresh_gap = 1.0,
				       .exec_limit = 30.0,
				       .retry_min = 1.0,
				       .retry_max = 60.0 };
}

struct access *access_new(struct ev_loop *loop, const struct access_config *config,
			  const struct access_ops *ops, void *arg, struct err *err)
{
	struct access *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->config = *config;
	a->fd = -1;
	a->retry = config->retry_min;
	ev_timer_init(&a->poll, on_poll, config->poll, config->poll);
	ev_timer_init(&a->exec_timer, on_exec_timer, 0.0, 0.0);
	ev_timer_init(&a->refresh_timer, on_refresh_timer, 0.0, 0.0);
	a->poll.data = a->exec_timer.data = a->refresh_timer.data = a;
	/* ops only from now on: the caller has no access yet. */
	if (load(a, err)) {
		access_free(a);
		return NULL;
	}
	a->ops = ops;
	a->arg = arg;
	ev_timer_start(loop, &a->poll);
	return a;
}

void access_free(struct access *a)
{
	if (!a)
		return;
	drop_run(a);
	ev_timer_stop(a->loop, &a->poll);
	ev_timer_stop(a->loop, &a->refresh_timer);
	free_sources(&a->seen);
	kube_access_free(a->now);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

int access_fd(const struct access *a)
{
	return a->fd;
}

const char *access_reason(const struct access *a)
{
	return a->reason;
}
