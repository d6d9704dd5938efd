#include "config.h"

#include "felix/felix.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "felix/bgp_link.h"
#include "felix/cni_server.h"
#include "felix/ctl.h"
#include "felix/desired.h"
#include "felix/links.h"
#include "felix/plumb.h"
#include "felix/rebuild.h"
#include "felix/routes.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/nl.h"
#include "lib/sandbox.h"

enum { FLUSH_SLICE = 512, STATUS_LINES = 100 };
/* Interfaces change in bursts; the node's own address is looked for once they are quiet. */
static const double settle_delay = 0.1;

struct felix {
	struct child child;
	struct nl *nl;
	struct nl_events *events;
	struct links *links;
	struct routes *routes;
	struct store *store;
	struct ipam *ipam;
	struct endpoints *endpoints;
	int endpoint_dir;
	struct cni_server *cni;
	struct bgp_link *bgp;
	struct ctl *ctl;
	struct desired *desired; /* NULL until the datastore was read */
	struct prefix addrs[2];
	unsigned naddrs;
	struct prefix *blackholes; /* blocks that routes has been told of */
	unsigned nblackholes;
	/* Why not, as text; "" where all is well. */
	char journal_why[512], store_why[512], address_why[512], sysctl_why[512];
	ev_idle flush;
	ev_timer settle;
	bool up; /* all parts exist */
};

/* ---- readiness ---- */

static void reasons(const struct felix *f, const char *list[8], unsigned *n)
{
	*n = 0;
	if (*f->store_why)
		list[(*n)++] = f->store_why;
	if (*f->address_why)
		list[(*n)++] = f->address_why;
	if (*f->sysctl_why)
		list[(*n)++] = f->sysctl_why;
	if (*f->journal_why)
		list[(*n)++] = f->journal_why;
	if (f->desired && f->desired->fatal)
		list[(*n)++] =
			"the datastore's pools or blocks contradict each other (see errors); "
			"the blocks of before stay in use";
	else if (f->desired && f->desired->npools > 0 && f->desired->nallocate == 0)
		list[(*n)++] = "this node has no block of any pool to give addresses from";
}

static void tell_ready(struct felix *f)
{
	const char *list[8];
	char text[1024] = "";
	size_t at = 0;
	unsigned n;

	if (!f->up)
		return;
	reasons(f, list, &n);
	for (unsigned i = 0; i < n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? "; " : "",
				       list[i]);
	child_ready(&f->child, n == 0, text);
}

static void set_why(struct felix *f, char why[512], const char *text)
{
	if (strcmp(why, text) == 0)
		return;
	snprintf(why, 512, "%s", text);
	if (*why)
		log_error("felix", "%s", why);
	tell_ready(f);
}

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

