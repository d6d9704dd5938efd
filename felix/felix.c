#include "config.h"

#include "felix/felix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "felix/claims.h"
#include "felix/felix_impl.h"
#include "felix/metrics.h"
#include "felix/plumb.h"
#include "felix/pod_probe.h"
#include "felix/rebuild.h"
#include "lib/log.h"
#include "lib/sandbox.h"

enum { FLUSH_SLICE = 512 };

/* ---- routes ---- */

static void on_flush(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct felix *f = w->data;

	(void)revents;
	if (routes_flush(f->routes, FLUSH_SLICE))
		return;
	ev_idle_stop(loop, w);
	/* What was installed may be the way to another next hop. */
	if (f->bgp)
		bgp_link_recheck(f->bgp);
}

void felix_routes_dirty(struct felix *f)
{
	ev_idle_start(f->child.loop, &f->flush);
}

static void on_routes_failed(void *arg, const struct prefix *p, unsigned n, const char *why)
{
	struct felix *f = arg;
	char text[PREFIX_STRLEN];

	log_warn("routes", "%u routes are not in the kernel (the first: %s): %s", n,
		 prefix_format(&p[0], text, sizeof(text)), why);
	if (f->bgp)
		bgp_link_failed(f->bgp, p, n, why);
}

static void routes_dirty(void *arg)
{
	felix_routes_dirty(arg);
}

static const struct routes_ops routes_ops = { .on_failed = on_routes_failed };

/* ---- start ---- */

static int read_boot_id(char out[64], struct err *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 63);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return err_sys(err, saved, "cannot read %s", path);
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static void see_pod_link(void *arg, const struct link *l)
{
	*(bool *)arg |= felix_is_pod_link(l);
}

/* A state.dir that cannot be used is refused at a first start, but where pods run already they come
 * first: felix stays up for their routes and says why it gives no addresses. */
static void refuse_state_dir(struct felix *f, const struct err *err)
{
	bool pods = false;

	links_each(f->links, see_pod_link, &pods);
	if (err->code != 0 && f->child.restarts == 0 && !pods)
		child_fatal(&f->child, err->text);
	felix_set_why(f, f->journal_why, err->text);
}

/* A damaged journal (no system call failed) is made anew from the pods that are there. */
static void mend_journal(struct felix *f, const char *boot_id, struct err *err)
{
	uint32_t total, ready;
	struct err why;

	if (err->code != 0)
		return;
	f->ipam = rebuild_journal(f->endpoints, f->links, f->endpoint_dir, f->child.fds.state_dir,
				  boot_id, (uint64_t)time(NULL), &why);
	if (!f->ipam) {
		err_set(err, "%s; %s", arena_strdup(&f->child.conf->arena, err->text), why.text);
		return;
	}
	endpoints_count(f->endpoints, &total, &ready);
	log_error("ipam",
		  "%s: %s; it was made anew from the %u interfaces of pods that are here, and the "
		  "damaged one kept beside it",
		  f->child.conf->state.dir, err->text, total);
}

static void start_ipam(struct felix *f)
{
	char boot_id[64];
	struct err err, files;

	if (f->child.fds.state_dir >= 0) {
		f->endpoint_dir = endpoint_files_open(f->child.fds.state_dir, &files);
		if (f->endpoint_dir < 0)
			log_warn("endpoints", "labels of pods will not outlive this process: %s",
				 files.text);
	}
	if (f->child.fds.state_dir < 0) {
		err_set(&err, "noded passed no state.dir");
	} else if (read_boot_id(boot_id, &err) == 0) {
		f->ipam = ipam_open(f->child.fds.state_dir, boot_id, (uint64_t)time(NULL), &err);
		if (!f->ipam)
			mend_journal(f, boot_id, &err);
	}
	if (!f->ipam) {
		err_ctx(&err, "addresses cannot be given: %s", f->child.conf->state.dir);
		refuse_state_dir(f, &err);
	}
}

