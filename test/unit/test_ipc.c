/* Two ends of a socket pair, on one loop or one of them driven by hand. */
#include "config.h"

#include "test/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/ipc.h"

struct end {
	struct ipc *ipc;
	unsigned messages, closes, drains;
	unsigned free_at; /* in on_msg: free the channel at that message */
	bool free_on_drain;
	size_t at_drain; /* the backlog then */
	int fd;		 /* the last descriptor received */
	uint32_t last;	 /* the last M_NHG_DEL's id */
	bool in_order;
	char why[512];
	char text[64];
};

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct end *e = arg;

	e->messages++;
	for (unsigned i = 0; i < m->nfds; i++) {
		if (e->fd >= 0)
			close(e->fd);
		e->fd = m->fds[i];
	}
	if (m->type == M_NHG_DEL) {
		uint32_t id = ((const struct m_nhg_del *)m->body)->id;

		e->in_order = e->in_order && id == e->last + 1;
		e->last = id;
	} else if (m->type == M_FATAL) {
		snprintf(e->text, sizeof(e->text), "%s", ((const struct m_fatal *)m->body)->text);
	}
	if (e->free_at && e->messages == e->free_at) {
		ipc_free(ipc);
		e->ipc = NULL;
	}
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct end *e = arg;

	e->closes++;
	snprintf(e->why, sizeof(e->why), "%s", why->text);
	ipc_free(ipc);
	e->ipc = NULL;
}

static void on_drain(struct ipc *ipc, void *arg)
{
	struct end *e = arg;

	e->drains++;
	e->at_drain = ipc_backlog(ipc);
	if (e->free_on_drain) {
		ipc_free(ipc);
		e->ipc = NULL;
	}
}

static const struct ipc_ops ops = { on_msg, on_close, on_drain };

static struct ev_loop *loop;
static struct end a, b;
static int raw; /* the far end, where it is driven by hand */

static void end_new(struct end *e, int fd)
{
	*e = (struct end){ .fd = -1, .in_order = true };
	e->ipc = ipc_new(loop, fd, &ops, e);
}

static void setup_pair(void)
{
	int sv[2];

	loop = ev_loop_new(0);
	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	end_new(&a, sv[0]);
	end_new(&b, sv[1]);
}

static void setup_raw(void)
{
	int sv[2];

	loop = ev_loop_new(0);
	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	end_new(&a, sv[0]);
	raw = sv[1];
}

static void turn(int times)
{
	while (times--)
		ev_run(loop, EVRUN_NOWAIT);
}

static void teardown(void)
{
	ipc_free(a.ipc);
	ipc_free(b.ipc);
	a.ipc = b.ipc = NULL;
	ev_loop_destroy(loop);
}

static void send_id(struct ipc *ipc, uint32_t id)
{
	struct m_nhg_del body = { id };

	ipc_send(ipc, M_NHG_DEL, &body);
}

START_TEST(messages_come_in_order)
{
	setup_pair();
	for (uint32_t i = 1; i <= 1000; i++)
		send_id(a.ipc, i);
	turn(100);
	ck_assert_uint_eq(b.messages, 1000);
	ck_assert(b.in_order);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
	teardown();
}
END_TEST

START_TEST(work_in_one_turn_is_bounded)
{
	setup_pair();
	for (uint32_t i = 1; i <= 200; i++)
		send_id(a.ipc, i);
	turn(1);
	ck_assert_uint_gt(b.messages, 0);
	ck_assert_uint_le(b.messages, 64);
	turn(20);
	ck_assert_uint_eq(b.messages, 200);
	teardown();
}
END_TEST

