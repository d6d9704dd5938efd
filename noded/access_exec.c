#include "config.h"

#include "noded/access_exec.h"

#include <ctype.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"

#define SUB "access"

enum { OUT_MAX = 1 << 20, LINE_SIZE = 512, LINES_MAX = 20, SECRET_MIN = 32, READ_SIZE = 4096 };

/* Where root's PATH usually ends up, for a noded that was started without one. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct access_exec {
	struct ev_loop *loop;
	access_exec_done *done;
	void *arg;
	pid_t pid; /* 0: waited for */
	ev_io out, err;
	ev_child child;
	ev_timer limit;
	bool late;     /* killed at the limit */
	bool too_long; /* killed for what it wrote */
	double seconds;
	char *text;
	size_t len, cap;
	char line[LINE_SIZE]; /* of stderr, not ended yet */
	size_t line_len;
	unsigned lines;
};

/* ---- the log ---- */

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("+/_-", c));
}

/* Long and mixed, as keys and tokens are; "eyJ" is how a JSON web token begins in base64. */
static bool is_secret(const char *word, size_t n)
{
	bool digit = false, upper = false, lower = false;

	for (size_t i = 0; i < n; i++) {
		digit = digit || isdigit((unsigned char)word[i]);
		upper = upper || isupper((unsigned char)word[i]);
		lower = lower || islower((unsigned char)word[i]);
	}
	return (n > 10 && !memcmp(word, "eyJ", 3)) || (n >= SECRET_MIN && digit && upper && lower);
}

void access_exec_clean(const char *line, char *out, size_t size)
{
	size_t at = 0;

	while (*line && at + sizeof("(removed)") < size) {
		size_t n = 0;

		while (is_word(line[n]))
			n++;
		if (is_secret(line, n)) {
			at += (size_t)snprintf(out + at, size - at, "(removed)");
			line += n;
			continue;
		}
		n = n ? n : 1;
		for (; n && at + 1 < size; n--, line++)
			out[at++] = iscntrl((unsigned char)*line) ? ' ' : *line;
		line += n;
	}
	out[at] = '\0';
}

static void log_line(struct access_exec *e)
{
	char clean[LINE_SIZE];

	e->line[e->line_len] = '\0';
	if (e->line_len && e->lines < LINES_MAX) {
		access_exec_clean(e->line, clean, sizeof(clean));
		log_info(SUB, "exec plugin says: %s", clean);
	} else if (e->line_len && e->lines == LINES_MAX) {
		log_info(SUB, "exec plugin says more, which is left out");
	}
	e->lines += e->line_len > 0;
	e->line_len = 0;
}

static void take_stderr(struct access_exec *e, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n' || e->line_len == sizeof(e->line) - 1)
			log_line(e);
		if (data[i] != '\n')
			e->line[e->line_len++] = data[i];
	}
}

/* ---- the process ---- */

