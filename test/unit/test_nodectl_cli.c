/* nodectl as a whole against a small noded that answers from a script: exit statuses, what is said
 * on which stream, and the man page's list.
 */
#include "config.h"

#include "test/unit/unit.h"

#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ipc.h"
#include "nodectl/nodectl.h"

static char dir[64];
static char out[65536], said[4096]; /* what nodectl wrote */

/* How the far side behaves. */
static struct {
	bool bgpd_stopped;  /* noded refuses to hand on, its row says pid 0 */
	bool bgpd_hangs_up; /* takes the query and closes */
	bool peer_down;
	unsigned nroutes;
} far;

/* ---- the far side, in a process of its own ---- */

static void answer(int fd, enum msg_type type, const void *body)
{
	struct err err;

	if (ipc_sync_send(fd, type, body, NULL, 0, &err))
		_exit(1);
}

static void answer_error(int fd, const char *text)
{
	answer(fd, M_CTL_ERROR, &(struct m_ctl_error){ text });
}

static void be_noded(int fd)
{
	struct m_ctl_daemon d = { "noded", "running", 1, 1000, 0, 400000, true, "" };

	answer(fd, M_CTL_NODE, &(struct m_ctl_node){ "n1", "0.1.0" });
	answer(fd, M_CTL_DAEMON, &d);
	d.name = "felix";
	answer(fd, M_CTL_DAEMON, &d);
	d.name = "bgpd";
	if (far.bgpd_stopped) {
		d.pid = 0;
		d.ready = false;
		d.state = "waiting 2 s after signal 11";
	}
	answer(fd, M_CTL_DAEMON, &d);
	answer(fd, M_CTL_END, NULL);
}

static void be_bgpd(int fd, const struct m_ctl_query *q)
{
	struct m_ctl_peer p = { .name = "tor1",
				.interface = "",
				.last_error = "",
				.capabilities = "",
				.state = far.peer_down ? 1 : 5 };
	struct m_ctl_route r = { 0 };

	if (far.bgpd_hangs_up)
		return;
	if (q->what == CTL_ROUTES) {
		if (q->filter == CTL_ROUTE_IN && strcmp(q->name, "tor1")) {
			answer_error(fd, "no BGP peer has that name");
			return;
		}
		for (uint32_t i = 0; i < far.nroutes; i++) {
			r.prefix.addr = addr_v4(0x0a000000 + (i << 8));
			r.prefix.len = 24;
			answer(fd, M_CTL_ROUTE, &r);
		}
		answer(fd, M_CTL_END, NULL);
		return;
	}
	if (q->name[0] && strcmp(q->name, "tor1")) {
		answer_error(fd, "no BGP peer has that name");
		return;
	}
	if (q->what == CTL_STATUS)
		answer(fd, M_CTL_BGP, &(struct m_ctl_bgp){ 64512, 1 });
	answer(fd, M_CTL_PEER, &p);
	answer(fd, M_CTL_END, NULL);
}

static void be_felix(int fd, const struct m_ctl_query *q)
{
	struct m_ctl_felix f = { .ready = true, .store_kind = "directory", .synced = true };

	if (q->what == CTL_STATUS)
		answer(fd, M_CTL_FELIX, &f);
	answer(fd, M_CTL_END, NULL);
}

static void serve(int fd)
{
	struct arena arena = { 0 };
	struct err err;
	struct msg m;
	unsigned target;

	if (ipc_sync_recv(fd, &arena, &m, 2000, &err) != 1)
		return;
	if (m.type == M_LOG_LEVEL) {
		const struct m_log_level *l = m.body;

		if (!strcmp(l->sub, "bad"))
			answer_error(fd, "refused");
		else
			answer(fd, M_CTL_END, NULL);
		return;
	}
	target = ((const struct m_ctl_open *)m.body)->target;
	if (target == CTL_NODED) {
		be_noded(fd);
	} else if (target == CTL_BGPD && far.bgpd_stopped) {
		answer_error(fd, "bgpd is not running: waiting 2 s after signal 11");
	} else if (ipc_sync_recv(fd, &arena, &m, 2000, &err) == 1) {
		if (target == CTL_BGPD)
			be_bgpd(fd, m.body);
		else
			be_felix(fd, m.body);
	}
	arena_free(&arena);
}

static int listen_on(const char *name, mode_t mode)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", dir, name);
	ck_assert(!bind(fd, (struct sockaddr *)&sun, sizeof(sun)));
	ck_assert(!chmod(sun.sun_path, mode));
	ck_assert(!listen(fd, 8));
	return fd;
}

static void make_dir(void)
{
	strcpy(dir, "/tmp/selvage-ctl-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert(!chmod(dir, 0755));
}

static pid_t serve_on(int fd)
{
	pid_t pid = fork();
	int client;

	if (!pid) {
		while ((client = accept(fd, NULL, NULL)) >= 0) {
			serve(client);
			close(client);
		}
		_exit(0);
	}
	close(fd);
	return pid;
}

static pid_t start_far_side(void)
{
	make_dir();
	return serve_on(listen_on("ctl.sock", 0600));
}

static void remove_dir(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ctl.sock", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ro.sock", dir);
	unlink(path);
	rmdir(dir);
}

