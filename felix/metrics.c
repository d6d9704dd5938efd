#include "config.h"

#include "felix/metrics.h"

#include <errno.h>
#include <ev.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/arena.h"

enum { MAX_CONNECTIONS = 16, SILENCE = 10, CONNECTION_MEMORY = 16 * 1024, BACKLOG = 16 };

struct metrics {
	struct ev_loop *loop;
	const struct metrics_ops *ops;
	void *arg;
	struct MHD_Daemon *daemon;
	ev_io io;
	ev_timer timeout;
};

/* ---- the page ---- */

void metrics_family(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(FILE *to, const char *key, const char *value)
{
	fprintf(to, "%s=\"", key);
	for (const char *c = value; *c; c++) {
		if (*c == '\n')
			fputs("\\n", to);
		else if (*c == '"' || *c == '\\')
			fprintf(to, "\\%c", *c);
		else
			fputc(*c, to);
	}
	fputc('"', to);
}

void metrics_sample(FILE *to, const char *name, const char *key1, const char *value1,
		    const char *key2, const char *value2, double value)
{
	fputs(name, to);
	if (key1) {
		fputc('{', to);
		label(to, key1, value1);
		if (key2) {
			fputc(',', to);
			label(to, key2, value2);
		}
		fputc('}', to);
	}
	fprintf(to, " %.17g\n", value);
}

/* ---- HTTP ---- */

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
			     char *text, size_t len)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result rc;

	if (!r) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static unsigned fill(const struct metrics *m, const char *path, const char *method, FILE *to,
		     const char **type)
{
	*type = "text/plain; charset=utf-8";
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		fprintf(to, "only GET and HEAD are answered\n");
		return MHD_HTTP_METHOD_NOT_ALLOWED;
	}
	if (!strcmp(path, "/metrics")) {
		*type = "text/plain; version=0.0.4; charset=utf-8";
		m->ops->page(m->arg, to);
		return MHD_HTTP_OK;
	}
	if (!strcmp(path, "/healthz")) {
		fprintf(to, "ok\n");
		return MHD_HTTP_OK;
	}
	if (!strcmp(path, "/readyz")) {
		if (!m->ops->ready(m->arg, to))
			return MHD_HTTP_SERVICE_UNAVAILABLE;
		fprintf(to, "ok\n");
		return MHD_HTTP_OK;
	}
	fprintf(to, "there is /metrics, /healthz and /readyz\n");
	return MHD_HTTP_NOT_FOUND;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **con_cls)
{
	const char *type;
	char *text = NULL;
	size_t len = 0;

	(void)version;
	(void)upload;
	(void)con_cls;
	/* Nobody has a body to send here. */
	if (*upload_size)
		return MHD_NO;
	FILE *to = open_memstream(&text, &len);
	if (!to)
		return MHD_NO;
	unsigned status = fill(cls, url, method, to, &type);
	if (fclose(to) != 0) {
		free(text);
		return MHD_NO;
	}
	return reply(c, status, type, text, len);
}

/* ---- the loop ---- */

static void run(struct metrics *m)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(m->daemon);
	ev_timer_stop(m->loop, &m->timeout);
	if (MHD_get_timeout(m->daemon, &ms) != MHD_YES)
		return;
	ev_timer_set(&m->timeout, (double)ms / 1000., 0.);
	ev_timer_start(m->loop, &m->timeout);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	run(w->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	run(w->data);
}

static int open_socket(const struct addr *listen_on, uint16_t port, struct err *err)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(listen_on, port, 0, &ss);
	int on = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[ADDR_STRLEN];

	if (fd < 0)
		return err_sys(err, errno, "metrics: no socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0) {
		err_sys(err, errno, "metrics.listen: %s port %u cannot be listened on",
			addr_format(listen_on, text, sizeof(text)), port);
		close(fd);
		return -1;
	}
	return fd;
}

struct metrics *metrics_open(struct ev_loop *loop, const struct addr *listen_on, uint16_t port,
			     const struct metrics_ops *ops, void *arg, struct err *err)
{
	int fd = open_socket(listen_on, port, err);
	struct metrics *m;

	if (fd < 0)
		return NULL;
	m = xcalloc(1, sizeof(*m));
	*m = (struct metrics){ .loop = loop, .ops = ops, .arg = arg };
	m->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, m,
				     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				     (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
				     (unsigned)SILENCE, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				     (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	const union MHD_DaemonInfo *info =
		m->daemon ? MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		err_set(err, "metrics: libmicrohttpd cannot start");
		if (m->daemon)
			MHD_stop_daemon(m->daemon);
		else
			close(fd);
		free(m);
		return NULL;
	}
	ev_io_init(&m->io, on_io, info->epoll_fd, EV_READ);
	ev_timer_init(&m->timeout, on_timeout, 0., 0.);
	m->io.data = m->timeout.data = m;
	ev_io_start(loop, &m->io);
	return m;
}

void metrics_close(struct metrics *m)
{
	if (!m)
		return;
	ev_io_stop(m->loop, &m->io);
	ev_timer_stop(m->loop, &m->timeout);
	MHD_stop_daemon(m->daemon);
	free(m);
}