static int start_routes(struct felix *f, struct err *err)
{
	f->routes = routes_new(f->nl, f->child.conf->dataplane.route_table, &routes_ops, f, err);
	if (!f->routes)
		return -1;
	if (f->ipam)
		rebuild_endpoints(f->endpoints, f->ipam, f->links, f->endpoint_dir,
				  (uint64_t)time(NULL));
	else if (f->endpoint_dir >= 0)
		rebuild_from_files(f->endpoints, f->links, f->endpoint_dir);
	for (struct endpoint *ep = endpoints_first(f->endpoints); ep; ep = TAILQ_NEXT(ep, next)) {
		for (unsigned i = 0; ep->ifindex && i < ep->naddrs; i++) {
			struct prefix p = prefix_host(&ep->addrs[i]);

			routes_set_pod(f->routes, &p, ep->ifindex);
		}
	}
	return 0;
}

static void start_bgp(struct felix *f)
{
	const struct bgp_link_conf conf = {
		.loop = f->child.loop,
		.nl = f->nl,
		.routes = f->routes,
		.send_config = felix_send_config,
		.each_link = felix_each_link,
		.routes_dirty = routes_dirty,
		.arg = f,
	};

	f->bgp = bgp_link_new(&conf);
	if (f->child.fds.channel >= 0)
		bgp_link_channel(f->bgp, f->child.fds.channel);
}

static int start(struct felix *f, struct err *err)
{
	struct err sysctl;

	if (!sandbox_has_net_admin())
		return err_set(err,
			       "felix has no CAP_NET_ADMIN and can change no route: start noded "
			       "as root, or with CAP_NET_ADMIN in its bounding set");
	if (plumb_node_sysctls(&sysctl) < 0)
		felix_set_why(f, f->sysctl_why, sysctl.text);
	felix_start_store(f);
	start_ipam(f);
	if (start_routes(f, err) < 0)
		return -1;
	start_bgp(f);
	felix_start_claims(f);
	if (f->desired)
		felix_apply_desired(f, true);
	felix_routes_dirty(f);
	felix_start_servers(f);
	f->up = true;
	felix_tell_ready(f);
	return 0;
}

/* ---- end ---- */

static void on_channel(void *arg, int fd)
{
	bgp_link_channel(((struct felix *)arg)->bgp, fd);
}

static void on_ctl_client(void *arg, int fd, bool readonly)
{
	ctl_client(((struct felix *)arg)->ctl, fd, readonly);
}

/* What must forward stays: pods' routes, learned routes, blackholes. */
static void on_stop(void *arg)
{
	struct felix *f = arg;

	cni_server_free(f->cni);
	f->cni = NULL;
}

static const struct child_ops child_ops = {
	.on_channel = on_channel,
	.on_ctl_client = on_ctl_client,
	.on_stop = on_stop,
	.on_kube_access = felix_on_kube_access,
};

static void felix_free(struct felix *f)
{
	metrics_close(f->metrics);
	cni_server_free(f->cni);
	ctl_free(f->ctl);
	bgp_link_free(f->bgp);
	if (f->flush.data)
		ev_idle_stop(f->child.loop, &f->flush);
	if (f->settle.data)
		ev_timer_stop(f->child.loop, &f->settle);
	if (f->routes)
		routes_free(f->routes);
	/* The store first: what is under way there comes back to nobody. */
	if (f->store)
		store_close(f->store);
	claims_free(f->claims);
	pod_probe_free(f->probe);
	ipam_close(f->ipam);
	endpoints_free(f->endpoints);
	desired_free(f->desired);
	bgpconf_free(f->saved_bgp);
	free(f->blackholes);
	if (f->links)
		links_free(f->links);
	if (f->events)
		nl_events_close(f->events);
	if (f->nl)
		nl_close(f->nl);
	free(f);
}

int felix_main(void)
{
	struct felix *f = xcalloc(1, sizeof(*f));
	struct err err;

	if (child_start(&f->child, "felix", true, &err) < 0)
		return 1;
	f->endpoint_dir = -1;
	f->endpoints = endpoints_new();
	ev_idle_init(&f->flush, on_flush);
	f->flush.data = f;
	if (felix_open_kernel(f, &err) < 0)
		child_fatal(&f->child, err.text);
	felix_find_addresses(f);
	if (f->child.check_only)
		return felix_check_only(f);
	if (start(f, &err) < 0)
		child_fatal(&f->child, err.text);
	child_run(&f->child, &child_ops, f);
	struct child child = f->child;
	felix_free(f);
	child_free(&child);
	return 0;
}