static void stop_far_side(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	remove_dir();
}

/* ---- running nodectl ---- */

static void read_back(FILE *f, char *buf, size_t size)
{
	size_t n;

	rewind(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
}

/* Words split at blanks; "-s DIR" stands before them. */
static int nodectl(const char *line)
{
	char words[256], *argv[16] = { (char *)"nodectl", (char *)"-s", dir }, *save;
	int argc = 3, kept[2] = { dup(1), dup(2) }, status;
	FILE *o = tmpfile(), *e = tmpfile();

	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	fflush(stdout);
	dup2(fileno(o), 1);
	dup2(fileno(e), 2);
	optind = 0;
	status = nodectl_main(argc, argv);
	fflush(stdout);
	dup2(kept[0], 1);
	dup2(kept[1], 2);
	close(kept[0]);
	close(kept[1]);
	read_back(o, out, sizeof(out));
	read_back(e, said, sizeof(said));
	return status;
}

static bool one_line(const char *text)
{
	const char *nl = strchr(text, '\n');

	return nl && !nl[1];
}

static const struct {
	const char *line;
	int status;
	const char *said; /* on standard error; NULL: nothing */
} usage[] = {
	{ "", 2, "which command" },
	{ "frobnicate", 2, "\"frobnicate\" is no command" },
	{ "ipam", 2, "expected ipam show" },
	{ "ipam frobnicate", 2, "expected ipam show" },
	{ "ipam check now", 2, "usage: nodectl ipam check" },
	{ "ipam release a b", 2, "usage: nodectl ipam release [ADDRESS]" },
	{ "endpoint add", 2, "not in this version" },
	{ "endpoint del", 2, "not in this version" },
	{ "policy", 2, "not in this version" },
	{ "policy list", 2, "not in this version" },
	{ "policy why a b 80", 2, "not in this version" },
	{ "doctor", 2, "not in this version" },
	{ "observe", 2, "not in this version" },
	{ "drain", 2, "not in this version" },
	{ "undrain", 2, "not in this version" },
	{ "status now", 2, "usage: nodectl status" },
	{ "peers a b", 2, "usage: nodectl peers [NAME]" },
	{ "log", 2, "usage: nodectl log LEVEL" },
	{ "log loud", 2, "\"loud\" is no log level" },
	{ "routes 10.0.0.0/33", 2, "\"10.0.0.0/33\" is no prefix" },
	{ "routes --in a --out b", 2, "only one of" },
	{ "routes --in", 2, "--in needs a value" },
	{ "peers --best", 2, "belong to routes" },
	{ "status --loud", 2, "unknown option --loud" },
	{ "status -x", 2, "unknown option -x" },
	{ "version", 0, NULL },
	{ "--version", 0, NULL },
	{ "--help", 0, NULL },
	/* Good words, but nobody answers. */
	{ "status", 3, "/ctl.sock: No such file" },
	{ "-j status", 3, "/ctl.sock: No such file" },
	{ "peers", 3, "/ctl.sock: No such file" },
	{ "routes --best", 3, "/ctl.sock: No such file" },
	{ "routes 10.0.0.1", 3, "/ctl.sock: No such file" },
	{ "ipam show", 3, "/ctl.sock: No such file" },
	{ "ipam check", 3, "/ctl.sock: No such file" },
	{ "ipam release", 3, "/ctl.sock: No such file" },
	{ "endpoints", 3, "/ctl.sock: No such file" },
	{ "log debug rib", 3, "/ctl.sock: No such file" },
};

START_TEST(usage_and_nobody_there)
{
	strcpy(dir, "/nonexistent");
	for (size_t i = 0; i < sizeof(usage) / sizeof(usage[0]); i++) {
		int status = nodectl(usage[i].line);

		ck_assert_msg(status == usage[i].status, "%s: %d", usage[i].line, status);
		if (usage[i].said) {
			ck_assert_msg(strstr(said, usage[i].said) && one_line(said), "%s: %s",
				      usage[i].line, said);
			ck_assert_msg(!out[0], "%s prints %s", usage[i].line, out);
		} else {
			ck_assert_msg(!said[0] && out[0], "%s: %s", usage[i].line, said);
		}
	}
}
END_TEST

static const struct {
	const char *line;
	int status;
	const char *out, *said;
} calls[] = {
	{ "status", 0, "n1 is ready", NULL },
	{ "-j status", 0, "\"ready\": true", NULL },
	{ "status -j", 0, "\"ready\": true", NULL },
	{ "peers", 0, "Established", NULL },
	{ "peers tor1", 0, "tor1  Established", NULL },
	{ "peers nobody", 1, NULL, "no BGP peer" },
	{ "routes", 0, "10.0.2.0/24", NULL },
	{ "routes --in nobody", 1, NULL, "no BGP peer" },
	{ "-j routes --in tor1 10.0.0.0/24", 0, "\"prefix\": \"10.0.1.0/24\"", NULL },
	{ "ipam show", 0, "no address pools", NULL },
	{ "-j ipam show", 0, "\"pools\"", NULL },
	{ "ipam check", 0, "agree", NULL },
	{ "-j ipam release 10.0.0.1", 0, "[", NULL },
	{ "endpoints", 0, "no endpoints", NULL },
	{ "-j endpoints", 0, "[", NULL },
	{ "log debug", 0, NULL, NULL },
	{ "log debug bad", 1, NULL, "refused" },
};

static void check_call(const char *line, int want, const char *on_out, const char *on_err)
{
	int status = nodectl(line);

	ck_assert_msg(status == want, "%s: %d, %s", line, status, said);
	ck_assert_msg(on_out ? strstr(out, on_out) != NULL : !out[0], "%s prints %s", line, out);
	ck_assert_msg(on_err ? strstr(said, on_err) && one_line(said) : !said[0], "%s: %s", line,
		      said);
	if (strstr(line, "-j") && on_out) {
		struct json_object *o = json_tokener_parse(out);

		ck_assert_msg(o != NULL, "%s: no JSON: %s", line, out);
		json_object_put(o);
	}
}

START_TEST(a_node_in_good_order)
{
	pid_t pid;

	far.nroutes = 3;
	pid = start_far_side();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		check_call(calls[i].line, calls[i].status, calls[i].out, calls[i].said);
	stop_far_side(pid);
}
END_TEST

START_TEST(no_such_route)
{
	pid_t pid;

	far.nroutes = 0;
	pid = start_far_side();
	check_call("routes 10.9.0.0/16", 1, NULL, "no such route: 10.9.0.0/16");
	check_call("-j routes 10.9.0.0/16", 1, "[]", "no such route");
	check_call("routes", 0, "no routes", NULL);
	stop_far_side(pid);
}
END_TEST

START_TEST(a_session_is_down)
{
	pid_t pid;

	far.peer_down = true;
	pid = start_far_side();
	check_call("status", 1, "0 of 1 peers established", NULL);
	check_call("-j status", 1, "\"state\": \"Connect\"", NULL);
	stop_far_side(pid);
}
END_TEST

START_TEST(bgpd_is_stopped)
{
	pid_t pid;

	far.bgpd_stopped = true;
	pid = start_far_side();
	check_call("status", 1, "! bgpd: waiting 2 s after signal 11", NULL);
	check_call("-j status", 1, "\"ready\": false", NULL);
	check_call("peers", 3, NULL, "bgpd is not running: waiting 2 s after signal 11");
	check_call("routes", 3, NULL, "bgpd is not running");
	check_call("endpoints", 0, "no endpoints", NULL);
	stop_far_side(pid);
}
END_TEST

START_TEST(bgpd_hangs_up)
{
	pid_t pid;

	far.bgpd_hangs_up = true;
	pid = start_far_side();
	check_call("peers", 3, NULL, "bgpd closed the connection");
	check_call("status", 1, "bgpd closed the connection", NULL);
	stop_far_side(pid);
}
END_TEST

static void as_other_user(void)
{
	if (!geteuid() && (setgid(65534) || setuid(65534)))
		_exit(2);
}

/* Who may not use ctl.sock reads over ro.sock, and is told what is missing where that is closed
 * too. */
START_TEST(without_permission)
{
	int ctl, status;
	pid_t pid, child;

	make_dir();
	ctl = listen_on("ctl.sock", 0);
	pid = serve_on(listen_on("ro.sock", 0666));
	child = fork();
	if (!child) {
		as_other_user();
		check_call("status", 0, "n1 is ready", NULL);
		check_call("log debug", 3, NULL, "/ctl.sock: Permission denied: run it as root");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	stop_far_side(pid);
	close(ctl);
	make_dir();
	ctl = listen_on("ctl.sock", 0);
	child = fork();
	if (!child) {
		as_other_user();
		check_call("status", 3, NULL, "/ctl.sock: Permission denied: run it as root");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	close(ctl);
	remove_dir();
}
END_TEST

/* The man page's lists are those of the tables, word for word. */
START_TEST(man_page_has_the_tables_lists)
{
	char *page, *list = NULL;
	size_t size;
	FILE *f = open_memstream(&list, &size);
	long n;

	nodectl_help_mdoc(f);
	fclose(f);
	f = fopen(TESTDATA "/../man/nodectl.8", "r");
	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	page = calloc(1, (size_t)n + 1);
	ck_assert_uint_eq(fread(page, 1, (size_t)n, f), (size_t)n);
	fclose(f);
	ck_assert_msg(strstr(page, list), "man/nodectl.8 does not have this list:\n%s", list);
	free(page);
	free(list);
}
END_TEST

UNIT_MAIN("nodectl_cli", usage_and_nobody_there, a_node_in_good_order, no_such_route,
	  a_session_is_down, bgpd_is_stopped, bgpd_hangs_up, without_permission,
	  man_page_has_the_tables_lists)
