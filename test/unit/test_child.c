/* A child over a socketpair: M_INIT in, callbacks and last words out. The test plays noded. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/child.h"
#include "unit.h"

#define CONF "datastore: {kind: directory, path: /nowhere}\nbgp: {asn: 64512}\n"

enum { WAIT_MS = 5000, EXIT_STARTED = 40, EXIT_REFUSED = 41 };

struct played {
	int channel;
	pid_t pid;
	struct arena arena;
};

static struct child child;

static void on_channel(void *arg, int fd)
{
	/* Proof for the test that the descriptor is a working one. */
	struct m_nhg_del body = { 7 };
	struct err err;
	(void)arg;
	ipc_sync_send(fd, M_NHG_DEL, &body, NULL, 0, &err);
	close(fd);
}

static void on_ctl_client(void *arg, int fd, bool readonly)
{
	struct m_ctl_error body = { readonly ? "readonly" : "all" };
	struct err err;
	(void)arg;
	ipc_sync_send(fd, M_CTL_ERROR, &body, NULL, 0, &err);
	close(fd);
}

/* Tells what it was given, and asks for another. */
static void on_kube_access(void *arg, int fd)
{
	struct err err = { 0 };
	struct kube_access *a = child_kube_access(fd, &err);
	(void)arg;
	child_ready(&child, true, a ? a->token : err.text);
	child_kube_refresh(&child);
	kube_access_free(a);
	close(fd);
}

static void on_stop(void *arg)
{
	(void)arg;
	child_ready(&child, false, "stopping");
}

static const struct child_ops ops = { .on_channel = on_channel,
				      .on_ctl_client = on_ctl_client,
				      .on_stop = on_stop,
				      .on_kube_access = on_kube_access };

static void child_main(void)
{
	struct err err = { 0 };
	if (child_start(&child, "test", false, &err))
		_exit(EXIT_REFUSED);
	if (child.fds.nlisteners != 2 || child.fds.channel < 0 || child.fds.cni >= 0 ||
	    child.fds.kube >= 0 || strcmp(child.node, "n1") || child.restarts != 3 ||
	    child.conf->bgp.asn != 64512)
		_exit(1);
	if (child.check_only)
		child_fatal(&child, "line one\nline two");
	child_ready(&child, true, "");
	child_ready(&child, true, "");
	child_run(&child, &ops, NULL);
	child_free(&child);
	_exit(EXIT_STARTED);
}

static void play(struct played *p)
{
	int pair[2];
	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	*p = (struct played){ .channel = pair[0] };
	p->pid = fork();
	if (!p->pid) {
		close(pair[0]);
		if (pair[1] != CHILD_FD) {
			dup2(pair[1], CHILD_FD);
			close(pair[1]);
		}
		child_main();
	}
	close(pair[1]);
}

