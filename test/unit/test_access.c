/* noded's reading of the access to the API: real files, a real plugin (a shell script) and a real
 * loop, with intervals of milliseconds. Every path is in a folder of the test's own.
 */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/log.h"
#include "noded/access.h"
#include "noded/access_exec.h"
#include "unit.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CERT   "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n"
#define KEY    "-----BEGIN PRIVATE KEY-----\nQUFB\n-----END PRIVATE KEY-----\n"

/* Two contexts; what a row says of the cluster and of the user; %s is the folder. */
#define CONFIG(current, cluster, user)                                                             \
	"kind: Config\ncurrent-context: " current "\n"                                             \
	"contexts: [{name: a, context: {cluster: k, user: u}}, {name: b, context: {}}]\n"          \
	"clusters: [{name: k, cluster: {server: 'https://a:6443'" cluster "}}]\n"                  \
	"users: [{name: u, user: {" user "}}]\n"
#define EXEC                                                                                       \
	"exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: [x, y], "    \
	"env: [{name: FROM_CONFIG, value: here}]}"

static char base[64];
static struct ev_loop *loop;
static struct nodeconf *conf;
static struct access *acc;
static struct access_config config;
static unsigned changes, reasons;

/* ---- the folder ---- */

static const char *under(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", base, name);
	return p;
}

/* As rotation does it: a new file in the old one's place. */
static void put(const char *name, const char *text, mode_t mode)
{
	char tmp[256];

	snprintf(tmp, sizeof(tmp), "%s/.new", base);
	FILE *f = fopen(tmp, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(tmp, mode), 0);
	ck_assert_int_eq(rename(tmp, under(name)), 0);
}

static unsigned lines_of(const char *name)
{
	FILE *f = fopen(under(name), "r");
	unsigned n = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static bool file_has(const char *name, const char *text)
{
	char buf[8192];
	FILE *f = fopen(under(name), "r");
	size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;

	if (f)
		fclose(f);
	buf[n] = '\0';
	return strstr(buf, text) != NULL;
}

static void begin_with(const char *datastore)
{
	struct arena arena = { 0 };
	struct problems problems = { .arena = &arena };
	char text[512];

	snprintf(text, sizeof(text), "datastore: {kind: kubernetes, %s}\n", datastore);
	conf = nodeconf_parse(text, strlen(text), "n.yaml", &problems);
	ck_assert_msg(conf != NULL, "%s", problems.n ? problems.text[0] : "?");
	arena_free(&arena);
	config = access_defaults(conf);
	config.pod_dir = base;
	config.poll = 0.02;
	config.refresh_gap = 0.3;
	config.exec_limit = 5;
	config.retry_min = 0.05;
	config.retry_max = 0.1;
}

static void begin(void)
{
	char datastore[128];

	snprintf(base, sizeof(base), "/tmp/test-access-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	loop = ev_default_loop(EVFLAG_NOENV);
	unsetenv("KUBERNETES_SERVICE_HOST");
	snprintf(datastore, sizeof(datastore), "kubeconfig: %s/config", base);
	begin_with(datastore);
}

static void end(void)
{
	char cmd[128];

	access_free(acc);
	nodeconf_free(conf);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	ck_assert_int_eq(system(cmd), 0);
}

/* ---- the loop ---- */

static void on_access(void *arg)
{
	(void)arg;
	changes++;
}

static void on_reason(void *arg)
{
	(void)arg;
	reasons++;
}

static const struct access_ops ops = { on_access, on_reason };

static void start(void)
{
	struct err err = { 0 };

	acc = access_new(loop, &config, &ops, NULL, &err);
	ck_assert_msg(acc != NULL, "%s", err.text);
}

static void on_tick(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(l, EVBREAK_ALL);
}

static void turn(double seconds)
{
	ev_timer tick;

	ev_timer_init(&tick, on_tick, seconds, 0.0);
	ev_now_update(loop);
	ev_timer_start(loop, &tick);
	ev_run(loop, 0);
	ev_timer_stop(loop, &tick);
}

static bool token_is(const char *token)
{
	struct err err = { 0 };
	struct kube_access *a =
		access_fd(acc) >= 0 ? child_kube_access(access_fd(acc), &err) : NULL;
	bool same = a && !strcmp(a->token, token);

	kube_access_free(a);
	return same;
}

/* Until a condition holds, 10 s at most. */
#define UNTIL(holds)                                                                               \
	do {                                                                                       \
		for (int i_ = 0; i_ < 1000 && !(holds); i_++)                                      \
			turn(0.01);                                                                \
		ck_assert_msg(holds, #holds ", reason \"%s\"", access_reason(acc));                \
	} while (0)

/* ---- what noded does not start with ---- */

START_TEST(broken_at_first_start)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ NULL, "/config does not exist; put one there, or name another with "
			"datastore.kubeconfig" },
		{ CONFIG("x", "", "token: t"), "context \"x\" does not exist; contexts: a, b" },
		{ CONFIG("a", ", insecure-skip-tls-verify: true", "token: t"),
		  "insecure-skip-tls-verify is not taken" },
		{ CONFIG("a", "", "client-certificate: cert, client-key: nokey"),
		  "client-key: the file " },
		{ CONFIG("a", "", "client-certificate: cert, client-key: dir"),
		  "/dir is not a regular file" },
		{ CONFIG("a", "", "client-certificate: cert, client-key: fifo"),
		  "/fifo is not a regular file" },
		{ CONFIG("a", "", "client-certificate: cert, client-key: cert"),
		  "/cert holds no private key in PEM" },
		{ CONFIG("a", ", certificate-authority: key", "token: t"),
		  "/key holds no certificate in PEM" },
		{ CONFIG("a", "", "tokenFile: empty"), "tokenFile: the file " },
	};

	begin();
	put("cert", CERT, 0600);
	put("key", KEY, 0600);
	put("empty", "", 0600);
	ck_assert_int_eq(mkdir(under("dir"), 0700), 0);
	ck_assert_int_eq(mkfifo(under("fifo"), 0700), 0);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct err err = { 0 }, checked = { 0 };

		if (rows[i].text)
			put("config", rows[i].text, 0600);
		ck_assert_ptr_null(access_new(loop, &config, &ops, NULL, &err));
		ck_assert_msg(strstr(err.text, rows[i].want), "row %zu: %s", i, err.text);
		ck_assert_msg(strstr(err.text, under("config")), "row %zu: %s", i, err.text);
		ck_assert_int_eq(access_check(&config, &checked), -1);
		ck_assert_str_eq(err.text, checked.text);
	}
	put("config", CONFIG("a", "", "client-certificate: cert, client-key: key"), 0600);
	struct err err = { 0 };
	ck_assert_msg(access_check(&config, &err) == 0, "%s", err.text);
	end();
}
END_TEST

