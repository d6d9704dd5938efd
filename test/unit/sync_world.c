#include "config.h"

#include "test/unit/sync_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipam/sync_obj.h"
#include "ipam/sync_state.h"

#define NETWORK "net"
enum { EPOCH = 1800000000 };

static uint64_t now_s(const struct world *w)
{
	return EPOCH + w->sim.now / 1000;
}

static struct sync_now now_of(const struct world *w)
{
	return (struct sync_now){ w->sim.now, now_s(w) * 1000000000 + w->sim.now % 1000 * 1000000 };
}

void world_breaks(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->broken[0])
		return;
	va_start(ap, fmt);
	vsnprintf(w->broken, sizeof(w->broken), fmt, ap);
	va_end(ap);
}

/* ---- the journal: memory is enough, for a kill does not lose what was written ---- */

static int no_sync(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static ssize_t do_pwrite(void *ctx, int fd, const void *buf, size_t n, off_t off)
{
	(void)ctx;
	return pwrite(fd, buf, n, off);
}

static int do_rename(void *ctx, int dirfd, const char *from, const char *to)
{
	(void)ctx;
	return renameat(dirfd, from, dirfd, to);
}

static const struct journal_ops quick_ops = { do_pwrite, no_sync, no_sync, do_rename, NULL };

/* ---- a node's shell ---- */

static struct ipam_owner owner_of(const struct wpod *p)
{
	return (struct ipam_owner){ NETWORK, p->cid, "eth0", "ns", p->name };
}

static void set_usage(struct wnode *n)
{
	struct ipam_block_use u[64];
	unsigned count = ipam_block_count(n->ipam);

	for (unsigned i = 0; i < count && i < 64; i++)
		ipam_block_use(n->ipam, i, now_s(n->w), &u[i]);
	sync_set_usage(n->sync, u, count < 64 ? count : 64, now_of(n->w));
}

static void answer(struct world *w, struct wpod *p)
{
	struct ipam_owner o = owner_of(p);
	struct err err;

	p->state = POD_LIVE;
	ipam_ready(w->nodes[p->node].ipam, &o, "cali", &err);
	world_check_addresses(w);
	world_check_blocks(w);
}

static void release(struct wnode *n, struct wpod *p)
{
	struct ipam_owner o = owner_of(p);
	struct err err;

	ipam_release(n->ipam, &o, now_s(n->w), &err);
	for (unsigned i = 0; i < p->naddrs; i++)
		sync_lease_del(n->sync, &p->addrs[i], now_of(n->w));
	set_usage(n);
}

static void try_add(struct wnode *n, struct wpod *p)
{
	struct world *w = n->w;
	struct ipam_owner o = owner_of(p);
	struct ipam_want want = { .families = 1u << FAM_V4 | (w->conf.v6 ? 1u << FAM_V6 : 0) };
	struct ipam_lease l;
	struct err err;
	enum ipam_result rc = ipam_assign(n->ipam, &o, &want, now_s(w), &l, &err);

	if (rc != IPAM_OK) {
		unsigned miss = ipam_short_of(n->ipam, &want, now_s(w));

		p->state = POD_WAITS;
		for (unsigned f = FAM_V4; f <= FAM_V6; f++)
			if (miss & 1u << f)
				sync_want(n->sync, (enum family)f, NULL, now_of(w));
		return;
	}
	p->naddrs = l.naddrs;
	p->settled = 0;
	for (unsigned i = 0; i < l.naddrs; i++)
		p->addrs[i] = l.addrs[i];
	for (unsigned i = 0; i < p->naddrs; i++) {
		struct sync_lease sl = { p->addrs[i], p->handle, p->name, "ns", now_s(w) };

		sync_lease_add(n->sync, &sl, now_of(w));
	}
	set_usage(n);
	if (!w->conf.mixed) {
		answer(w, p);
		return;
	}
	p->state = POD_SETTLES;
	for (unsigned i = 0; i < p->naddrs && p->state == POD_SETTLES; i++) {
		enum sync_settle st = sync_settle(n->sync, &p->addrs[i], now_of(w));

		if (st == SYNC_SETTLED)
			p->settled++;
		else if (st == SYNC_LOST) {
			release(n, p);
			p->state = POD_WAITS;
		}
	}
	if (p->state == POD_SETTLES && p->settled == p->naddrs)
		answer(w, p);
}

static void on_request(void *arg, uint64_t id, const struct ipamobj_request *r)
{
	struct wnode *n = arg;

	sim_send(&n->w->sim, n, 2 * n->gen, id, r);
}

static void on_collect_request(void *arg, uint64_t id, const struct ipamobj_request *r)
{
	struct wnode *n = arg;

	sim_send(&n->w->sim, n, 2 * n->gen + 1, id, r);
}

static void on_blocks(void *arg)
{
	struct wnode *n = arg;
	struct ipam_block_conf conf[64];
	unsigned count = 0;
	struct sync_block b;
	struct sync_state st;
	struct arena a = { 0 };

	for (unsigned i = 0; i < sync_block_count(n->sync) && count < 64; i++) {
		sync_block_at(n->sync, i, &b);
		if (b.advertise)
			conf[count++] =
				(struct ipam_block_conf){ b.cidr, b.pool, b.allocate, b.closed };
	}
	ipam_set_blocks(n->ipam, conf, count);
	sync_save(n->sync, &st);
	free(n->saved);
	char *text = sync_state_encode(&st, &a, &n->saved_len);
	n->saved = memcpy(malloc(n->saved_len + 1), text, n->saved_len + 1);
	arena_free(&a);
	sync_state_free(&st);
	set_usage(n);
	world_check_blocks(n->w);
}

static void on_foreign(void *arg, const struct prefix *block, const struct addr *a, bool held)
{
	struct wnode *n = arg;

	(void)block;
	ipam_set_foreign(n->ipam, a, held);
	set_usage(n);
}

static void on_claimed(void *arg, enum family fam, const struct prefix *pool,
		       enum sync_claim result, const char *why)
{
	struct wnode *n = arg;
	struct world *w = n->w;

	(void)fam;
	(void)pool;
	(void)why;
	w->claimed += result == SYNC_CLAIMED;
	for (unsigned i = 0; i < WORLD_PODS; i++) {
		struct wpod *p = &w->pods[i];

		if (p->state != POD_WAITS || p->node != n - w->nodes)
			continue;
		if (result == SYNC_CLAIMED) {
			try_add(n, p);
		} else if (result != SYNC_CLAIM_AWAY) {
			p->state = POD_NONE; /* the ADD fails; kubelet gives up on this pod */
		}
	}
}

static void on_settled(void *arg, const struct addr *a, enum sync_settle result)
{
	struct wnode *n = arg;
	struct world *w = n->w;

	for (unsigned i = 0; i < WORLD_PODS; i++) {
		struct wpod *p = &w->pods[i];
		bool its = false;

		for (unsigned k = 0; k < p->naddrs; k++)
			its |= addr_eq(&p->addrs[k], a);
		if (p->state != POD_SETTLES || p->node != n - w->nodes || !its)
			continue;
		if (result == SYNC_SETTLED) {
			if (++p->settled == p->naddrs)
				answer(w, p);
			return;
		}
		release(n, p);
		p->naddrs = 0;
		try_add(n, p);
		return;
	}
}

static void on_problem(void *arg, enum sync_problem kind, const char *object, const char *text)
{
	struct wnode *n = arg;

	(void)object;
	n->w->taken += kind == SYNC_TAKEN;
	if (kind == SYNC_CONFLICT) {
		n->w->conflicts++;
		world_breaks(n->w, "%s", text);
	}
	if (kind == SYNC_TWIN)
		world_breaks(n->w, "%s says there is a twin: %s", n->name, text);
	if (getenv("SYNC_VERBOSE"))
		fprintf(stderr, "%" PRIu64 " %s: %s\n", n->w->sim.now, n->name, text);
}

static bool on_alive(void *arg, const struct sync_alloc *al)
{
	struct wnode *n = arg;

	for (unsigned i = 0; i < WORLD_PODS; i++) {
		const struct wpod *p = &n->w->pods[i];

		if (p->state != POD_NONE && strcmp(p->handle, al->handle_id) == 0)
			return true;
	}
	return false;
}

static bool on_node_has_pods(void *arg, const char *node)
{
	struct wnode *n = arg;

	for (unsigned i = 0; i < WORLD_PODS; i++) {
		const struct wpod *p = &n->w->pods[i];

		if (p->state == POD_NONE)
			continue;
		if (strcmp(p->node < 0 ? WORLD_CALICO : n->w->nodes[p->node].name, node) == 0)
			return true;
	}
	return false;
}

static void on_collected(void *arg, const char *text)
{
	struct wnode *n = arg;

	n->w->leaks_freed++;
	if (getenv("SYNC_VERBOSE"))
		fprintf(stderr, "%" PRIu64 " %s collects: %s\n", n->w->sim.now, n->name, text);
}

static const struct sync_ops ops = { on_request, on_blocks,  on_foreign, on_claimed,
				     on_settled, on_problem, on_alive };
static const struct collect_ops cops = { on_collect_request, on_node_has_pods, on_alive,
					 on_collected };

static void tell_nodes(struct world *w)
{
	const char *names[WORLD_NODES + 1];
	unsigned n = 0;

	for (unsigned i = 0; i < w->conf.nodes; i++)
		if (w->nodes[i].present)
			names[n++] = w->nodes[i].name;
	if (w->conf.mixed)
		names[n++] = WORLD_CALICO;
	for (unsigned i = 0; i < w->conf.nodes; i++)
		if (w->nodes[i].collect)
			collect_set_nodes(w->nodes[i].collect, names, n, now_of(w));
}

static struct wpod *pod_by_cid(struct world *w, const char *cid)
{
	for (unsigned i = 0; i < WORLD_PODS; i++)
		if (w->pods[i].state != POD_NONE && strcmp(w->pods[i].cid, cid) == 0)
			return &w->pods[i];
	return NULL;
}

struct dead_list {
	struct world *w;
	unsigned n;
	char cids[256][24];
};

static void find_dead(void *arg, const struct ipam_lease *l)
{
	struct dead_list *d = arg;
	const struct wpod *p = pod_by_cid(d->w, l->owner.container_id);

	if ((!p || p->state != POD_LIVE) && d->n < 256)
		snprintf(d->cids[d->n++], sizeof(d->cids[0]), "%s", l->owner.container_id);
}

static void give_lease(void *arg, const struct ipam_lease *l)
{
	struct wnode *n = arg;
	char handle[IPAMOBJ_NAME];

	ipamobj_handle_id(NETWORK, l->owner.container_id, "eth0", handle);
	for (unsigned i = 0; i < l->naddrs; i++) {
		struct sync_lease sl = { l->addrs[i], handle, l->owner.pod, "ns", l->since };

		sync_lease_add(n->sync, &sl, now_of(n->w));
	}
}

static void node_start(struct wnode *n)
{
	struct world *w = n->w;
	struct sync_conf conf = { n->name, n->instance, (uint32_t)sim_random(&w->sim, 1u << 30),
				  50 };
	struct sync_settings set = { !w->conf.mixed, true, 0, w->conf.mixed, 0, 0 };
	struct dead_list dead = { w, 0, { "" } };
	struct err err;

	n->up = true;
	n->ipam = ipam_open_ops(n->dirfd, n->boot_id, now_s(w), &quick_ops, 4096, &err);
	if (!n->ipam) {
		world_breaks(w, "journal of %s: %s", n->name, err.text);
		n->up = false;
		return;
	}
	ipam_each(n->ipam, find_dead, &dead);
	for (unsigned i = 0; i < dead.n; i++) {
		struct ipam_owner o = { NETWORK, dead.cids[i], "eth0", "", "" };

		ipam_release(n->ipam, &o, now_s(w), &err);
	}
	n->sync = sync_new(&conf, &ops, n);
	ipam_each(n->ipam, give_lease, n);
	sync_set_settings(n->sync, &set, now_of(w));
	sync_set_pools(n->sync, w->pools, w->npools, now_of(w));
	if (n->saved) {
		struct sync_state st;

		if (sync_state_decode(n->saved, n->saved_len, &st, &err) < 0)
			world_breaks(w, "%s", err.text);
		else
			sync_restore(n->sync, &st);
		sync_state_free(&st);
	}
	set_usage(n);
	sync_start(n->sync, now_of(w));
	sync_set_node(n->sync, n->present, n->present ? n->instance : "", now_of(w));
	n->collect = collect_new(n->name, (uint32_t)sim_random(&w->sim, 1u << 30), &cops, n);
	tell_nodes(w);
}

/* SIGKILL: what is not in the journal is forgotten; ADDs that were not answered fail. */
static void node_stop(struct wnode *n)
{
	if (!n->up)
		return;
	for (unsigned i = 0; i < WORLD_PODS; i++) {
		struct wpod *p = &n->w->pods[i];

		if (p->node == n - n->w->nodes && p->state != POD_LIVE)
			p->state = POD_NONE;
	}
	n->up = false;
	n->gen++;
	sync_free(n->sync);
	collect_free(n->collect);
	ipam_close(n->ipam);
	n->sync = NULL;
	n->collect = NULL;
	n->ipam = NULL;
}

static void kill_containers(struct wnode *n)
{
	for (unsigned i = 0; i < WORLD_PODS; i++) {
		struct wpod *p = &n->w->pods[i];

		if (p->node != n - n->w->nodes || p->state == POD_NONE)
			continue;
		p->state = POD_NONE;
		if (n->up)
			release(n, p);
	}
}

static void new_life(struct wnode *n, bool wipe)
{
	n->life++;
	snprintf(n->boot_id, sizeof(n->boot_id), "00000000-0000-0000-0000-%012u", n->life);
	if (!wipe)
		return;
	unlinkat(n->dirfd, JOURNAL_FILE, 0);
	unlinkat(n->dirfd, JOURNAL_TMP_FILE, 0);
	free(n->saved);
	n->saved = NULL;
	snprintf(n->instance, sizeof(n->instance), "%s.%u", n->name, n->life);
}

/* ---- deeds ---- */

struct wpod *world_new_pod(struct world *w, int node)
{
	for (unsigned i = 0; i < WORLD_PODS; i++) {
		struct wpod *p = &w->pods[i];
		unsigned n;

		if (p->state != POD_NONE)
			continue;
		memset(p, 0, sizeof(*p));
		n = ++w->last_name;
		p->node = node;
		snprintf(p->name, sizeof(p->name), "p%u", n);
		snprintf(p->cid, sizeof(p->cid), "c%u", n);
		snprintf(p->handle, sizeof(p->handle), NETWORK ".c%u", n);
		return p;
	}
	return NULL;
}

static struct wpod *random_pod(struct world *w, bool calico)
{
	struct wpod *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < WORLD_PODS; i++) {
		struct wpod *p = &w->pods[i];

		if (p->state == POD_LIVE && (p->node < 0) == calico &&
		    sim_random(&w->sim, ++n) == 0)
			found = p;
	}
	return found;
}