static void routes_dirty(void *arg)
{
	struct felix *f = arg;

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

static const struct routes_ops routes_ops = { .on_failed = on_routes_failed };

static bool is_among(const struct prefix *p, const struct ipam_block_conf *blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (prefix_eq(p, &blocks[i].cidr))
			return true;
	return false;
}

static void set_blackholes(struct felix *f, const struct ipam_block_conf *blocks, unsigned n)
{
	for (unsigned i = 0; i < f->nblackholes; i++)
		if (!is_among(&f->blackholes[i], blocks, n))
			routes_set_block(f->routes, &f->blackholes[i], false);
	f->blackholes = xrealloc(f->blackholes, (n + 1) * sizeof(*f->blackholes));
	for (unsigned i = 0; i < n; i++) {
		f->blackholes[i] = blocks[i].cidr;
		routes_set_block(f->routes, &blocks[i].cidr, true);
	}
	f->nblackholes = n;
	routes_dirty(f);
}

/* ---- the datastore ---- */

static bool has_line(const struct desired *d, const char *line)
{
	for (unsigned i = 0; d && i < d->problems.n; i++)
		if (strcmp(d->problems.text[i], line) == 0)
			return true;
	return false;
}

static void log_new_problems(const struct desired *was, const struct desired *is)
{
	for (unsigned i = 0; i < is->problems.n; i++)
		if (!has_line(was, is->problems.text[i]))
			log_warn("store", "%s", is->problems.text[i]);
}

static struct desired *compute(const struct felix *f)
{
	const struct bgpconf_input in = {
		.store = f->store,
		.conf = f->child.conf,
		.node = f->child.node,
		.addrs = f->addrs,
		.naddrs = f->naddrs,
	};

	return desired_compute(&in);
}

static void apply_desired(struct felix *f)
{
	const struct desired *d = f->desired;

	if (f->ipam)
		ipam_set_cooldown(f->ipam, d->cooldown);
	/* Contradicting blocks could give one address to two nodes: what held before goes on. */
	if (!d->fatal) {
		if (f->ipam) {
			ipam_set_reservations(f->ipam, d->reserved, d->nreserved);
			ipam_set_blocks(f->ipam, d->blocks, d->nblocks);
		}
		set_blackholes(f, d->blocks, d->nblocks);
	}
	if (f->bgp)
		bgp_link_config(f->bgp);
	tell_ready(f);
}

static void recompute(struct felix *f)
{
	struct desired *was = f->desired;

	if (!f->store)
		return;
	f->desired = compute(f);
	log_new_problems(was, f->desired);
	if (f->desired->fatal && was) {
		/* What is advertised goes with the blocks in use: both stay as they were. */
		struct bgpconf *contradicting = f->desired->bgp;

		f->desired->bgp = was->bgp;
		was->bgp = contradicting;
	}
	desired_free(was);
	apply_desired(f);
}

static void on_store_change(void *arg)
{
	struct felix *f = arg;

	recompute(f);
}

static const struct store_ops store_ops = { .on_change = on_store_change };

/* ---- what bgpd is told ---- */

static bool send_config(void *arg, struct ipc *ipc)
{
	struct felix *f = arg;
	const struct bgpconf *c = f->desired ? f->desired->bgp : NULL;

	/* Without an address of its own the node has nothing to say in BGP. */
	if (!c || f->naddrs == 0)
		return false;
	ipc_send(ipc, M_BGP_BEGIN, &c->begin);
	for (unsigned i = 0; i < c->npeers; i++)
		ipc_send(ipc, M_BGP_PEER, &c->peers[i]);
	for (unsigned i = 0; i < c->norigins; i++)
		ipc_send(ipc, M_BGP_ORIGIN, &c->origins[i]);
	for (unsigned i = 0; i < c->npools; i++)
		ipc_send(ipc, M_BGP_POOLS, &c->pools[i]);
	ipc_send(ipc, M_BGP_END, NULL);
	return true;
}

/* Pods' interfaces are felix's alone: a node with 250 pods has two uplinks. */
static bool is_pod_link(const struct link *l)
{
	return strncmp(l->name, "cali", 4) == 0;
}

struct link_filter {
	void (*cb)(void *cb_arg, const struct link *l);
	void *cb_arg;
};

static void pass_link(void *arg, const struct link *l)
{
	const struct link_filter *lf = arg;

	if (!is_pod_link(l))
		lf->cb(lf->cb_arg, l);
}

static void each_link(void *arg, void (*cb)(void *cb_arg, const struct link *l), void *cb_arg)
{
	struct felix *f = arg;
	struct link_filter lf = { cb, cb_arg };

	links_each(f->links, pass_link, &lf);
}

/* ---- the kernel ---- */

static bool find_addresses(struct felix *f)
{
	struct prefix out[2];
	struct err err = { 0 };
	int n = links_node_addresses(f->links, f->nl, f->child.conf, out, &err);

	if (n < 0)
		n = 0;
	bool changed = (unsigned)n != f->naddrs;
	for (int i = 0; i < n && !changed; i++)
		changed = !prefix_eq(&out[i], &f->addrs[i]);
	for (int i = 0; i < n; i++)
		f->addrs[i] = out[i];
	f->naddrs = (unsigned)n;
	set_why(f, f->address_why,
		n > 0	    ? ""
		: *err.text ? err.text
			    : "the node has no address of its own");
	return changed;
}

static void on_settle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct felix *f = w->data;

	(void)loop;
	(void)revents;
	if (find_addresses(f))
		recompute(f);
}