/* root reads what it may not; so the one who may not is somebody else. */
START_TEST(an_unreadable_key)
{
	struct err err = { 0 };

	begin();
	put("cert", CERT, 0644);
	put("key", KEY, 0000);
	put("config", CONFIG("a", "", "client-certificate: cert, client-key: key"), 0644);
	ck_assert_int_eq(chmod(base, 0755), 0);
	if (!geteuid())
		ck_assert_int_eq(seteuid(65534), 0);
	int rc = access_check(&config, &err);

	if (!getuid())
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(rc, -1);
	ck_assert_msg(strstr(err.text, "client-key: the file ") &&
			      strstr(err.text, "/key cannot be read: Permission denied"),
		      "%s", err.text);
	end();
}
END_TEST

/* ---- files that change ---- */

START_TEST(token_file_rotates)
{
	begin();
	put("config", CONFIG("a", "", "tokenFile: tok"), 0600);
	put("tok", "one\n", 0600);
	start();
	ck_assert(token_is("one"));
	ck_assert_str_eq(access_reason(acc), "");
	turn(0.1);
	ck_assert_uint_eq(changes, 0);

	put("tok", "two\n", 0600);
	UNTIL(changes == 1);
	ck_assert(token_is("two"));

	/* Away or empty: the last good one stays. */
	ck_assert_int_eq(unlink(under("tok")), 0);
	UNTIL(reasons == 1);
	ck_assert_ptr_nonnull(strstr(access_reason(acc), "tokenFile: the file "));
	put("tok", "", 0600);
	UNTIL(reasons == 2);
	ck_assert_ptr_nonnull(strstr(access_reason(acc), "/tok is empty"));
	ck_assert(token_is("two") && changes == 1);

	put("tok", "three", 0600);
	UNTIL(token_is("three"));
	ck_assert_str_eq(access_reason(acc), "");
	/* The same content in another file is no change. */
	put("tok", "three\n", 0600);
	turn(0.1);
	ck_assert_uint_eq(changes, 2);
	end();
}
END_TEST