/* 4 MiB against a reader that reads later: queued, told by the backlog and then by on_drain. */
START_TEST(what_the_socket_does_not_take_is_queued)
{
	static struct prefix p[IPC_BATCH];
	struct m_routes body = { 1, { IPC_BATCH, p } };

	setup_pair();
	for (int i = 0; i < IPC_BATCH; i++)
		ck_assert(!prefix_parse("2001:db8::1/128", &p[i]));
	for (int i = 0; i < 220; i++)
		ipc_send(a.ipc, M_ROUTES, &body);
	for (uint32_t i = 1; i <= 100; i++)
		send_id(a.ipc, i);
	ck_assert_uint_gt(ipc_backlog(a.ipc), IPC_HIGH);
	ck_assert_uint_eq(a.drains, 0);
	turn(2000);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
	ck_assert_uint_eq(a.drains, 1);
	ck_assert_uint_gt(a.at_drain, 0);
	ck_assert_uint_lt(a.at_drain, IPC_LOW);
	ck_assert_uint_eq(b.messages, 320);
	ck_assert(b.in_order);
	ck_assert_uint_eq(b.last, 100);
	teardown();
}
END_TEST

START_TEST(drain_comes_after_a_flush_too)
{
	static struct prefix p[IPC_BATCH];
	struct m_routes body = { 1, { IPC_BATCH, p } };
	struct msg m;
	struct arena arena = { 0 };
	struct err err;

	setup_raw();
	while (ipc_backlog(a.ipc) <= IPC_HIGH)
		ipc_send(a.ipc, M_ROUTES, &body);
	while (ipc_backlog(a.ipc)) {
		ck_assert_int_eq(ipc_sync_recv(raw, &arena, &m, 1000, &err), 1);
		arena_reset(&arena);
		ipc_flush(a.ipc);
	}
	ck_assert_uint_eq(a.drains, 0);
	while (ipc_sync_recv(raw, &arena, &m, 0, &err) == 1)
		arena_reset(&arena);
	turn(2);
	ck_assert_uint_eq(a.drains, 1);
	arena_free(&arena);
	close(raw);
	teardown();
}
END_TEST

START_TEST(freeing_in_on_drain)
{
	static struct prefix p[IPC_BATCH];
	struct m_routes body = { 1, { IPC_BATCH, p } };

	setup_pair();
	a.free_on_drain = true;
	while (ipc_backlog(a.ipc) <= IPC_HIGH)
		ipc_send(a.ipc, M_ROUTES, &body);
	turn(2000);
	ck_assert_ptr_null(a.ipc);
	ck_assert_uint_eq(b.closes, 1);
	teardown();
}
END_TEST

START_TEST(descriptors_travel)
{
	int before, pipefd[2];
	char c;

	setup_pair();
	before = open_fds();
	ck_assert(!pipe(pipefd));
	ipc_send_fds(a.ipc, M_CHANNEL, NULL, &pipefd[1], 1);
	/* The sender keeps its own. */
	ck_assert_int_eq(fcntl(pipefd[1], F_GETFD), 0);
	close(pipefd[1]);
	turn(4);
	ck_assert_int_ge(b.fd, 0);
	ck_assert_int_eq(fcntl(b.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(b.fd, "x", 1), 1);
	ck_assert_int_eq(read(pipefd[0], &c, 1), 1);
	close(pipefd[0]);
	close(b.fd);
	ck_assert_int_eq(open_fds(), before);
	teardown();
}
END_TEST

START_TEST(queued_descriptors_are_closed_when_lost)
{
	static struct prefix p[IPC_BATCH];
	struct m_routes body = { 1, { IPC_BATCH, p } };
	int before = open_fds(), null;

	setup_pair();
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (!ipc_backlog(a.ipc))
		ipc_send(a.ipc, M_ROUTES, &body);
	for (int i = 0; i < 10; i++)
		ipc_send_fds(a.ipc, M_CHANNEL, NULL, &null, 1);
	close(null);
	teardown();
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* Sends raw bytes with n descriptors of /dev/null. */
static void send_raw(const void *data, size_t len, int n)
{
	char control[CMSG_SPACE(sizeof(int) * 128)] = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int null = open("/dev/null", O_RDONLY), fds[128];
	struct cmsghdr *cm;

	for (int i = 0; i < n; i++)
		fds[i] = null;
	if (n) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n);
	}
	ck_assert_int_eq(sendmsg(raw, &mh, 0), (ssize_t)len);
	close(null);
}

static uint8_t long_packet[MSG_MAX + 100] = { MSG_MAGIC, MSG_VERSION, 0, M_BGP_END };