static void links_changed(struct felix *f)
{
	if (!f->up)
		return;
	ev_timer_stop(f->child.loop, &f->settle);
	ev_timer_set(&f->settle, settle_delay, 0.);
	ev_timer_start(f->child.loop, &f->settle);
	bgp_link_recheck(f->bgp);
	routes_dirty(f);
}

static void on_link(void *arg, const struct link *l)
{
	struct felix *f = arg;

	if (is_pod_link(l))
		return;
	if (f->bgp)
		bgp_link_iface(f->bgp, l);
	links_changed(f);
}

static void on_link_gone(void *arg, uint32_t ifindex, const char *name)
{
	struct felix *f = arg;

	for (struct endpoint *ep = f->endpoints ? endpoints_first(f->endpoints) : NULL; ep;
	     ep = TAILQ_NEXT(ep, next)) {
		if (ep->ifindex != ifindex)
			continue;
		log_obj(LOG_INFO, "endpoints", "container", ep->container_id,
			"its interface %s is gone", name);
		ep->ifindex = 0;
		ep->ready = false;
		for (unsigned i = 0; i < ep->naddrs; i++) {
			struct prefix p = prefix_host(&ep->addrs[i]);

			routes_set_pod(f->routes, &p, 0);
		}
		routes_dirty(f);
		return;
	}
	/* A pod's link is nothing to bgpd and holds no address of the node. */
	if (!strncmp(name, "cali", 4))
		return;
	if (f->bgp)
		bgp_link_iface_gone(f->bgp, ifindex);
	links_changed(f);
}

static const struct links_ops links_ops = { .on_link = on_link, .on_gone = on_link_gone };

static void on_event(void *arg, const struct nlmsghdr *nlh)
{
	struct felix *f = arg;

	links_on_event(f->links, nlh);
	routes_on_event(f->routes, nlh);
	routes_dirty(f);
	if (nlh->nlmsg_type == RTM_NEWROUTE || nlh->nlmsg_type == RTM_DELROUTE)
		bgp_link_recheck(f->bgp);
}

static void on_lost(void *arg)
{
	struct felix *f = arg;
	struct err err;

	log_warn("felix", "events of the kernel were lost; reading everything again");
	if (links_resync(f->links, &err) < 0)
		log_error("felix", "%s", err.text);
	routes_resync(f->routes);
	links_changed(f);
}

static const struct nl_events_ops events_ops = { .on_event = on_event, .on_lost = on_lost };

static const int groups[] = { RTNLGRP_LINK,
			      RTNLGRP_IPV4_IFADDR,
			      RTNLGRP_IPV6_IFADDR,
			      RTNLGRP_IPV4_ROUTE,
			      RTNLGRP_IPV6_ROUTE,
			      RTNLGRP_NEXTHOP,
			      0 };

/* ---- what the CNI server asks ---- */

static bool may_add(void *arg, struct err *err)
{
	struct felix *f = arg;

	if (!f->ipam)
		return err_set(err, "%s", f->journal_why) == 0;
	if (ipam_block_count(f->ipam) == 0)
		return err_set(err, "%s",
			       *f->store_why ? f->store_why
					     : "this node has no block of any pool to "
					       "give addresses from: is there an IPPool in "
					       "the datastore?") == 0;
	return true;
}

static uint32_t pod_mtu(void *arg)
{
	struct felix *f = arg;

	return f->child.conf->dataplane.mtu ? f->child.conf->dataplane.mtu
					    : links_auto_mtu(f->links);
}

/* ---- control ---- */

static struct store *ctl_store(void *arg)
{
	return ((struct felix *)arg)->store;
}

static struct ipam *ctl_ipam(void *arg)
{
	return ((struct felix *)arg)->ipam;
}

static void add_text(msg_text_list *l, const char *text)
{
	if (l->n < STATUS_LINES)
		l->v[l->n++].text = text;
}