START_TEST(kubeconfig_changes)
{
	begin();
	put("config", CONFIG("a", "", "token: one"), 0600);
	start();
	put("config", CONFIG("x", "", "token: two"), 0600);
	UNTIL(reasons == 1);
	char want[256];

	snprintf(want, sizeof(want), "kubeconfig %s: context \"x\" does not exist; contexts: a, b",
		 under("config"));
	ck_assert_str_eq(access_reason(acc), want);
	ck_assert(token_is("one") && changes == 0);
	put("config", CONFIG("a", "", "token: two"), 0600);
	UNTIL(token_is("two"));
	ck_assert_str_eq(access_reason(acc), "");
	ck_assert_uint_eq(changes, 1);
	end();
}
END_TEST

START_TEST(nobody_changes_what_felix_has)
{
	begin();
	put("config", CONFIG("a", "", "token: one"), 0600);
	start();
	int fd = access_fd(acc);

	ck_assert_int_lt(pwrite(fd, "x", 1, 0), 0);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	/* Read twice: a restarted felix gets the same descriptor. */
	ck_assert(token_is("one") && token_is("one"));
	end();
}
END_TEST

START_TEST(a_pod_comes_first_unless_something_is_written)
{
	struct err err = { 0 };
	char datastore[200];

	begin();
	put("token", "pod-token\n", 0600);
	put("ca.crt", CERT, 0600);
	put("config", CONFIG("a", "", "token: file-token"), 0600);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	start();
	ck_assert(token_is("file-token"));
	access_free(acc);
	nodeconf_free(conf);

	begin_with("servers: ['https://10.0.0.1:6443', 'https://10.0.0.2:6443']");
	start();
	struct kube_access *a = child_kube_access(access_fd(acc), &err);

	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->token, "pod-token");
	ck_assert_str_eq(a->namespace_, "");
	ck_assert_uint_eq(a->nservers, 2);
	kube_access_free(a);
	access_free(acc);
	acc = NULL;
	nodeconf_free(conf);

	/* A context is one of a kubeconfig; the default one is not there. */
	snprintf(datastore, sizeof(datastore), "context: a");
	begin_with(datastore);
	conf->datastore.kubeconfig = under("none");
	ck_assert_int_eq(access_check(&config, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "does not exist"));
	end();
}
END_TEST

/* ---- the plugin ---- */

/* Says what it was given, counts its runs, then does `body`. */
static void put_plugin(const char *body)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "#!/bin/sh\ncd %s\necho run >>runs\n"
		 "echo \"$1 $2 $FROM_CONFIG $KUBERNETES_EXEC_INFO\" >given\n"
		 "answer() { printf '{\"kind\":\"ExecCredential\",\"apiVersion\":"
		 "\"client.authentication.k8s.io/v1\",\"status\":{\"token\":\"%%s\"%%s}}' \"$1\" "
		 "\"$2\"; }\n%s\n",
		 base, body);
	put("plugin", text, 0700);
}

START_TEST(plugin_gives_a_token)
{
	begin();
	config.refresh_gap = 1.0;
	put_plugin("answer tok$(wc -l <runs)");
	put("config", CONFIG("a", "", EXEC), 0600);
	start();
	ck_assert_int_eq(access_fd(acc), -1);
	ck_assert_ptr_nonnull(strstr(access_reason(acc), "has not answered yet"));
	UNTIL(changes == 1);
	ck_assert(token_is("tok1"));
	ck_assert_str_eq(access_reason(acc), "");
	ck_assert(file_has("given",
			   "x y here {\"apiVersion\":\"client.authentication.k8s.io/v1\","
			   "\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}"));
	/* Without an expiry it is not run again by itself. */
	turn(0.2);
	ck_assert_uint_eq(lines_of("runs"), 1);

	/* felix was refused, over and over: two readings, a gap apart, not six. */
	for (int i = 0; i < 3; i++)
		access_refresh(acc);
	UNTIL(token_is("tok2"));
	for (int i = 0; i < 3; i++)
		access_refresh(acc);
	turn(0.05);
	ck_assert_uint_eq(lines_of("runs"), 2);
	UNTIL(token_is("tok3"));
	turn(0.4);
	ck_assert_uint_eq(lines_of("runs"), 3);
	end();
}
END_TEST