static bool can_execute(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

static int not_found(const struct kube_exec *x, struct err *err)
{
	char hint[200];

	access_exec_clean(x->hint, hint, sizeof(hint));
	return err_set(err, "the exec plugin %s %s; install it%s%s", x->command,
		       strchr(x->command, '/') ? "is no program that can be started"
					       : "is not found in PATH",
		       *hint ? ": " : ", or give the user a client certificate", hint);
}

int access_exec_find(const struct kube_exec *x, char *buf, size_t size, struct err *err)
{
	const char *path = getenv("PATH");

	if (strchr(x->command, '/')) {
		snprintf(buf, size, "%s", x->command);
		return strlen(x->command) < size && can_execute(buf) ? 0 : not_found(x, err);
	}
	for (path = path && *path ? path : PATH_DEFAULT; *path;) {
		size_t n = strcspn(path, ":");

		/* An empty or relative entry is the current folder: not as root. */
		if (*path == '/' &&
		    (size_t)snprintf(buf, size, "%.*s/%s", (int)n, path, x->command) < size &&
		    can_execute(buf))
			return 0;
		path += n + (path[n] == ':');
	}
	return not_found(x, err);
}

static bool same_name(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(entry, name, n) && entry[n] == '=';
}

/* noded's environment, then what the kubeconfig adds, which wins. */
static char **make_env(const struct kube_exec *x, const char *info, struct arena *arena)
{
	size_t n = 0, at = 0;

	while (environ[n])
		n++;
	char **env = arena_array(arena, n + x->nenv + 2, sizeof(*env));

	for (size_t i = 0; i < n; i++) {
		bool over = same_name(environ[i], "KUBERNETES_EXEC_INFO");

		for (unsigned j = 0; j < x->nenv && !over; j++)
			over = same_name(environ[i], x->env[j].name);
		if (!over)
			env[at++] = environ[i];
	}
	for (unsigned j = 0; j < x->nenv; j++)
		env[at++] = arena_printf(arena, "%s=%s", x->env[j].name, x->env[j].value);
	env[at] = arena_printf(arena, "KUBERNETES_EXEC_INFO=%s", info);
	return env;
}

/* The copies of what may be secret: the last entries but one. */
static void wipe_env(char **env, unsigned nenv)
{
	size_t n = 0;

	while (env[n])
		n++;
	for (unsigned i = 0; i < nenv; i++)
		explicit_bzero(env[n - 2 - i], strlen(env[n - 2 - i]));
}

/* In the new process; only what is safe between fork and exec. A group of its own, so that what it
 * starts is killed with it. */
__attribute__((noreturn)) static void become(const char *path, char *const *argv, char *const *env,
					     int out, int errfd, int null, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(errfd, 2) < 0)
		_exit(127);
	syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
	execve(path, argv, env);
	_exit(errno == ENOEXEC ? 126 : 127);
}

static void free_run(struct access_exec *e)
{
	ev_io_stop(e->loop, &e->out);
	ev_io_stop(e->loop, &e->err);
	ev_child_stop(e->loop, &e->child);
	ev_timer_stop(e->loop, &e->limit);
	close(e->out.fd);
	close(e->err.fd);
	if (e->text)
		explicit_bzero(e->text, e->cap);
	free(e->text);
	free(e);
}

static void take_stdout(struct access_exec *e, const char *data, size_t n)
{
	if (e->len + n > OUT_MAX) {
		e->too_long = true;
		return;
	}
	if (e->len + n > e->cap) {
		size_t cap = (e->len + n) * 2;
		char *more = xmalloc(cap);

		/* realloc() would leave a copy behind. */
		memcpy(more, e->text ? e->text : "", e->len);
		if (e->text)
			explicit_bzero(e->text, e->cap);
		free(e->text);
		e->text = more;
		e->cap = cap;
	}
	memcpy(e->text + e->len, data, n);
	e->len += n;
}

/* Everything that is there now; a watcher that has come to its end is stopped. */
static void read_pipe(struct access_exec *e, ev_io *w)
{
	char buf[READ_SIZE];
	ssize_t n = -1;

	while (ev_is_active(w) && !e->too_long && (n = read(w->fd, buf, sizeof(buf))) != 0) {
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				ev_io_stop(e->loop, w);
			break;
		}
		if (w == &e->out)
			take_stdout(e, buf, (size_t)n);
		else
			take_stderr(e, buf, (size_t)n);
	}
	if (ev_is_active(w) && !e->too_long && n == 0)
		ev_io_stop(e->loop, w);
	explicit_bzero(buf, sizeof(buf));
}

static void end_run(struct access_exec *e, int wstatus)
{
	char why[96];
	bool bad = true;

	/* What it left behind may hold the pipes open for ever: what is there now counts. */
	read_pipe(e, &e->out);
	read_pipe(e, &e->err);
	log_line(e);
	if (e->too_long)
		snprintf(why, sizeof(why), "wrote more than 1 MiB and was ended");
	else if (e->late)
		snprintf(why, sizeof(why), "did not end within %g s and was ended", e->seconds);
	else if (WIFSIGNALED(wstatus))
		snprintf(why, sizeof(why), "was ended by signal %d", WTERMSIG(wstatus));
	else if (WEXITSTATUS(wstatus) == 126)
		snprintf(why, sizeof(why), "is no program of this machine (exit status 126)");
	else if (WEXITSTATUS(wstatus))
		snprintf(why, sizeof(why), "ended with exit status %d", WEXITSTATUS(wstatus));
	else
		bad = false;
	e->done(e->arg, e->text ? e->text : "", bad ? 0 : e->len, bad ? why : NULL);
	free_run(e);
}