static void ctl_status(void *arg, struct m_ctl_felix *row, struct arena *arena)
{
	struct felix *f = arg;
	struct store_status st = { .kind = "directory" };
	const char *list[8];
	unsigned n;

	reasons(f, list, &n);
	row->ready = n == 0;
	row->reasons.v = arena_array(arena, STATUS_LINES, sizeof(*row->reasons.v));
	for (unsigned i = 0; i < n; i++)
		add_text(&row->reasons, list[i]);
	if (f->store)
		store_status(f->store, &st);
	row->store_kind = st.kind;
	row->synced = st.synced;
	row->last_contact = st.last_contact;
	row->store_errors.v = arena_array(arena, STATUS_LINES, sizeof(*row->store_errors.v));
	for (unsigned i = 0; i < st.nerrors; i++)
		add_text(&row->store_errors, st.errors[i]);
	for (unsigned i = 0; f->desired && i < f->desired->problems.n; i++)
		add_text(&row->store_errors, f->desired->problems.text[i]);
	row->policies = f->desired ? f->desired->npolicies : 0;
}

/* ---- start ---- */

static int open_kernel(struct felix *f, struct err *err)
{
	f->nl = nl_open(NETLINK_ROUTE, err);
	if (!f->nl)
		return -1;
	/* Events first: what changes during the dumps is not missed. */
	f->events = nl_events_open(f->child.loop, NETLINK_ROUTE, groups, nl_portid(f->nl),
				   &events_ops, f, err);
	if (!f->events)
		return -1;
	f->links = links_new(f->nl, &links_ops, f, err);
	return f->links ? 0 : -1;
}

static int open_store(struct felix *f, struct ev_loop *loop, struct err *err)
{
	if (f->child.fds.store_dir < 0)
		return err_set(err,
			       "%s: datastore: noded passed no folder: this version reads "
			       "kind: directory alone",
			       f->child.conf->file);
	f->store = store_directory_open(loop, f->child.fds.store_dir, f->child.conf->datastore.path,
					&store_ops, f, err);
	f->child.fds.store_dir = -1;
	return f->store ? 0 : -1;
}

/* All lines in one text, as child_fatal() takes them; in the arena. */
static const char *all_problems(const struct felix *f, const struct desired *d, struct arena *arena)
{
	struct store_status st;
	const char *text = "";

	store_status(f->store, &st);
	for (unsigned i = 0; i < st.nerrors; i++)
		text = arena_printf(arena, "%s%s\n", text, st.errors[i]);
	for (unsigned i = 0; i < d->problems.n; i++)
		text = arena_printf(arena, "%s%s\n", text, d->problems.text[i]);
	return text;
}

/* `noded -n`: what is wrong or not served is named; wrong is what was not taken or contradicts. */
static int check_only(struct felix *f)
{
	struct arena arena = { 0 };
	struct store_status st;
	struct err err;

	if (open_store(f, NULL, &err) < 0)
		child_fatal(&f->child, err.text);
	f->desired = compute(f);
	store_status(f->store, &st);
	const char *text = all_problems(f, f->desired, &arena);
	if (st.nerrors > 0 || f->desired->fatal)
		child_fatal(&f->child, text);
	log_new_problems(NULL, f->desired);
	child_ready(&f->child, true, "");
	ipc_flush(f->child.noded);
	arena_free(&arena);
	return 0;
}

static void start_store(struct felix *f)
{
	struct arena arena = { 0 };
	struct err err;

	if (open_store(f, f->child.loop, &err) < 0) {
		if (f->child.restarts == 0)
			child_fatal(&f->child, err.text);
		set_why(f, f->store_why, err.text);
		return;
	}
	f->desired = compute(f);
	if (f->desired->fatal && f->child.restarts == 0)
		child_fatal(&f->child, all_problems(f, f->desired, &arena));
	log_new_problems(NULL, f->desired);
	arena_free(&arena);
}

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
	*(bool *)arg |= is_pod_link(l);
}

/* A state.dir that cannot be used is refused at a first start, but where pods run already they come
 * first: felix stays up for their routes and says why it gives no addresses. */
static void refuse_state_dir(struct felix *f, const struct err *err)
{
	bool pods = false;

	links_each(f->links, see_pod_link, &pods);
	if (err->code != 0 && f->child.restarts == 0 && !pods)
		child_fatal(&f->child, err->text);
	set_why(f, f->journal_why, err->text);
}

