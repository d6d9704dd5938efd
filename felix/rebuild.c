#include "config.h"

#include "felix/rebuild.h"

#include <stdio.h>
#include <string.h>

#include "felix/plumb.h"
#include "lib/log.h"

struct rebuild {
	struct endpoints *t;
	const struct links *links;
	int dir;
	struct arena arena;
	struct dead {
		struct dead *next;
		struct ipam_owner owner;
	} * dead;
};

struct by_name {
	const char *name;
	const struct link *found;
};

static void match_name(void *arg, const struct link *l)
{
	struct by_name *b = arg;

	if (strcmp(l->name, b->name) == 0)
		b->found = l;
}

/* Released only after the walk: leases must not change under it. */
static void add_dead(struct rebuild *r, const struct ipam_owner *o)
{
	struct dead *d = arena_alloc(&r->arena, sizeof(*d));

	d->owner.network = arena_strdup(&r->arena, o->network);
	d->owner.container_id = arena_strdup(&r->arena, o->container_id);
	d->owner.ifname = arena_strdup(&r->arena, o->ifname);
	d->owner.namespace_ = d->owner.pod = "";
	d->next = r->dead;
	r->dead = d;
}

static void on_lease(void *arg, const struct ipam_lease *l)
{
	struct rebuild *r = arg;
	char host[PLUMB_IFNAME];
	struct by_name b = { .name = l->host_ifname };
	msg_kv_list labels = { 0 };

	if (!*l->host_ifname) {
		plumb_host_ifname(l->owner.namespace_, l->owner.pod, l->owner.container_id,
				  l->owner.ifname, host);
		b.name = host;
	}
	links_each(r->links, match_name, &b);
	if (!b.found && l->state == IPAM_PENDING) {
		add_dead(r, &l->owner);
		return;
	}
	if (r->dir >= 0)
		labels = endpoint_file_labels(r->dir, &l->owner, &r->arena);
	struct endpoint *ep = endpoints_add(r->t, &l->owner, b.name, l->addrs, l->naddrs, &labels);
	ep->ready = b.found && l->state == IPAM_READY;
	ep->ifindex = b.found ? b.found->ifindex : 0;
	ep->mtu = b.found ? b.found->mtu : 0;
	if (!b.found)
		log_obj(LOG_WARN, "endpoints", "container", l->owner.container_id,
			"its interface %s is gone; its address is kept until it is deleted",
			b.name);
}

static const struct endpoint *holder_of(const struct endpoints *t, const char *host)
{
	const struct endpoint *holder = endpoints_by_host(t, host, NULL);

	for (const struct endpoint *ep = endpoints_first(t); ep; ep = TAILQ_NEXT(ep, next))
		if (ep->ready && strcmp(ep->host, host) == 0)
			holder = ep;
	return holder;
}

/* One interface, several containers of one pod: felix ended in the middle of a take-over. The
 * newest that was ready has it, and the others go, as they would have. */
static void settle_duplicates(struct rebuild *r)
{
	struct endpoint *ep, *next;

	for (ep = endpoints_first(r->t); ep; ep = next) {
		next = TAILQ_NEXT(ep, next);
		if (holder_of(r->t, ep->host) == ep)
			continue;
		struct ipam_owner o = endpoint_owner(ep);
		add_dead(r, &o);
		endpoints_remove(r->t, ep);
	}
}

void rebuild_endpoints(struct endpoints *t, struct ipam *ipam, const struct links *links, int dir,
		       uint64_t now)
{
	struct rebuild r = { .t = t, .links = links, .dir = dir };
	struct err err;
	uint32_t total, ready;

	ipam_each(ipam, on_lease, &r);
	settle_duplicates(&r);
	for (const struct dead *d = r.dead; d; d = d->next)
		if (ipam_release(ipam, &d->owner, now, &err) != IPAM_OK)
			log_error("endpoints", "%s", err.text);
	if (dir >= 0)
		endpoint_files_sweep(dir, t);
	endpoints_count(t, &total, &ready);
	if (total)
		log_info("endpoints", "%u found again, %u of them with their interface", total,
			 ready);
	arena_free(&r.arena);
}

static void on_file(void *arg, const struct m_ctl_endpoint *row)
{
	struct rebuild *r = arg;
	struct by_name b = { .name = row->host };
	struct ipam_owner o = { row->network, row->container_id, row->ifname, row->namespace_,
				row->name };
	struct addr addrs[2];
	unsigned n = 0;

	links_each(r->links, match_name, &b);
	if (!b.found)
		return;
	for (uint32_t i = 0; i < row->addresses.n && n < 2; i++)
		addrs[n++] = row->addresses.v[i].addr;
	struct endpoint *ep = endpoints_add(r->t, &o, row->host, addrs, n, &row->labels);
	ep->ready = true;
	ep->ifindex = b.found->ifindex;
	ep->mtu = b.found->mtu;
}

void rebuild_from_files(struct endpoints *t, const struct links *links, int dir)
{
	struct rebuild r = { .t = t, .links = links, .dir = dir };
	uint32_t total, ready;

	endpoint_files_each(dir, on_file, &r);
	endpoints_count(t, &total, &ready);
	log_warn("endpoints",
		 "the journal cannot be used; %u pods found by their files and interfaces "
		 "go on forwarding",
		 total);
}

struct orphan {
	const struct endpoints *t;
	char name[PLUMB_IFNAME];
};

static void find_orphan(void *arg, const struct link *l)
{
	struct orphan *o = arg;

	if (strncmp(l->name, "cali", 4) == 0 && !endpoints_by_host(o->t, l->name, NULL))
		snprintf(o->name, sizeof(o->name), "%s", l->name);
}

static int adopt_all(struct ipam *ipam, struct endpoints *t, uint64_t now, struct err *err)
{
	for (struct endpoint *ep = endpoints_first(t); ep; ep = TAILQ_NEXT(ep, next)) {
		struct ipam_owner o = endpoint_owner(ep);

		if (ipam_adopt(ipam, &o, ep->addrs, ep->naddrs, ep->host, now, err) != IPAM_OK)
			return err_ctx(err, "container %s", ep->container_id);
	}
	return 0;
}

struct ipam *rebuild_journal(struct endpoints *t, const struct links *links, int dir, int state_dir,
			     const char *boot_id, uint64_t now, struct err *err)
{
	struct orphan orphan = { .t = t };
	struct ipam *ipam;

	if (dir >= 0)
		rebuild_from_files(t, links, dir);
	links_each(links, find_orphan, &orphan);
	if (*orphan.name) {
		err_set(err,
			"it cannot be made anew, for nothing says who has interface %s: drain the "
			"node's pods, then move the journal away",
			orphan.name);
		return NULL;
	}
	if (ipam_set_aside(state_dir, err) < 0)
		return NULL;
	ipam = ipam_open(state_dir, boot_id, now, err);
	if (ipam && adopt_all(ipam, t, now, err) < 0) {
		ipam_close(ipam);
		return NULL;
	}
	return ipam;
}