static void kill_run(struct access_exec *e)
{
	if (!e->pid)
		return;
	kill(-e->pid, SIGKILL);
	/* Before its setpgid() there is no group yet. */
	kill(e->pid, SIGKILL);
}

static void on_pipe(struct ev_loop *loop, ev_io *w, int revents)
{
	struct access_exec *e = w->data;
	(void)loop;
	(void)revents;
	read_pipe(e, w);
	if (e->too_long) {
		ev_io_stop(e->loop, &e->out);
		kill_run(e);
	}
}

static void on_exit_of(struct ev_loop *loop, ev_child *w, int revents)
{
	struct access_exec *e = w->data;
	(void)revents;
	ev_child_stop(loop, w);
	e->pid = 0;
	end_run(e, w->rstatus);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct access_exec *e = w->data;
	(void)loop;
	(void)revents;
	e->late = true;
	kill_run(e);
}

static void watch(struct access_exec *e, ev_io *w, int fd)
{
	ev_io_init(w, on_pipe, fd, EV_READ);
	w->data = e;
	ev_io_start(e->loop, w);
}

static struct access_exec *run_new(struct ev_loop *loop, pid_t pid, int out, int errfd,
				   double limit)
{
	struct access_exec *e = xcalloc(1, sizeof(*e));

	e->loop = loop;
	e->pid = pid;
	e->seconds = limit;
	watch(e, &e->out, out);
	watch(e, &e->err, errfd);
	ev_child_init(&e->child, on_exit_of, pid, 0);
	e->child.data = e;
	ev_child_start(loop, &e->child);
	ev_timer_init(&e->limit, on_limit, limit, 0.0);
	e->limit.data = e;
	ev_timer_start(loop, &e->limit);
	return e;
}

static void close_pair(const int *fds)
{
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

/* Above 2, so that dup2() in the new process does not step on them: noded keeps 0 to 2 filled. */
static int open_pipes(int out[2], int errs[2], int *null, struct err *err)
{
	out[0] = out[1] = errs[0] = errs[1] = -1;
	*null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (*null >= 0 && !pipe2(out, O_CLOEXEC) && !pipe2(errs, O_CLOEXEC) &&
	    fcntl(out[0], F_SETFL, O_NONBLOCK) >= 0 && fcntl(errs[0], F_SETFL, O_NONBLOCK) >= 0)
		return 0;
	err_sys(err, errno, "no pipes for the exec plugin");
	close_pair(out);
	close_pair(errs);
	if (*null >= 0)
		close(*null);
	return -1;
}

struct access_exec *access_exec_start(struct ev_loop *loop, const struct kube_exec *x,
				      const char *info, double limit, access_exec_done *done,
				      void *arg, struct err *err)
{
	struct arena arena = { 0 };
	char path[PATH_MAX];
	int out[2], errs[2], null;
	pid_t parent = getpid();

	if (access_exec_find(x, path, sizeof(path), err) || open_pipes(out, errs, &null, err))
		return NULL;
	char **env = make_env(x, info, &arena);
	char **argv = arena_array(&arena, x->nargs + 2, sizeof(*argv));

	argv[0] = (char *)x->command;
	for (unsigned i = 0; i < x->nargs; i++)
		argv[i + 1] = (char *)x->args[i];
	pid_t pid = fork();

	if (pid == 0)
		become(path, argv, env, out[1], errs[1], null, parent);
	int e = errno;

	wipe_env(env, x->nenv);
	arena_free(&arena);
	close(out[1]);
	close(errs[1]);
	close(null);
	if (pid < 0) {
		err_sys(err, e, "cannot start the exec plugin");
		close(out[0]);
		close(errs[0]);
		return NULL;
	}
	struct access_exec *run = run_new(loop, pid, out[0], errs[0], limit);

	run->done = done;
	run->arg = arg;
	return run;
}

void access_exec_stop(struct access_exec *e)
{
	if (!e)
		return;
	kill_run(e);
	/* SIGKILL was sent: the wait is short. */
	if (e->pid)
		waitpid(e->pid, NULL, 0);
	free_run(e);
}