/* Asked again a tenth of its life before it expires, and no sooner. */
START_TEST(plugin_expires)
{
	begin();
	config.poll = 60; /* its own timer, not the next look at the files */
	put_plugin(
		"answer tok$(wc -l <runs) ,\\\"expirationTimestamp\\\":\\\"$(date -u -d '+4 sec' "
		"+%Y-%m-%dT%H:%M:%SZ)\\\"");
	put("config", CONFIG("a", "", EXEC), 0600);
	start();
	UNTIL(token_is("tok1"));
	turn(1.0);
	ck_assert_uint_eq(lines_of("runs"), 1);
	UNTIL(token_is("tok2"));
	ck_assert_uint_eq(lines_of("runs"), 2);

	/* What has expired already is no answer. */
	put_plugin("answer old ,\\\"expirationTimestamp\\\":\\\"2020-01-01T00:00:00Z\\\"");
	UNTIL(*access_reason(acc));
	ck_assert_ptr_nonnull(strstr(access_reason(acc), "credentials that have expired"));
	ck_assert(token_is("tok2"));
	end();
}
END_TEST

START_TEST(plugin_fails_at_first)
{
	char log[256];

	begin();
	snprintf(log, sizeof(log), "%s", under("log"));
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), old = dup(2);

	dup2(fd, 2);
	put_plugin("[ -e ok ] && answer good && exit\n"
		   "echo >&2 no session for eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJub2RlIn0\n"
		   "echo half a secret tok3n\nexit 3");
	put("config", CONFIG("a", "", EXEC), 0600);
	start();
	UNTIL(lines_of("runs") >= 3);
	ck_assert_int_eq(access_fd(acc), -1);
	ck_assert_ptr_nonnull(strstr(access_reason(acc), "/plugin ended with exit status 3"));
	put("ok", "", 0600);
	UNTIL(token_is("good"));
	ck_assert_str_eq(access_reason(acc), "");
	dup2(old, 2);
	ck_assert(file_has("log", "exec plugin says: no session for (removed)"));
	ck_assert(!file_has("log", "eyJ") && !file_has("log", "tok3n") && !file_has("log", "good"));
	close(fd);
	end();
}
END_TEST

static int pid_in(const char *name)
{
	FILE *f = fopen(under(name), "r");
	int pid = 0;

	ck_assert(f && fscanf(f, "%d", &pid) == 1 && pid > 1);
	fclose(f);
	return pid;
}

/* An orphan may stay a zombie where nobody waits for it. */
static bool is_gone(int pid)
{
	char path[64], state = 'Z';

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 200; i++) {
		FILE *f = fopen(path, "r");

		if (!f)
			return true;
		if (fscanf(f, "%*d %*s %c", &state) != 1)
			state = 'Z';
		fclose(f);
		if (state == 'Z')
			return true;
		usleep(10000);
	}
	return false;
}

START_TEST(plugin_faults)
{
	static const struct {
		const char *body, *want;
	} rows[] = {
		{ "exec sleep 60", "did not end within 0.3 s and was ended" },
		{ "sleep 60 & echo $! >pid; wait", "did not end within 0.3 s and was ended" },
		/* From here on it has time. */
		{ "kill -9 $$", "was ended by signal 9" },
		{ "cat /dev/zero", "wrote more than 1 MiB and was ended" },
		{ "true", "it printed nothing" },
		{ "echo hello", "is no ExecCredential" },
		{ "echo '{'", "its answer:" },
		{ "answer 'a b'", "status.token of its answer holds white space" },
	};

	begin();
	config.retry_min = config.retry_max = 60;
	config.refresh_gap = 0;
	put("config", CONFIG("a", "", EXEC), 0600);
	for (size_t i = 0; i < LEN(rows); i++) {
		config.exec_limit = i < 2 ? 0.3 : 10;
		put_plugin(rows[i].body);
		start();
		for (int n = 0; n < 1000 && !strstr(access_reason(acc), rows[i].want); n++)
			turn(0.01);
		ck_assert_msg(strstr(access_reason(acc), rows[i].want), "row %zu: %s", i,
			      access_reason(acc));
		ck_assert_int_eq(access_fd(acc), -1);
		access_free(acc);
	}
	acc = NULL;
	ck_assert(is_gone(pid_in("pid")));

	/* felix may ask as often as it likes: the wait after a failure is kept. */
	put_plugin("exit 1");
	start();
	UNTIL(strstr(access_reason(acc), "exit status 1"));
	unsigned runs = lines_of("runs");

	for (int i = 0; i < 3; i++) {
		access_refresh(acc);
		turn(0.05);
	}
	ck_assert_uint_eq(lines_of("runs"), runs);
	access_free(acc);
	acc = NULL;

	/* Not there at all: noded still starts, and says it; -n says it too. */
	struct err err = { 0 };

	unlink(under("plugin"));
	ck_assert_int_eq(access_check(&config, &err), -1);
	start();
	ck_assert_str_eq(access_reason(acc), err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "/plugin is no program that can be started"));
	end();
}
END_TEST

