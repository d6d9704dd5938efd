#include "config.h"

#include "noded/check.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ipc.h"
#include "noded/access.h"
#include "noded/spawn.h"
#include "noded/supervise.h"

enum { CHECK_WAIT_MS = 60000 };

void check_print(const char *name, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		if (n && name)
			fprintf(stderr, "noded: %s: %.*s\n", name, (int)n, text);
		else if (n)
			fprintf(stderr, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static int send_init(const struct setup *s, int channel, struct err *err)
{
	struct spawn_init in;
	int config = setup_conf_fd(s, err);

	if (config < 0)
		return -1;
	spawn_init_begin(&in, s, FELIX, config);
	spawn_init_add(&in, INIT_STORE_DIR, s->store_dir, "");
	in.body.check_only = true;
	spawn_init_end(&in);
	int r = ipc_sync_send(channel, M_INIT, &in.body, in.fds, in.n, err);
	close(config);
	return r;
}

/* What felix says until it is done: problems are printed as they come. */
static bool hear(int channel, bool *spoke, struct err *err)
{
	struct arena arena = { 0 };
	struct msg m;
	bool ok = false;

	*spoke = false;
	while (!*spoke && ipc_sync_recv(channel, &arena, &m, CHECK_WAIT_MS, err) > 0) {
		if (m.type == M_FATAL) {
			const struct m_fatal *f = m.body;
			check_print(NULL, f->text);
			*spoke = true;
		} else if (m.type == M_READY) {
			ok = *spoke = true;
		}
	}
	arena_free(&arena);
	return ok;
}

static int check_resources(struct setup *s, struct err *err)
{
	char why[32];
	bool spoke;
	int channel, wstatus = 0;
	pid_t pid = spawn(s->exe[FELIX], daemon_names[FELIX], &channel, err);

	if (pid < 0)
		return -1;
	int r = send_init(s, channel, err);
	bool ok = hear(channel, &spoke, err) && !r;
	close(channel);
	if (!spoke)
		kill(pid, SIGKILL);
	waitpid(pid, &wstatus, 0);
	if (!spoke)
		return err_set(err, "felix could not check the resources: it ended with %s",
			       sup_why(wstatus, why, sizeof(why)));
	return ok ? 0 : 1;
}

/* Resources are the API's, and it may be away now: what leads to it is checked. */
static int check_access(const struct setup *s, struct err *err)
{
	struct access_config config = access_defaults(s->conf);
	return access_check(&config, err);
}

int check_run(struct setup *s)
{
	struct err err = { 0 };
	const struct field_list *w = &s->conf->warnings;

	for (uint32_t i = 0; i < w->n; i++)
		fprintf(stderr, "%s\n", ((const char *const *)w->v)[i]);
	int r = setup_check(s, &err);
	if (!r)
		r = s->conf->datastore.kind == DATASTORE_KUBERNETES ? check_access(s, &err)
								    : check_resources(s, &err);
	if (r < 0)
		fprintf(stderr, "noded: %s\n", err.text);
	if (r)
		return 1;
	printf("%s: ok\n", s->file);
	return 0;
}