static const struct {
	const char *what;
	const void *data;
	size_t len;
	int fds;
	const char *why;
} nonsense[] = {
	{ "garbage", "hello", 5, 0, "first byte" },
	{ "unknown type", "\xb6\x01\x7f\x00", 4, 0, "unknown" },
	{ "bad body", "\xb6\x01\x00\x05\x07\x00\x00", 7, 0, "M_READY: ready" },
	{ "garbage with descriptors", "hello", 5, 3, "first byte" },
	{ "a descriptor where none belongs", "\xb6\x01\x00\x24", 4, 1, "M_BGP_END with 1" },
	{ "no descriptor where one belongs", "\xb6\x01\x00\x02", 4, 0, "M_CHANNEL with 0" },
	{ "two descriptors for one", "\xb6\x01\x00\x02", 4, 2, "M_CHANNEL with 2" },
	{ "more descriptors than any message", "\xb6\x01\x00\x02", 4, 100, "beyond" },
	{ "too long", long_packet, sizeof(long_packet), 0, "beyond" },
	{ "too long with descriptors", long_packet, sizeof(long_packet), 2, "beyond" },
};

START_TEST(nonsense_closes_the_channel)
{
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		int before = open_fds();

		setup_raw();
		send_raw(nonsense[i].data, nonsense[i].len, nonsense[i].fds);
		turn(3);
		ck_assert_msg(a.messages == 0, "%s", nonsense[i].what);
		ck_assert_msg(a.closes == 1, "%s", nonsense[i].what);
		ck_assert_msg(strstr(a.why, nonsense[i].why), "%s: %s", nonsense[i].what, a.why);
		close(raw);
		teardown();
		ck_assert_msg(open_fds() == before, "%s: a descriptor leaks", nonsense[i].what);
	}
}
END_TEST

START_TEST(the_other_end_closing_is_told_once)
{
	setup_pair();
	ipc_free(b.ipc);
	b.ipc = NULL;
	turn(5);
	ck_assert_uint_eq(a.closes, 1);
	ck_assert_str_eq(a.why, "closed by the other end");
	teardown();
}
END_TEST

/* A child that dies says why first; our own unread messages to it must not hide that, whether or
 * not we send another one afterwards. */
static void hear_last_words(bool send_more)
{
	struct m_fatal words = { "port 179 is taken" };
	struct err err;

	setup_raw();
	for (uint32_t i = 1; i <= 10; i++)
		send_id(a.ipc, i);
	ck_assert(!ipc_sync_send(raw, M_FATAL, &words, NULL, 0, &err));
	close(raw);
	if (send_more)
		send_id(a.ipc, 11);
	turn(5);
	ck_assert_str_eq(a.text, "port 179 is taken");
	ck_assert_uint_eq(a.closes, 1);
	ck_assert_str_eq(a.why, "closed by the other end");
	teardown();
}

START_TEST(last_words_are_heard)
{
	hear_last_words(false);
	hear_last_words(true);
}
END_TEST

START_TEST(freeing_in_a_handler)
{
	setup_pair();
	b.free_at = 3;
	for (uint32_t i = 1; i <= 10; i++)
		send_id(a.ipc, i);
	turn(5);
	ck_assert_uint_eq(b.messages, 3);
	ck_assert_ptr_null(b.ipc);
	ck_assert_uint_eq(a.closes, 1);
	teardown();
}
END_TEST

START_TEST(sending_to_the_dead_is_harmless)
{
	setup_raw();
	close(raw);
	for (uint32_t i = 1; i <= 10; i++)
		send_id(a.ipc, i);
	ck_assert_uint_eq(ipc_backlog(a.ipc), 0);
	ck_assert_uint_eq(a.closes, 0);
	turn(3);
	ck_assert_uint_eq(a.closes, 1);
	teardown();
}
END_TEST

START_TEST(peer_uid)
{
	setup_pair();
	ck_assert_int_eq(ipc_peer_uid(a.ipc), (long)getuid());
	teardown();
	ipc_free(NULL);
}
END_TEST

