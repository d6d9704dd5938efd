#include "config.h"

#include "bgpd/bgpd.h"
#include "lib/child.h"

static void on_ready(void *arg, bool ready, const char *reason)
{
	child_ready(arg, ready, reason);
}

static void on_channel(void *arg, int fd)
{
	bgpd_channel(arg, fd);
}

static void on_ctl_client(void *arg, int fd, bool readonly)
{
	bgpd_ctl_client(arg, fd, readonly);
}

static void on_stop(void *arg)
{
	bgpd_stop(arg);
}

int main(void)
{
	static const struct child_ops ops = { .on_channel = on_channel,
					      .on_ctl_client = on_ctl_client,
					      .on_stop = on_stop };
	struct child child;
	struct err err;
	if (child_start(&child, "bgpd", false, &err) < 0)
		return 1;
	struct bgpd_opts opts = {
		.loop = child.loop,
		.listeners = child.fds.listeners,
		.nlisteners = child.fds.nlisteners,
		.restarted = child.restarts > 0,
		.ready = on_ready,
		.arg = &child,
	};
	struct bgpd *b = bgpd_new(&opts);
	if (child.fds.channel >= 0)
		bgpd_channel(b, child.fds.channel);
	child_run(&child, &ops, b);
	bgpd_free(b);
	child_free(&child);
	return 0;
}
