#include "config.h"

#include "cni/plugin.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cni/netns.h"
#include "cni/result.h"
#include "cni/spool.h"
#include "lib/ipc.h"

/* A DEL that felix does not take soon can wait in the spool; an ADD has nowhere to wait. */
enum { WAIT_MS = 30000, WAIT_DEL_MS = 10000 };

/* Of connect(): nobody listens, or a queue so full that the alarm came first. */
static bool is_away(int code)
{
	return code == ENOENT || code == ECONNREFUSED || code == EAGAIN || code == EINTR;
}

/* 0 = answered (*m in the arena), 1 = felix is not there to answer, -1 = the error is set. */
static int ask(const struct cni_request *r, enum msg_type type, const void *body, int sock,
	       struct arena *arena, struct msg *m, int wait_ms, struct err *err,
	       struct cni_error *e)
{
	char path[512];
	snprintf(path, sizeof(path), "%.490s/cni.sock", r->run);
	alarm((unsigned)wait_ms / 1000);
	int fd = ipc_sync_connect(path, err);
	if (fd < 0)
		return is_away(err->code) ? 1 : cni_fail(e, CNI_E_IO, "%s", err->text);
	int got = ipc_sync_send(fd, type, body, &sock, sock >= 0 ? 1 : 0, err);
	if (got && err->code == EMSGSIZE) {
		close(fd);
		return cni_fail(e, CNI_E_CONFIG, "labels and annotations are larger than %d KiB",
				MSG_MAX / 1024);
	}
	if (!got)
		got = ipc_sync_recv(fd, arena, m, wait_ms, err);
	if (got == 0)
		err_set(err, "felix closed the connection before it answered");
	close(fd);
	if (got <= 0)
		return 1;
	if (m->type != M_CNI_ERROR)
		return 0;
	const struct m_cni_error *said = m->body;
	cni_fail(e, said->code, "%s", said->text);
	snprintf(e->details, sizeof(e->details), "%s", said->details);
	return -1;
}

static int say_away(const struct cni_request *r, const struct err *why, struct cni_error *e)
{
	cni_fail(e, CNI_E_AGAIN,
		 "felix does not answer on %.200s/cni.sock; is noded running on this node, with "
		 "this "
		 "state.run?",
		 r->run);
	snprintf(e->details, sizeof(e->details), "%s", why->text);
	return -1;
}

static int wrong_answer(const struct msg *m, struct cni_error *e)
{
	return cni_fail(e, CNI_E_OURS, "felix answered %s; plugin and felix differ in version",
			msg_name(m->type));
}

/* ADD and CHECK: what felix needs from inside the pod's netns goes along. */
static int do_pod(const struct cni_request *r, struct arena *arena, char **out, struct cni_error *e)
{
	bool add = r->command == CNI_ADD;
	struct err why = { 0 };
	struct msg m = { 0 };
	int sock = netns_socket(r->add.netns, e);

	if (sock < 0)
		return -1;
	int got = ask(r, add ? M_CNI_ADD : M_CNI_CHECK, &r->add, sock, arena, &m, WAIT_MS, &why, e);
	close(sock);
	if (got)
		return got < 0 ? -1 : say_away(r, &why, e);
	if (m.type != (add ? M_CNI_RESULT : M_CNI_OK))
		return wrong_answer(&m, e);
	if (add)
		*out = cni_result_add(r, m.body);
	return 0;
}

static int do_del(const struct cni_request *r, struct arena *arena, struct cni_error *e)
{
	struct m_cni_del del = { .container_id = r->add.container_id,
				 .ifname = r->add.ifname,
				 .network = r->add.network,
				 .started = r->add.started };
	struct err why = { 0 };
	struct msg m = { 0 };
	int got = ask(r, M_CNI_DEL, &del, -1, arena, &m, WAIT_DEL_MS, &why, e);

	if (got > 0)
		return spool_put(r->run, &del, e);
	if (got == 0 && m.type != M_CNI_OK)
		return wrong_answer(&m, e);
	return got;
}

static int act(const struct cni_request *r, char **out, struct cni_error *e)
{
	struct arena arena = { 0 };
	int result = 0;

	switch (r->command) {
	case CNI_ADD:
	case CNI_CHECK:
		result = do_pod(r, &arena, out, e);
		break;
	case CNI_DEL:
		result = do_del(r, &arena, e);
		break;
	case CNI_VERSION:
		*out = cni_result_version(r);
		break;
	}
	arena_free(&arena);
	return result;
}

/* One byte over the limit is read so that too much can be told from just enough. */
static int read_stdin(char *buf, size_t *len, struct cni_error *e)
{
	ssize_t n;
	*len = 0;
	while ((n = read(0, buf + *len, CNI_STDIN_MAX + 1 - *len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cni_fail(e, CNI_E_IO, "cannot read standard input: %s",
					strerror(errno));
		*len += (size_t)n;
	}
	return 0;
}

static int check_name(const char *name, struct cni_error *e)
{
	const char *slash = strrchr(name, '/');
	if (strcmp(slash ? slash + 1 : name, "selvage-ipam"))
		return 0;
	return cni_fail(e, CNI_E_OURS,
			"this version does not serve other plugins as selvage-ipam; use the plugin "
			"selvage itself");
}

/* By this felix tells an ADD that was given up from one that came after its DEL. */
static uint64_t boot_clock(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_BOOTTIME, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Only there to make a blocking connect() return. */
static void on_alarm(int sig)
{
	(void)sig;
}

int cni_plugin(const char *name)
{
	const struct cni_env env = { .command = getenv("CNI_COMMAND"),
				     .container_id = getenv("CNI_CONTAINERID"),
				     .netns = getenv("CNI_NETNS"),
				     .ifname = getenv("CNI_IFNAME"),
				     .args = getenv("CNI_ARGS") };
	struct cni_request r = { .version = CNI_1_0_0 };
	struct cni_error e = { 0 };
	uint64_t started = boot_clock();
	size_t len = 0;
	char *out = NULL, *text = xmalloc(CNI_STDIN_MAX + 1);

	const struct sigaction wake = { .sa_handler = on_alarm };

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &wake, NULL);
	int bad = check_name(name, &e) || (env.command && read_stdin(text, &len, &e)) ||
		  cni_input(&r, &env, text, len, &e);
	r.add.started = started;
	bad = bad || act(&r, &out, &e);
	if (bad)
		out = cni_result_error(&r, &e);
	if (out && (puts(out) < 0 || fflush(stdout)))
		bad = 1;
	free(out);
	cni_request_free(&r);
	free(text);
	return bad ? 1 : 0;
}
