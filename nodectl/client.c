#include "config.h"

#include "nodectl/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What felix must ask the API first takes as long as the API does. */
enum { TIMEOUT_MS = 5000, API_TIMEOUT_MS = 40000 };

static const char *const target_names[] = {
	[CTL_NODED] = "noded",
	[CTL_BGPD] = "bgpd",
	[CTL_FELIX] = "felix",
};

static int explain(struct err *err, const char *path)
{
	int code = err->code;

	if (code == EACCES || code == EPERM)
		return err_set(err, "%s: %s: run it as root or as a member of the group selvage",
			       path, strerror(code));
	if (code == ENOENT || code == ECONNREFUSED)
		return err_set(err,
			       "%s: %s: noded does not run there; start it (systemctl start "
			       "selvage), or name its run folder with -s",
			       path, strerror(code));
	return err_ctx(err, "noded cannot be reached");
}

static int connect_to(const char *rundir, bool also_readonly, struct err *err)
{
	char path[4096], ro[4096];
	struct err ro_err;
	int fd;

	snprintf(path, sizeof(path), "%s/ctl.sock", rundir);
	fd = ipc_sync_connect(path, err);
	if (fd < 0 && also_readonly && err->code == EACCES) {
		snprintf(ro, sizeof(ro), "%s/ro.sock", rundir);
		fd = ipc_sync_connect(ro, &ro_err);
		/* Without ro.sock, what keeps this user out is ctl.sock. */
		if (fd < 0 && ro_err.code != ENOENT) {
			*err = ro_err;
			return explain(err, ro);
		}
	}
	return fd < 0 ? explain(err, path) : fd;
}

/* Reads rows up to the END. */
static enum answer read_rows(int fd, const char *who, int timeout, struct arena *arena,
			     row_fn *on_row, void *arg, struct err *err)
{
	struct msg m;
	int rc;

	for (;;) {
		rc = ipc_sync_recv(fd, arena, &m, timeout, err);
		if (rc < 0 && err->code == ETIMEDOUT)
			err_set(err,
				"%s does not answer within %d s; its log says more "
				"(journalctl -u selvage)",
				who, timeout / 1000);
		else if (rc < 0)
			err_ctx(err, "%s", who);
		else if (!rc)
			err_set(err,
				"%s closed the connection before its answer was whole; its "
				"log says why (journalctl -u selvage)",
				who);
		if (rc <= 0)
			return ANSWER_UNREACHABLE;
		if (m.type == M_CTL_END)
			return ANSWER_OK;
		if (m.type == M_CTL_ERROR) {
			err_set(err, "%s", ((const struct m_ctl_error *)m.body)->text);
			return ANSWER_REFUSED;
		}
		on_row(arg, &m);
	}
}

static enum answer ask(const char *rundir, enum ctl_target target, const struct m_ctl_query *query,
		       struct arena *arena, row_fn *on_row, void *arg, struct err *err)
{
	struct m_ctl_open open = { (uint8_t)target };
	int fd = connect_to(rundir, true, err);
	enum answer a;

	if (fd < 0)
		return ANSWER_UNREACHABLE;
	if (ipc_sync_send(fd, M_CTL_OPEN, &open, NULL, 0, err) ||
	    (query && ipc_sync_send(fd, M_CTL_QUERY, query, NULL, 0, err))) {
		/* An end that refused and left has said why: that is still to be read. */
		if (err->code != EPIPE && err->code != ECONNRESET) {
			close(fd);
			return ANSWER_UNREACHABLE;
		}
	}
	a = read_rows(fd, target_names[target],
		      query && query->what >= CTL_IPAM_ALL ? API_TIMEOUT_MS : TIMEOUT_MS, arena,
		      on_row, arg, err);
	close(fd);
	return a;
}

struct search {
	const char *name;
	bool stopped;
};

static void look_for(void *arg, const struct msg *row)
{
	const struct m_ctl_daemon *d = row->body;
	struct search *s = arg;

	if (row->type == M_CTL_DAEMON && !strcmp(d->name, s->name))
		s->stopped = !d->pid;
}

/* A refusal comes from the daemon, or from noded because the daemon does not run. */
static bool is_stopped(const char *rundir, enum ctl_target target)
{
	struct search s = { target_names[target], false };
	struct arena arena = { 0 };
	struct err ignored;

	ask(rundir, CTL_NODED, NULL, &arena, look_for, &s, &ignored);
	arena_free(&arena);
	return s.stopped;
}

enum answer ctl_ask(const char *rundir, enum ctl_target target, const struct m_ctl_query *query,
		    struct arena *arena, row_fn *on_row, void *arg, struct err *err)
{
	enum answer a = ask(rundir, target, query, arena, on_row, arg, err);

	if (a == ANSWER_REFUSED && target != CTL_NODED && is_stopped(rundir, target))
		return ANSWER_UNREACHABLE;
	return a;
}

static void no_row(void *arg, const struct msg *row)
{
	(void)arg;
	(void)row;
}

enum answer ctl_command(const char *rundir, enum msg_type type, const void *body, struct err *err)
{
	int fd = connect_to(rundir, false, err);
	struct arena arena = { 0 };
	enum answer a = ANSWER_UNREACHABLE;

	if (fd < 0)
		return a;
	if (!ipc_sync_send(fd, type, body, NULL, 0, err))
		a = read_rows(fd, "noded", TIMEOUT_MS, &arena, no_row, NULL, err);
	arena_free(&arena);
	close(fd);
	return a;
}
