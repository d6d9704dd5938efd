/* Drives the HTTP client of the Kubernetes store for test_http.py: makes the requests that its
 * arguments say, one after another, and prints a line of JSON for each and one for the whole.
 *
 *   http_probe server=URL ... ca=FILE [cert=FILE key=FILE] [token=TEXT] [option=value ...]
 *              + METHOD PATH [option=value ...] [+ METHOD PATH ...]
 *
 * Of the client: tls-server-name, proxy, connect-ms, timeout-ms, dead-ms, credentials-ms, probe-ms,
 * slice, first, refresh=TOKEN (given refresh-ms after on_unauthorized), linger-ms.
 * Of a request: body=TEXT, watch, call-ms, pause-after=BYTES, pause-ms, cancel-ms, cancel-bytes,
 * times=N, parallel (the next starts with it), left (nobody waits for its end), wait-ms (before it
 * starts), access=TOKEN (rotate before it starts), rotate-bytes=N with refresh= (rotate when so
 * much is in).
 */
#include "config.h"

#include <ev.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "lib/kubeconfig.h"
#include "lib/log.h"
#include "store/kube_http.h"

enum { MAX_REQUESTS = 256 };

struct request {
	const char *method, *path, *body, *access;
	bool watch, parallel, left;
	uint32_t call_ms, pause_after, pause_ms, cancel_ms, cancel_bytes, wait_ms, rotate_bytes;
	struct kube_http_handle *handle;
	unsigned number;
	bool opened, paused_once, rotated;
	uint64_t bytes, hash, largest, started;
	unsigned pieces;
	ev_timer start, pause, cancel;
};

static struct {
	struct ev_loop *loop;
	struct kube_http *http;
	struct kube_access access;
	const char *servers[KUBE_MAX_SERVERS];
	const char *refresh;
	uint32_t refresh_ms, linger_ms;
	ev_timer refresh_timer, linger;
	struct request requests[MAX_REQUESTS];
	unsigned n, next, running, unauthorized;
	uint64_t turn_wall, turn_cpu, max_wall, max_cpu;
	uint64_t rss_start, rss_max;
} probe;

