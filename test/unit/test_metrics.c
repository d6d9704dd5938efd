/* The metrics page over a real loop and socket, and the text format. */
#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "felix/metrics.h"
#include "test/unit/unit.h"

static struct ev_loop *loop;
static bool is_ready;

static void page(void *arg, FILE *to)
{
	(void)arg;
	metrics_family(to, "selvage_x", "gauge", "What it is.");
	metrics_sample(to, "selvage_x", NULL, NULL, NULL, NULL, 3);
	metrics_sample(to, "selvage_x", "a", "q\"b\\n\nl", "c", "d", 0.5);
}

static bool ready(void *arg, FILE *why)
{
	(void)arg;
	if (!is_ready)
		fputs("because\n", why);
	return is_ready;
}

static const struct metrics_ops ops = { page, ready };

static uint16_t free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	getsockname(fd, (struct sockaddr *)&sin, &len);
	close(fd);
	return ntohs(sin.sin_port);
}

static void on_time(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(l, EVBREAK_ALL);
}

/* What the server answers to these bytes, until it closes. */
static const char *ask(uint16_t port, const char *request)
{
	static char answer[16384];
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t at = 0;
	ev_timer t;

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	for (int i = 0; i < 200; i++) {
		ev_timer_init(&t, on_time, 0.01, 0.);
		ev_timer_start(loop, &t);
		ev_run(loop, 0);
		ssize_t n = recv(fd, answer + at, sizeof(answer) - 1 - at, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			at += (size_t)n;
	}
	close(fd);
	answer[at] = '\0';
	return answer;
}

static struct metrics *open_on(uint16_t port)
{
	struct addr lo;
	struct err err;

	ck_assert_int_eq(addr_parse("127.0.0.1", &lo), 0);
	return metrics_open(loop, &lo, port, &ops, NULL, &err);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

START_TEST(pages)
{
	uint16_t port = free_port();
	struct metrics *m;
	const char *a;

	loop = ev_loop_new(0);
	m = open_on(port);
	ck_assert_ptr_nonnull(m);
	a = ask(port, GET("/metrics"));
	ck_assert_ptr_nonnull(strstr(a, "200 OK"));
	ck_assert_ptr_nonnull(strstr(a, "text/plain; version=0.0.4"));
	ck_assert_ptr_nonnull(strstr(a, "# HELP selvage_x What it is.\n# TYPE selvage_x gauge\n"
					"selvage_x 3\n"
					"selvage_x{a=\"q\\\"b\\\\n\\nl\",c=\"d\"} 0.5\n"));
	ck_assert_ptr_nonnull(strstr(ask(port, GET("/healthz")), "200 OK"));
	is_ready = false;
	a = ask(port, GET("/readyz"));
	ck_assert_ptr_nonnull(strstr(a, " 503 "));
	ck_assert_ptr_nonnull(strstr(a, "because\n"));
	is_ready = true;
	ck_assert_ptr_nonnull(strstr(ask(port, GET("/readyz")), "200 OK"));
	ck_assert_ptr_nonnull(strstr(ask(port, GET("/etc/passwd")), " 404 "));
	ck_assert_ptr_nonnull(strstr(
		ask(port, "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		" 405 "));
	metrics_close(m);
	ev_loop_destroy(loop);
}
END_TEST

/* One silent client must not keep others out. */
START_TEST(silent_client)
{
	uint16_t port = free_port();
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct metrics *m;

	loop = ev_loop_new(0);
	m = open_on(port);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(write(fd, "GET /met", 8), 8);
	is_ready = true;
	ck_assert_ptr_nonnull(strstr(ask(port, GET("/readyz")), "200 OK"));
	close(fd);
	metrics_close(m);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(address_taken)
{
	uint16_t port = free_port();
	struct metrics *m;

	loop = ev_loop_new(0);
	m = open_on(port);
	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_null(open_on(port));
	metrics_close(m);
	ev_loop_destroy(loop);
}
END_TEST

UNIT_MAIN("metrics", pages, silent_client, address_taken)