START_TEST(a_body_too_long_ends_the_process)
{
	static struct prefix p[4000];
	struct m_routes body = { 1, { 4000, p } };

	setup_pair();
	for (int i = 0; i < 4000; i++)
		ck_assert(!prefix_parse("2001:db8::1/128", &p[i]));
	ipc_send(a.ipc, M_ROUTES, &body);
}
END_TEST

/* ---- without a loop ---- */

START_TEST(sync_connect_says_which_error)
{
	char dir[] = "/tmp/selvage-ipc-XXXXXX", path[64], longer[200];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct err err;
	int fd, client;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(ipc_sync_connect(path, &err), -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	strcpy(sun.sun_path, path);
	ck_assert(!bind(fd, (struct sockaddr *)&sun, sizeof(sun)));
	ck_assert_int_eq(ipc_sync_connect(path, &err), -1);
	ck_assert_int_eq(err.code, ECONNREFUSED);
	ck_assert(!listen(fd, 1));
	client = ipc_sync_connect(path, &err);
	ck_assert_int_ge(client, 0);
	close(client);
	close(fd);
	unlink(path);
	rmdir(dir);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(ipc_sync_connect(longer, &err), -1);
	ck_assert_int_eq(err.code, ENAMETOOLONG);
}
END_TEST

START_TEST(sync_exchange)
{
	struct m_fatal words = { "why" };
	struct arena arena = { 0 };
	struct err err;
	struct msg m;
	int sv[2], null = open("/dev/null", O_RDONLY);

	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
	ck_assert_int_eq(ipc_sync_recv(sv[0], &arena, &m, 10, &err), -1);
	ck_assert_int_eq(err.code, ETIMEDOUT);
	ck_assert(!ipc_sync_send(sv[1], M_FATAL, &words, NULL, 0, &err));
	ck_assert_int_eq(ipc_sync_recv(sv[0], &arena, &m, 1000, &err), 1);
	ck_assert_uint_eq(m.type, M_FATAL);
	ck_assert_uint_eq(m.nfds, 0);
	ck_assert_str_eq(((const struct m_fatal *)m.body)->text, "why");
	/* Its last message is read before its end, though it left one of ours unread. */
	ck_assert(!ipc_sync_send(sv[0], M_CTL_END, NULL, NULL, 0, &err));
	ck_assert(!ipc_sync_send(sv[1], M_FATAL, &words, NULL, 0, &err));
	close(sv[1]);
	ck_assert_int_eq(ipc_sync_recv(sv[0], &arena, &m, 1000, &err), 1);
	ck_assert_int_eq(ipc_sync_recv(sv[0], &arena, &m, 1000, &err), 0);
	ck_assert_int_eq(ipc_sync_send(sv[0], M_CTL_END, NULL, NULL, 0, &err), -1);
	ck_assert_int_eq(err.code, EPIPE);
	close(sv[0]);
	ck_assert(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
	ck_assert_int_eq(ipc_sync_send(sv[1], M_CTL_END, NULL, &null, 1, &err), -1);
	ck_assert(!ipc_sync_send(sv[1], M_CHANNEL, NULL, &null, 1, &err));
	ck_assert_int_eq(ipc_sync_recv(sv[0], &arena, &m, 1000, &err), -1);
	close(sv[0]);
	close(sv[1]);
	close(null);
	arena_free(&arena);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		messages_come_in_order,
		work_in_one_turn_is_bounded,
		what_the_socket_does_not_take_is_queued,
		drain_comes_after_a_flush_too,
		freeing_in_on_drain,
		descriptors_travel,
		queued_descriptors_are_closed_when_lost,
		nonsense_closes_the_channel,
		the_other_end_closing_is_told_once,
		last_words_are_heard,
		freeing_in_a_handler,
		sending_to_the_dead_is_harmless,
		peer_uid,
		sync_connect_says_which_error,
		sync_exchange,
	};
	Suite *s = suite_create("ipc");
	TCase *tc = tcase_create("ipc");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_test_raise_signal(tc, a_body_too_long_ends_the_process, SIGABRT);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