static uint64_t now_us(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t rss_kib(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (f) {
		if (fscanf(f, "%lu %lu", &size, &resident) != 2)
			resident = 0;
		fclose(f);
	}
	return resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void print_text(const char *key, const char *text, size_t n)
{
	printf(", \"%s\": \"", key);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void give_access(const char *token)
{
	struct err err;
	if (token)
		probe.access.token = token;
	if (kube_http_access(probe.http, &probe.access, &err)) {
		printf("{\"refused\": true");
		print_text("error", err.text, strlen(err.text));
		printf("}\n");
		exit(0);
	}
}

static void on_refresh(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	give_access(probe.refresh);
}

static void on_unauthorized(void *arg)
{
	(void)arg;
	probe.unauthorized++;
	if (!probe.refresh)
		return;
	if (!probe.refresh_ms) {
		give_access(probe.refresh);
		return;
	}
	ev_timer_init(&probe.refresh_timer, on_refresh, probe.refresh_ms / 1000.0, 0);
	ev_timer_start(probe.loop, &probe.refresh_timer);
}

static void start_next(void);

static void ended(struct request *q)
{
	q->handle = NULL;
	ev_timer_stop(probe.loop, &q->pause);
	ev_timer_stop(probe.loop, &q->cancel);
	if (q->left)
		return;
	probe.running--;
	if (!q->parallel || !probe.running)
		start_next();
}

static void print_request(const struct request *q)
{
	printf("{\"request\": %u, \"opened\": %s, \"bytes\": %" PRIu64 ", \"hash\": %" PRIu64
	       ", \"pieces\": %u, \"largest\": %" PRIu64 ", \"ms\": %" PRIu64,
	       q->number, q->opened ? "true" : "false", q->bytes, q->hash, q->pieces, q->largest,
	       (now_us(CLOCK_MONOTONIC) - q->started) / 1000);
}

static void on_done(void *arg, const struct kube_http_result *result)
{
	struct request *q = arg;
	/* Its own cancel from here must do nothing. */
	kube_http_cancel(q->handle);
	print_request(q);
	printf(", \"status\": %u, \"complete\": %s, \"sent\": %s, \"retry_after_ms\": %" PRIu64,
	       result->status, result->complete ? "true" : "false", result->sent ? "true" : "false",
	       result->retry_after_ms);
	print_text("error", result->error, strlen(result->error));
	print_text("body", result->body, result->body_len);
	print_text("server", result->server, strlen(result->server));
	printf("}\n");
	fflush(stdout);
	ended(q);
}

static void cancel(struct request *q)
{
	kube_http_cancel(q->handle);
	print_request(q);
	printf(", \"cancelled\": true}\n");
	fflush(stdout);
	ended(q);
}

static void on_open(void *arg)
{
	struct request *q = arg;
	q->opened = true;
}

static void on_cancel(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	cancel(w->data);
}

static void on_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	struct request *q = w->data;
	kube_http_resume(q->handle);
}

static enum kube_http_flow on_data(void *arg, const void *data, size_t len)
{
	struct request *q = arg;
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		q->hash = (q->hash ^ p[i]) * 0x100000001b3;
	q->bytes += len;
	q->pieces++;
	if (len > q->largest)
		q->largest = len;
	uint64_t rss = rss_kib();
	if (rss > probe.rss_max)
		probe.rss_max = rss;
	if (q->rotate_bytes && q->bytes >= q->rotate_bytes && !q->rotated) {
		q->rotated = true;
		give_access(probe.refresh);
	}
	if (q->cancel_bytes && q->bytes >= q->cancel_bytes) {
		cancel(q);
		return KUBE_HTTP_GO;
	}
	if (q->pause_ms && q->bytes >= q->pause_after && !q->paused_once) {
		q->paused_once = true;
		ev_now_update(probe.loop);
		ev_timer_init(&q->pause, on_pause, q->pause_ms / 1000.0, 0);
		q->pause.data = q;
		ev_timer_start(probe.loop, &q->pause);
		return KUBE_HTTP_PAUSE;
	}
	return KUBE_HTTP_GO;
}

static void start(struct request *q)
{
	const struct kube_http_call call = {
		.method = q->method,
		.path = q->path,
		.body = q->body,
		.body_len = q->body ? strlen(q->body) : 0,
		.class = q->watch ? KUBE_HTTP_WATCH : KUBE_HTTP_PLAIN,
		.timeout_ms = q->call_ms,
		.on_open = on_open,
		.on_data = on_data,
		.on_done = on_done,
		.arg = q,
	};
	if (q->access)
		give_access(q->access);
	q->hash = 0xcbf29ce484222325;
	q->started = now_us(CLOCK_MONOTONIC);
	q->handle = kube_http_request(probe.http, &call);
	if (q->cancel_ms) {
		ev_now_update(probe.loop);
		ev_timer_init(&q->cancel, on_cancel, q->cancel_ms / 1000.0, 0);
		q->cancel.data = q;
		ev_timer_start(probe.loop, &q->cancel);
	}
}

static void on_start(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	start(w->data);
}

static void on_linger(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w, (void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void start_next(void)
{
	while (probe.next < probe.n) {
		struct request *q = &probe.requests[probe.next++];
		probe.running += !q->left;
		if (q->wait_ms) {
			ev_now_update(probe.loop);
			ev_timer_init(&q->start, on_start, q->wait_ms / 1000.0, 0);
			q->start.data = q;
			ev_timer_start(probe.loop, &q->start);
		} else {
			start(q);
		}
		if (!q->parallel)
			return;
	}
	if (probe.running)
		return;
	ev_now_update(probe.loop);
	ev_timer_init(&probe.linger, on_linger, probe.linger_ms / 1000.0, 0);
	ev_timer_start(probe.loop, &probe.linger);
}

static void on_check(struct ev_loop *loop, ev_check *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	probe.turn_wall = now_us(CLOCK_MONOTONIC);
	probe.turn_cpu = now_us(CLOCK_THREAD_CPUTIME_ID);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	if (!probe.turn_wall)
		return;
	uint64_t wall = now_us(CLOCK_MONOTONIC) - probe.turn_wall;
	uint64_t cpu = now_us(CLOCK_THREAD_CPUTIME_ID) - probe.turn_cpu;
	if (wall > probe.max_wall)
		probe.max_wall = wall;
	if (cpu > probe.max_cpu)
		probe.max_cpu = cpu;
}

static const char *file_text(const char *path)
{
	static char text[4][65536];
	static unsigned n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 || n == 4 ? -1 : read(fd, text[n], sizeof(text[n]) - 1);
	if (len < 0) {
		fprintf(stderr, "http_probe: %s cannot be read\n", path);
		exit(2);
	}
	close(fd);
	return text[n++];
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static bool client_option(const char *key, const char *value, struct kube_http_options *o)
{
	const struct {
		const char *key;
		uint32_t *field;
	} numbers[] = {
		{ "connect-ms", &o->connect_timeout_ms },
		{ "timeout-ms", &o->timeout_ms },
		{ "dead-ms", &o->dead_peer_ms },
		{ "credentials-ms", &o->credentials_ms },
		{ "probe-ms", &o->probe_ms },
		{ "slice", &o->slice_bytes },
		{ "first", &o->first_server },
		{ "max-plain", &o->max_plain },
		{ "refresh-ms", &probe.refresh_ms },
		{ "linger-ms", &probe.linger_ms },
	};
	const struct {
		const char *key;
		const char **field;
		bool file;
	} texts[] = {
		{ "ca", &probe.access.ca_pem, true },
		{ "cert", &probe.access.cert_pem, true },
		{ "key", &probe.access.key_pem, true },
		{ "token", &probe.access.token, false },
		{ "tls-server-name", &probe.access.tls_server_name, false },
		{ "proxy", &probe.access.proxy, false },
		{ "refresh", &probe.refresh, false },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(key, numbers[i].key) == 0) {
			*numbers[i].field = number(value);
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(key, texts[i].key) == 0) {
			*texts[i].field = texts[i].file ? file_text(value) : value;
			return true;
		}
	}
	if (strcmp(key, "server") == 0 && probe.access.nservers < KUBE_MAX_SERVERS) {
		probe.servers[probe.access.nservers++] = value;
		return true;
	}
	return false;
}

static bool request_option(struct request *q, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint32_t *field;
	} numbers[] = {
		{ "call-ms", &q->call_ms },	      { "pause-after", &q->pause_after },
		{ "pause-ms", &q->pause_ms },	      { "cancel-ms", &q->cancel_ms },
		{ "cancel-bytes", &q->cancel_bytes }, { "wait-ms", &q->wait_ms },
		{ "rotate-bytes", &q->rotate_bytes },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(key, numbers[i].key) == 0) {
			*numbers[i].field = number(value);
			return true;
		}
	}
	if (strcmp(key, "body") == 0)
		q->body = value;
	else if (strcmp(key, "access") == 0)
		q->access = value;
	else if (strcmp(key, "watch") == 0)
		q->watch = true;
	else if (strcmp(key, "parallel") == 0)
		q->parallel = true;
	else if (strcmp(key, "left") == 0)
		q->left = q->parallel = true;
	else
		return false;
	return true;
}

static void usage(const char *what)
{
	fprintf(stderr, "http_probe: %s: not understood; the head of http_probe.c says what is\n",
		what);
	exit(2);
}

static void read_arguments(int argc, char **argv, struct kube_http_options *options)
{
	struct request *q = NULL;
	unsigned times = 1;

	for (int i = 1; i <= argc; i++) {
		bool last = i == argc;
		if (last || strcmp(argv[i], "+") == 0) {
			for (; q && times > 1 && probe.n < MAX_REQUESTS; times--) {
				probe.requests[probe.n] = *q;
				probe.requests[probe.n].number = probe.n;
				probe.n++;
			}
			times = 1;
			if (last)
				return;
			if (i + 2 >= argc || probe.n == MAX_REQUESTS)
				usage(argv[i]);
			q = &probe.requests[probe.n];
			q->number = probe.n++;
			q->method = argv[++i];
			q->path = argv[++i];
			continue;
		}
		char *value = strchr(argv[i], '=');
		if (value)
			*value++ = 0;
		else
			value = argv[i] + strlen(argv[i]);
		if (q && strcmp(argv[i], "times") == 0)
			times = number(value);
		else if (q ? !request_option(q, argv[i], value)
			   : !client_option(argv[i], value, options))
			usage(argv[i]);
	}
}

static void print_status(void)
{
	struct kube_http_status s;

	kube_http_status(probe.http, &s);
	printf("{\"unauthorized_calls\": %u, \"unauthorized\": %s, \"requests\": %" PRIu64
	       ", \"bytes_in\": %" PRIu64 ", \"last_contact\": %" PRIu64 ", \"active\": %u"
	       ", \"max_turn_us\": %" PRIu64 ", \"max_turn_cpu_us\": %" PRIu64
	       ", \"rss_growth_kib\": %" PRIu64 ", \"servers\": [",
	       probe.unauthorized, s.unauthorized ? "true" : "false", s.requests, s.bytes_in,
	       s.last_contact, s.active, probe.max_wall, probe.max_cpu,
	       probe.rss_max > probe.rss_start ? probe.rss_max - probe.rss_start : 0);
	for (unsigned i = 0; i < s.nservers; i++) {
		const struct kube_http_server_status *one = &s.servers[i];
		printf("%s{\"up\": %s, \"current\": %s, \"last_contact\": %" PRIu64, i ? ", " : "",
		       one->up ? "true" : "false", one->current ? "true" : "false",
		       one->last_contact);
		print_text("url", one->url, strlen(one->url));
		print_text("error", one->error, strlen(one->error));
		printf("}");
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct kube_http_options options = { 0 };
	static const struct kube_http_ops ops = { .on_unauthorized = on_unauthorized };
	struct kube_access *a = &probe.access;
	struct err err;
	ev_check check;
	ev_prepare prepare;

	log_init("http_probe", LOG_ERROR);
	a->servers = probe.servers;
	a->ca_pem = a->cert_pem = a->key_pem = a->token = a->tls_server_name = a->proxy = "";
	a->namespace_ = a->context = a->user = "";
	read_arguments(argc, argv, &options);
	probe.loop = ev_default_loop(0);
	probe.http = kube_http_new(probe.loop, &options, &ops, NULL, &err);
	if (!probe.http) {
		fprintf(stderr, "http_probe: %s\n", err.text);
		return 1;
	}
	if (a->nservers)
		give_access(NULL);
	ev_check_init(&check, on_check);
	ev_prepare_init(&prepare, on_prepare);
	ev_check_start(probe.loop, &check);
	ev_prepare_start(probe.loop, &prepare);
	probe.rss_start = probe.rss_max = rss_kib();
	start_next();
	ev_run(probe.loop, 0);
	print_status();
	kube_http_free(probe.http);
	return 0;
}