static void deed_add(struct world *w, struct wnode *n)
{
	struct wpod *p;

	if (!n->up || !n->present || !(p = world_new_pod(w, (int)(n - w->nodes))))
		return;
	p->state = POD_WAITS;
	try_add(n, p);
}

static void deed_del(struct world *w)
{
	struct wpod *p = random_pod(w, false);

	if (!p)
		return;
	p->state = POD_NONE;
	/* With the daemon down the plugin spools the DEL: node_start() finds the lease dead. */
	if (w->nodes[p->node].up)
		release(&w->nodes[p->node], p);
}

void world_node_toggle(struct world *w, struct wnode *n)
{
	if (n->present) {
		kill_containers(n);
		n->present = false;
		if (sim_chance(&w->sim, 500))
			node_stop(n);
		if (n->up)
			sync_set_node(n->sync, false, "", now_of(w));
	} else {
		bool wipe = sim_chance(&w->sim, 500);

		n->present = true;
		if (!n->up) {
			new_life(n, wipe);
			node_start(n);
		} else {
			sync_set_node(n->sync, true, n->instance, now_of(w));
		}
		/* The scheduler has waited for it. */
		deed_add(w, n);
	}
	tell_nodes(w);
}

static void deed(struct world *w)
{
	struct wnode *n = &w->nodes[sim_random(&w->sim, w->conf.nodes)];
	uint64_t what = sim_random(&w->sim, 1000);
	struct wpod *p;

	if (what < 450) {
		deed_add(w, n);
	} else if (what < 800) {
		deed_del(w);
	} else if (what < 880) {
		if (n->up)
			node_stop(n);
		else
			node_start(n);
	} else if (what < 900) {
		bool was = n->up;

		node_stop(n);
		for (unsigned i = 0; i < WORLD_PODS; i++)
			if (w->pods[i].node == n - w->nodes)
				w->pods[i].state = POD_NONE;
		new_life(n, false);
		if (was)
			node_start(n);
	} else if (what < 920) {
		world_node_toggle(w, n);
	} else if (w->conf.mixed && what < 970) {
		world_calico_add(w);
	} else if (w->conf.mixed && (p = random_pod(w, true))) {
		world_calico_del(w, p);
	}
}