/* A daemon that the plugin leaves behind must not keep its answer. */
START_TEST(plugin_leaves_a_daemon)
{
	begin();
	put_plugin("sleep 60 & echo $! >pid; answer tok");
	put("config", CONFIG("a", "", EXEC), 0600);
	double began = ev_time();

	start();
	UNTIL(token_is("tok"));
	ck_assert(ev_time() - began < 30);
	ck_assert_int_eq(kill(pid_in("pid"), SIGKILL), 0);
	end();
}
END_TEST

/* A plugin that hangs holds neither the loop nor the end. */
START_TEST(plugin_is_ended_with_noded)
{
	begin();
	put_plugin("echo $$ >pid; exec sleep 60");
	put("config", CONFIG("a", "", EXEC), 0600);
	start();
	UNTIL(lines_of("pid") == 1);
	int pid = pid_in("pid");

	access_free(acc);
	acc = NULL;
	ck_assert(is_gone(pid));
	end();
}
END_TEST

/* ---- the pure parts ---- */

START_TEST(when_due)
{
	static const struct {
		uint64_t now, expires, want;
	} rows[] = {
		{ 1000, 1000 + 3600, 1000 + 3540 }, /* a minute before */
		{ 1000, 1000 + 600, 1000 + 540 },
		{ 1000, 1000 + 300, 1000 + 270 }, /* a tenth of its life before */
		{ 1000, 1005, 1005 },
		{ 1000, 1000, 0 },
		{ 1000, 999, 0 },
	};

	for (size_t i = 0; i < LEN(rows); i++)
		ck_assert_uint_eq(access_due(rows[i].now, rows[i].expires), rows[i].want);
}
END_TEST

START_TEST(what_a_plugin_may_say)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "", "" },
		{ "Error: cannot reach https://sso.example.org/oauth2",
		  "Error: cannot reach https://sso.example.org/oauth2" },
		{ "id 123e4567-e89b-12d3-a456-426614174000",
		  "id 123e4567-e89b-12d3-a456-426614174000" },
		{ "/usr/local/lib/python3/site-packages/botocore/client.py",
		  "/usr/local/lib/python3/site-packages/botocore/client.py" },
		{ "token=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJub2RlIn0.c2ln tail",
		  "token=(removed).(removed).c2ln tail" },
		{ "key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY!", "key (removed)!" },
		{ "a\tb\x1b[31m", "a b [31m" },
	};
	char out[128], small[16];

	for (size_t i = 0; i < LEN(rows); i++) {
		access_exec_clean(rows[i].line, out, sizeof(out));
		ck_assert_str_eq(out, rows[i].want);
	}
	access_exec_clean("0123456789012345678901234567890123456789", small, sizeof(small));
	ck_assert_uint_lt(strlen(small), sizeof(small));
}
END_TEST

UNIT_MAIN("access", broken_at_first_start, an_unreadable_key, token_file_rotates,
	  kubeconfig_changes, nobody_changes_what_felix_has,
	  a_pod_comes_first_unless_something_is_written, plugin_gives_a_token, plugin_expires,
	  plugin_fails_at_first, plugin_faults, plugin_leaves_a_daemon, plugin_is_ended_with_noded,
	  when_due, what_a_plugin_may_say)