static void start_ipam(struct felix *f)
{
	char boot_id[64];
	struct err err;

	if (f->child.fds.state_dir < 0)
		err_set(&err, "noded passed no state.dir");
	else if (read_boot_id(boot_id, &err) == 0)
		f->ipam = ipam_open(f->child.fds.state_dir, boot_id, (uint64_t)time(NULL), &err);
	if (!f->ipam) {
		err_ctx(&err, "addresses cannot be given: %s", f->child.conf->state.dir);
		refuse_state_dir(f, &err);
	}
	if (f->child.fds.state_dir < 0)
		return;
	f->endpoint_dir = endpoint_files_open(f->child.fds.state_dir, &err);
	if (f->endpoint_dir < 0)
		log_warn("endpoints", "labels of pods will not outlive this process: %s", err.text);
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
		.send_config = send_config,
		.each_link = each_link,
		.routes_dirty = routes_dirty,
		.arg = f,
	};

	f->bgp = bgp_link_new(&conf);
	if (f->child.fds.channel >= 0)
		bgp_link_channel(f->bgp, f->child.fds.channel);
}

static void start_servers(struct felix *f)
{
	const struct cni_server_conf cni = {
		.loop = f->child.loop,
		.nl = f->nl,
		.routes = f->routes,
		.ipam = f->ipam,
		.endpoints = f->endpoints,
		.endpoint_dir = f->endpoint_dir,
		.spool_dir = f->child.fds.spool_dir,
		.may_add = may_add,
		.mtu = pod_mtu,
		.arg = f,
	};
	const struct ctl_conf ctl = {
		.loop = f->child.loop,
		.store = ctl_store,
		.ipam = ctl_ipam,
		.routes = f->routes,
		.endpoints = f->endpoints,
		.status = ctl_status,
		.arg = f,
	};

	f->cni = cni_server_new(&cni, f->child.fds.cni);
	f->ctl = ctl_new(&ctl);
}

static int start(struct felix *f, struct err *err)
{
	struct err sysctl;

	if (!sandbox_has_net_admin())
		return err_set(err,
			       "felix has no CAP_NET_ADMIN and can change no route: start noded "
			       "as root, or with CAP_NET_ADMIN in its bounding set");
	if (plumb_node_sysctls(&sysctl) < 0)
		set_why(f, f->sysctl_why, sysctl.text);
	start_store(f);
	start_ipam(f);
	if (start_routes(f, err) < 0)
		return -1;
	start_bgp(f);
	if (f->desired)
		apply_desired(f);
	routes_dirty(f);
	start_servers(f);
	f->up = true;
	tell_ready(f);
	return 0;
}

/* ---- end ---- */

static void on_channel(void *arg, int fd)
{
	bgp_link_channel(((struct felix *)arg)->bgp, fd);
}

static void on_ctl_client(void *arg, int fd, bool readonly)
{
	(void)readonly; /* all that felix answers is reading */
	ctl_client(((struct felix *)arg)->ctl, fd);
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
};

static void felix_free(struct felix *f)
{
	cni_server_free(f->cni);
	ctl_free(f->ctl);
	bgp_link_free(f->bgp);
	if (f->flush.data)
		ev_idle_stop(f->child.loop, &f->flush);
	if (f->settle.data)
		ev_timer_stop(f->child.loop, &f->settle);
	if (f->routes)
		routes_free(f->routes);
	ipam_close(f->ipam);
	endpoints_free(f->endpoints);
	if (f->store)
		store_close(f->store);
	desired_free(f->desired);
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
	ev_timer_init(&f->settle, on_settle, settle_delay, 0.);
	f->flush.data = f->settle.data = f;
	if (open_kernel(f, &err) < 0)
		child_fatal(&f->child, err.text);
	find_addresses(f);
	if (f->child.check_only)
		return check_only(f);
	if (start(f, &err) < 0)
		child_fatal(&f->child, err.text);
	child_run(&f->child, &child_ops, f);
	struct child child = f->child;
	felix_free(f);
	child_free(&child);
	return 0;
}