/* ---- time ---- */

static void deliver(void *arg, void *who, unsigned gen, uint64_t id, const struct ipamobj_reply *r)
{
	struct world *w = arg;
	struct wnode *n = who;

	if (!n->up || n->gen != gen / 2)
		return;
	if (gen % 2)
		collect_reply(n->collect, id, r, now_of(w));
	else
		sync_reply(n->sync, id, r, now_of(w));
}

static uint64_t next_tick(const struct world *w)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < w->conf.nodes; i++) {
		const struct wnode *n = &w->nodes[i];

		if (!n->up)
			continue;
		if (sync_next(n->sync) < next)
			next = sync_next(n->sync);
		if (collect_next(n->collect) < next)
			next = collect_next(n->collect);
	}
	return next;
}

static void tick(struct world *w)
{
	for (unsigned i = 0; i < w->conf.nodes; i++) {
		struct wnode *n = &w->nodes[i];

		if (n->up && sync_next(n->sync) <= w->sim.now)
			sync_tick(n->sync, now_of(w));
		if (n->up && collect_next(n->collect) <= w->sim.now)
			collect_tick(n->collect, now_of(w));
	}
}

void world_run(struct world *w, uint64_t until, uint64_t every)
{
	uint64_t act = every ? w->sim.now + sim_random(&w->sim, 2 * every) : UINT64_MAX;
	unsigned same = 0;

	while (!w->broken[0]) {
		uint64_t t = next_tick(w), s = sim_next(&w->sim), least = t < s ? t : s;

		if (act < least)
			least = act;
		if (least > until)
			break;
		same = least <= w->sim.now ? same + 1 : 0;
		if (same > 20000) {
			world_breaks(w, "an engine turns without time passing");
			break;
		}
		if (least > w->sim.now)
			w->sim.now = least;
		if (act <= least) {
			deed(w);
			act = w->sim.now + sim_random(&w->sim, 2 * every);
		} else if (s <= least) {
			sim_step(&w->sim);
		} else {
			tick(w);
		}
	}
	if (w->sim.now < until)
		w->sim.now = until;
}