static int conf_fd(const char *text)
{
	int fd = memfd_create("conf", MFD_CLOEXEC);
	ck_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void send_init(struct played *p, const char *conf, bool check_only)
{
	struct m_init_fd kinds[] = { { INIT_CONFIG, "" },
				     { INIT_LISTENER, "0.0.0.0 179" },
				     { INIT_CHANNEL, "" },
				     { INIT_LISTENER, ":: 179" } };
	struct m_init body = { .config_path = "node.yaml",
			       .node = "n1",
			       .restarts = 3,
			       .check_only = check_only,
			       .fds = { 4, kinds } };
	int fds[4] = { conf_fd(conf), dup(2), dup(2), dup(2) };
	struct err err = { 0 };
	ck_assert_msg(!ipc_sync_send(p->channel, M_INIT, &body, fds, 4, &err), "%s", err.text);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* The next message from fd; its type, or 0 at the end. */
static int hear(struct played *p, int fd, struct msg *m)
{
	struct err err = { 0 };
	int r = ipc_sync_recv(fd, &p->arena, m, WAIT_MS, &err);
	ck_assert_msg(r >= 0, "%s", err.text);
	return r ? m->type : 0;
}

static void end(struct played *p, int status)
{
	int got;
	waitpid(p->pid, &got, 0);
	ck_assert(WIFEXITED(got));
	ck_assert_int_eq(WEXITSTATUS(got), status);
	close(p->channel);
	arena_free(&p->arena);
}

START_TEST(starts_serves_and_stops_on_sigterm)
{
	struct played p;
	struct msg m;
	int pair[2];
	const struct m_ctl_client ro = { true };
	const struct m_log_level quiet = { "", 0 };
	struct err err;

	play(&p);
	send_init(&p, CONF, false);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_READY);
	ck_assert(((const struct m_ready *)m.body)->ready);

	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	ck_assert(!ipc_sync_send(p.channel, M_CHANNEL, NULL, &pair[1], 1, &err));
	ck_assert_int_eq(hear(&p, pair[0], &m), M_NHG_DEL);
	ck_assert(!ipc_sync_send(p.channel, M_LOG_LEVEL, &quiet, NULL, 0, &err));
	ck_assert(!ipc_sync_send(p.channel, M_CTL_CLIENT, &ro, &pair[1], 1, &err));
	ck_assert_int_eq(hear(&p, pair[0], &m), M_CTL_ERROR);
	ck_assert_str_eq(((const struct m_ctl_error *)m.body)->text, "readonly");

	kill(p.pid, SIGTERM);
	/* The second child_ready(true) said nothing new; the next one is that of on_stop. */
	ck_assert_int_eq(hear(&p, p.channel, &m), M_READY);
	ck_assert_str_eq(((const struct m_ready *)m.body)->reason, "stopping");
	ck_assert_int_eq(hear(&p, p.channel, &m), 0);
	end(&p, EXIT_STARTED);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

static int access_fd(const char *token)
{
	char text[512];
	struct err err = { 0 };
	size_t len;

	snprintf(text, sizeof(text),
		 "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
		 "clusters: [{name: k, cluster: {server: 'https://a'}}]\n"
		 "users: [{name: u, user: {token: %s}}]\n",
		 token);
	struct kube_plan *p = kubeconfig_parse(text, strlen(text), "/k", NULL, &err);
	struct kube_access *a = p ? kubeconfig_finish(p, &err) : NULL;

	ck_assert_msg(a != NULL, "%s", err.text);
	uint8_t *data = kube_access_encode(a, &len);
	int fd = memfd_create("access", MFD_CLOEXEC);

	/* The offset stays at the end, as after somebody else's reading. */
	ck_assert(write(fd, data, len) == (ssize_t)len);
	free(data);
	kube_access_free(a);
	kubeconfig_free(p);
	return fd;
}

START_TEST(access_to_the_api_comes_and_is_asked_for)
{
	struct played p;
	struct msg m;
	struct err err;

	play(&p);
	send_init(&p, CONF, false);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_READY);
	for (int i = 0; i < 2; i++) {
		int fd = i ? conf_fd("nonsense") : access_fd("tok");

		ck_assert(!ipc_sync_send(p.channel, M_KUBE_ACCESS, NULL, &fd, 1, &err));
		close(fd);
		ck_assert_int_eq(hear(&p, p.channel, &m), M_READY);
		const char *said = ((const struct m_ready *)m.body)->reason;

		ck_assert_msg(i ? strstr(said, "no access") != NULL : !strcmp(said, "tok"), "%s",
			      said);
		ck_assert_int_eq(hear(&p, p.channel, &m), M_KUBE_REFRESH);
	}
	kill(p.pid, SIGTERM);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_READY);
	end(&p, EXIT_STARTED);
}
END_TEST

START_TEST(ends_when_noded_is_gone)
{
	struct played p;
	struct msg m;

	play(&p);
	send_init(&p, CONF, false);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_READY);
	shutdown(p.channel, SHUT_RDWR);
	end(&p, EXIT_STARTED);
}
END_TEST

START_TEST(a_wrong_configuration_is_told)
{
	struct played p;
	struct msg m;

	play(&p);
	send_init(&p, "bgp: {asnn: 1}\n", false);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_FATAL);
	const char *text = ((const struct m_fatal *)m.body)->text;
	ck_assert_msg(strstr(text, "node.yaml:1:7") && strstr(text, "asnn"), "%s", text);
	end(&p, EXIT_REFUSED);
}
END_TEST

START_TEST(fatal_is_told_before_the_end)
{
	struct played p;
	struct msg m;

	play(&p);
	send_init(&p, CONF, true);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_FATAL);
	ck_assert_str_eq(((const struct m_fatal *)m.body)->text, "line one\nline two");
	end(&p, 1);
}
END_TEST

START_TEST(anything_but_init_is_refused)
{
	struct played p;
	struct msg m;
	struct err err;
	const struct m_log_level body = { "", 1 };

	play(&p);
	ck_assert(!ipc_sync_send(p.channel, M_LOG_LEVEL, &body, NULL, 0, &err));
	ck_assert_int_eq(hear(&p, p.channel, &m), M_FATAL);
	end(&p, EXIT_REFUSED);

	play(&p);
	ck_assert(send(p.channel, "nonsense", 8, 0) == 8);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_FATAL);
	end(&p, EXIT_REFUSED);

	play(&p);
	shutdown(p.channel, SHUT_WR);
	ck_assert_int_eq(hear(&p, p.channel, &m), M_FATAL);
	end(&p, EXIT_REFUSED);
}
END_TEST

UNIT_MAIN("child", starts_serves_and_stops_on_sigterm, access_to_the_api_comes_and_is_asked_for,
	  ends_when_noded_is_gone, a_wrong_configuration_is_told, fatal_is_told_before_the_end,
	  anything_but_init_is_refused)
