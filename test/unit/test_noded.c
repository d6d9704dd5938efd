/* What noded does outside its children: command line, folders, listeners, sockets, systemd. Every
 * path is in a folder of the test's own; ports are the kernel's choice.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "noded/control.h"
#include "noded/dirs.h"
#include "noded/listeners.h"
#include "noded/notify.h"
#include "noded/options.h"
#include "noded/portowner.h"
#include "unit.h"

enum { UID = 90180 };

static char base[64];
static char path_buf[4][256];

static void make_base(void)
{
	snprintf(base, sizeof(base), "/tmp/test-noded-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
}

static void drop_base(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	ck_assert_int_eq(system(cmd), 0);
}

static const char *under(int slot, const char *name)
{
	snprintf(path_buf[slot], sizeof(path_buf[slot]), "%s/%s", base, name);
	return path_buf[slot];
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* ---- the command line ---- */

START_TEST(command_line)
{
	static const struct {
		const char *argv[6];
		enum options_result want;
		const char *file;
		bool check;
	} rows[] = {
		{ { "noded" }, OPTIONS_RUN, SYSCONFDIR "/selvage/node.yaml", false },
		{ { "noded", "-c", "x", "-n", "-f" }, OPTIONS_RUN, "x", true },
		{ { "noded", "-h" }, OPTIONS_DONE, NULL, false },
		{ { "noded", "-V" }, OPTIONS_DONE, NULL, false },
		{ { "noded", "-x" }, OPTIONS_USAGE, NULL, false },
		{ { "noded", "-c" }, OPTIONS_USAGE, NULL, false },
		{ { "noded", "-n", "word" }, OPTIONS_USAGE, NULL, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o;
		char *argv[6];
		int argc = 0;
		memcpy(argv, rows[i].argv, sizeof(argv));
		while (argc < 6 && argv[argc])
			argc++;
		optind = 1;
		ck_assert_int_eq(options_parse(&o, argc, argv), rows[i].want);
		if (!rows[i].file)
			continue;
		ck_assert_str_eq(o.file, rows[i].file);
		ck_assert_int_eq(o.check, rows[i].check);
	}
}
END_TEST

/* ---- folders ---- */

START_TEST(run_folder_has_one_noded)
{
	struct err err = { 0 };
	int lock, lock2;

	make_base();
	int fd = dirs_open_run(under(0, "a/b/run"), &lock, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	char pid[32];
	snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	ck_assert_int_lt(dirs_open_run(under(0, "a/b/run"), &lock2, &err), 0);
	ck_assert_msg(strstr(err.text, pid) && strstr(err.text, under(1, "a/b/run")), "%s",
		      err.text);
	close(lock);
	int again = dirs_open_run(under(0, "a/b/run"), &lock, &err);
	ck_assert_msg(again >= 0, "%s", err.text);
	ck_assert_int_lt(dirs_open_run("run", &lock2, &err), 0);

	int empty = dirs_open_chroot(again, &err);
	ck_assert_msg(empty >= 0, "%s", err.text);
	struct stat st;
	ck_assert(!fstat(empty, &st) && (st.st_mode & 07777) == 0755 && st.st_uid == 0);
	touch(under(0, "a/b/run/empty/file"));
	ck_assert_int_lt(dirs_open_chroot(again, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "not empty"));

	/* A DEL that a plugin left before noded's first start. */
	ck_assert(!mkdir(under(0, "a/b/run/spool"), 0750));
	touch(under(0, "a/b/run/spool/del-1"));
	ck_assert_msg(dirs_open_spool(again, UID, &err) >= 0, "%s", err.text);
	ck_assert(!stat(under(0, "a/b/run/spool/del-1"), &st) && st.st_uid == UID);
	ck_assert(!stat(under(0, "a/b/run/spool"), &st) && st.st_uid == UID);
	drop_base();
}
END_TEST

START_TEST(state_folder_becomes_felixs)
{
	struct err err = { 0 };
	struct stat st;

	make_base();
	int fd = dirs_open_state(under(0, "var/state"), UID, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(!fstat(fd, &st) && st.st_uid == UID && (st.st_mode & 07777) == 0750);
	close(fd);

	/* A file that root restored, and a link out of the folder, which must be left alone. */
	touch(under(1, "var/state/ipam.journal"));
	ck_assert(!mkdir(under(0, "var/state/endpoints"), 0700));
	touch(under(0, "var/state/endpoints/one"));
	touch(under(2, "outside"));
	ck_assert(!symlink(under(2, "outside"), under(3, "var/state/link")));
	ck_assert(!link(under(2, "outside"), under(3, "var/state/hard")));
	fd = dirs_open_state(under(0, "var/state"), UID, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(!stat(under(1, "var/state/ipam.journal"), &st) && st.st_uid == UID);
	ck_assert(!stat(under(1, "var/state/endpoints"), &st) && st.st_uid == UID);
	ck_assert(!stat(under(1, "var/state/endpoints/one"), &st) && st.st_uid == UID);
	ck_assert(!stat(under(2, "outside"), &st) && st.st_uid == 0);
	close(fd);
	drop_base();
}
END_TEST

START_TEST(wrong_folders_are_named)
{
	struct err err = { 0 };

	make_base();
	touch(under(0, "file"));
	ck_assert_int_lt(dirs_open_state(under(0, "file"), UID, &err), 0);
	ck_assert_msg(strstr(err.text, "state.dir") && strstr(err.text, base), "%s", err.text);
	ck_assert_int_lt(dirs_open_state(under(0, "file/state"), UID, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "state.dir"));
	ck_assert_int_lt(dirs_open_state("/proc", UID, &err), 0);
	/* Somebody else's: base holds a file that is none of ours, and belongs to root. */
	ck_assert_int_lt(dirs_open_state(base, UID, &err), 0);
	ck_assert_msg(strstr(err.text, "no journal"), "%s", err.text);
	struct stat st;
	ck_assert(!stat(base, &st) && st.st_uid == 0);

	ck_assert_int_lt(dirs_open_store(under(0, "none"), &err), 0);
	ck_assert_msg(strstr(err.text, "datastore.path") && strstr(err.text, "does not exist"),
		      "%s", err.text);
	ck_assert_int_lt(dirs_open_store(under(0, "file"), &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "datastore.path"));
	drop_base();
}
END_TEST

/* ---- listeners ---- */

static int try_connect(const struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int r = connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) ? errno : 0;
	close(fd);
	return r;
}

/* A port that was free a moment ago: a listener on port 0 would not keep its port over a refusal.
 */
static uint16_t free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert(!bind(fd, (struct sockaddr *)&sin, len));
	ck_assert(!getsockname(fd, (struct sockaddr *)&sin, &len));
	close(fd);
	return ntohs(sin.sin_port);
}

START_TEST(listeners_refuse_and_come_back)
{
	struct conf_listen want = { .address = addr_v4(0x7f000001), .port = free_port() };
	struct nodeconf conf = { .bgp.listen = { 1, &want } };
	struct listeners l, taken;
	struct err err = { 0 };
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	char who[64], name[64];

	ck_assert_msg(!listeners_open(&l, &conf, &err), "%s", err.text);
	ck_assert_uint_eq(l.n, 1);
	snprintf(name, sizeof(name), "127.0.0.1 %u", want.port);
	ck_assert_str_eq(l.v[0].name, name);
	ck_assert(!getsockname(l.v[0].fd, (struct sockaddr *)&sin, &len));
	ck_assert(fcntl(l.v[0].fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(try_connect(&sin), 0);
	listeners_refuse(&l);
	ck_assert_int_eq(try_connect(&sin), ECONNREFUSED);
	listeners_resume(&l);
	ck_assert_int_eq(try_connect(&sin), 0);

	char me[32], port[16];
	snprintf(me, sizeof(me), "(pid %ld)", (long)getpid());
	ck_assert_int_eq(portowner_find(ntohs(sin.sin_port), who, sizeof(who)), 0);
	ck_assert_msg(strstr(who, me), "%s", who);
	ck_assert_int_eq(listeners_open(&taken, &conf, &err), -1);
	snprintf(port, sizeof(port), "port %u", want.port);
	ck_assert_msg(strstr(err.text, "127.0.0.1") && strstr(err.text, port) &&
			      strstr(err.text, me),
		      "%s", err.text);
	listeners_close(&l);
	ck_assert_int_eq(portowner_find((uint16_t)want.port, who, sizeof(who)), -1);

	want.address = addr_v4(0xc0000201); /* 192.0.2.1, which no host has */
	ck_assert_int_eq(listeners_open(&l, &conf, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "192.0.2.1"));
}
END_TEST

/* ---- control sockets ---- */

START_TEST(sockets_replace_stale_ones)
{
	struct err err = { 0 };
	struct stat st;
	char deep[160];

	make_base();
	int fd = control_bind(base, "ctl.sock", 0600, 0, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(!stat(under(0, "ctl.sock"), &st) && (st.st_mode & 07777) == 0600);
	close(fd);
	fd = control_bind(base, "ctl.sock", 0660, UID, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(!stat(under(0, "ctl.sock"), &st) && (st.st_mode & 07777) == 0660);
	ck_assert_uint_eq(st.st_gid, UID);
	close(fd);
	memset(deep, 'x', sizeof(deep) - 1);
	deep[0] = '/';
	deep[sizeof(deep) - 1] = '\0';
	ck_assert_int_lt(control_bind(deep, "ctl.sock", 0600, 0, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "shorter"));
	drop_base();
}
END_TEST

/* ---- systemd ---- */

static int bind_notify(const char *name, char *env, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	memcpy(sun.sun_path, name, n);
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	ck_assert(!bind(fd, (struct sockaddr *)&sun,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)));
	snprintf(env, size, "%s", name);
	return fd;
}

static void notify_over(const char *name)
{
	struct notify n;
	char env[128], got[64] = "";
	int fd = bind_notify(name, env, sizeof(env));

	setenv("NOTIFY_SOCKET", env, 1);
	setenv("WATCHDOG_USEC", "30000000", 1);
	unsetenv("WATCHDOG_PID");
	notify_init(&n);
	ck_assert_uint_eq(n.watchdog_ms, 15000);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	notify_send(&n, "READY=%d", 1);
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
	ck_assert_str_eq(got, "READY=1");
	close(n.fd);
	close(fd);
}

START_TEST(systemd_is_told)
{
	struct notify n;
	char name[64];

	make_base();
	notify_over(under(0, "notify"));
	snprintf(name, sizeof(name), "@selvage-test-%ld", (long)getpid());
	notify_over(name);

	/* Nobody asks, a name that is none, another process's watchdog: silence. */
	notify_init(&n);
	ck_assert_int_eq(n.fd, -1);
	notify_send(&n, "READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_init(&n);
	ck_assert_int_eq(n.fd, -1);
	int fd = bind_notify(under(0, "other"), name, sizeof(name));
	setenv("NOTIFY_SOCKET", under(0, "other"), 1);
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_init(&n);
	ck_assert_uint_eq(n.watchdog_ms, 0);
	close(n.fd);
	close(fd);
	drop_base();
}
END_TEST

UNIT_MAIN("noded", command_line, run_folder_has_one_noded, state_folder_becomes_felixs,
	  wrong_folders_are_named, listeners_refuse_and_come_back, sockets_replace_stale_ones,
	  systemd_is_told)