void world_settle(struct world *w)
{
	memset(&w->sim.faults, 0, sizeof(w->sim.faults));
	w->quiet = true;
	for (unsigned i = 0; i < w->conf.nodes; i++) {
		struct wnode *n = &w->nodes[i];

		/* The last node stays away for good where it is away: the collector's work. */
		if (!n->present && i + 1 < w->conf.nodes)
			world_node_toggle(w, n);
		if (!n->up && n->present)
			node_start(n);
	}
	world_run(w, w->sim.now + 3600000, 0);
	if (w->broken[0])
		return;
	world_check_end(w);
	for (unsigned i = 0; i < w->conf.nodes; i++) {
		struct sync_status st;

		if (!w->nodes[i].up || !w->nodes[i].present)
			continue;
		sync_status(w->nodes[i].sync, &st);
		if (!st.synced || st.behind)
			world_breaks(w, "%s is not settled: synced %d, %u behind", w->nodes[i].name,
				     st.synced, st.behind);
	}
}

/* ---- making and ending ---- */

void world_init(struct world *w, const struct world_conf *conf)
{
	memset(w, 0, sizeof(*w));
	w->conf = *conf;
	sim_init(&w->sim, conf->seed);
	w->sim.faults = conf->faults;
	w->sim.slow = 50;
	w->sim.epoch_s = EPOCH;
	w->sim.deliver = deliver;
	w->sim.wrote = world_wrote;
	w->sim.arg = w;
	/* Few and small blocks: nodes meet often. */
	prefix_parse("10.0.0.0/25", &w->pools[0].cidr);
	w->pools[0].block_size = 28;
	w->npools = 1;
	if (conf->v6) {
		prefix_parse("fd00::/120", &w->pools[1].cidr);
		w->pools[1].block_size = 124;
		w->npools = 2;
	}
	for (unsigned i = 0; i < conf->nodes; i++) {
		struct wnode *n = &w->nodes[i];

		n->w = w;
		n->present = true;
		snprintf(n->name, sizeof(n->name), "n%u", i + 1);
		snprintf(n->instance, sizeof(n->instance), "n%u.0", i + 1);
		snprintf(n->boot_id, sizeof(n->boot_id), "00000000-0000-0000-0000-000000000000");
		strcpy(n->dir, "/tmp/selvage-test-XXXXXX");
		if (!mkdtemp(n->dir))
			abort();
		n->dirfd = open(n->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	for (unsigned i = 0; i < conf->nodes; i++)
		node_start(&w->nodes[i]);
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < w->conf.nodes; i++) {
		struct wnode *n = &w->nodes[i];

		node_stop(n);
		free(n->saved);
		unlinkat(n->dirfd, JOURNAL_FILE, 0);
		unlinkat(n->dirfd, JOURNAL_TMP_FILE, 0);
		unlinkat(n->dirfd, "ipam.lock", 0);
		close(n->dirfd);
		rmdir(n->dir);
	}
	sim_free(&w->sim);
}
