#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "felix/claims_impl.h"
#include "felix/endpoints.h"
#include "felix/pod_probe.h"
#include "felix/state_file.h"
#include "ipam/sync_state.h"
#include "lib/log.h"
#include "store/ipam_api.h"

/* Pods come and go in bursts, and no write for one should run beside its ADD: told a moment later.
 */
static const double leases_delay = 0.25;
/* A refusal is told to whoever waits; the next ADD asks again. */
enum { FAILURE_AGE = 1000, PROBE_AGE = 30000 };

struct sync_now claims_now(void)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct sync_now){
		.ms = (uint64_t)mono.tv_sec * 1000u + (uint64_t)mono.tv_nsec / 1000000u,
		.unix_ns = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec,
	};
}

/* ---- driving the engines ---- */

void claims_drive(struct claims *c)
{
	uint64_t at = sync_next(c->sync), other = collect_next(c->collect);
	uint64_t now = claims_now().ms;

	if (other < at)
		at = other;
	ev_timer_stop(c->conf.loop, &c->tick);
	if (at == UINT64_MAX)
		return;
	ev_timer_set(&c->tick, at > now ? (double)(at - now) / 1000. : 0., 0.);
	ev_timer_start(c->conf.loop, &c->tick);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct claims *c = w->data;
	struct sync_now now = claims_now();

	(void)loop;
	(void)revents;
	sync_tick(c->sync, now);
	collect_tick(c->collect, now);
	claims_drive(c);
}

static void on_reply(void *arg, const struct ipamobj_reply *r)
{
	struct claims_call *call = arg;
	struct claims *c = call->c;

	if (call->collect)
		collect_reply(c->collect, call->id, r, claims_now());
	else
		sync_reply(c->sync, call->id, r, claims_now());
	LIST_REMOVE(call, next);
	free(call);
	claims_drive(c);
}

static void send_request(struct claims *c, uint64_t id, const struct ipamobj_request *r,
			 bool collect)
{
	struct claims_call *call = xcalloc(1, sizeof(*call));

	*call = (struct claims_call){ .c = c, .id = id, .collect = collect };
	LIST_INSERT_HEAD(&c->calls, call, next);
	store_ipam_request(c->conf.store, r, on_reply, call);
}

static void on_request(void *arg, uint64_t id, const struct ipamobj_request *r)
{
	send_request(arg, id, r, false);
}

static void on_collect_request(void *arg, uint64_t id, const struct ipamobj_request *r)
{
	send_request(arg, id, r, true);
}

/* ---- blocks ---- */

static void save_blocks(struct claims *c)
{
	struct sync_state st = { 0 };
	struct arena arena = { 0 };
	struct err err;
	size_t len;

	sync_save(c->sync, &st);
	const char *text = sync_state_encode(&st, &arena, &len);
	if (state_file_save(c->conf.state_dir, "blocks", text, len, &err) < 0)
		log_error("ipam", "after a reboot without the API this node has no blocks: %s",
			  err.text);
	sync_state_free(&st);
	arena_free(&arena);
}

static void on_blocks(void *arg)
{
	struct claims *c = arg;
	unsigned n = sync_block_count(c->sync);

	/* A list that is shorter for a moment would cost its blocks their cool-downs. */
	if (c->restoring)
		return;

	c->block_v = xrealloc(c->block_v, (n + 1) * sizeof(*c->block_v));
	for (unsigned i = 0; i < n; i++) {
		struct sync_block b;

		sync_block_at(c->sync, i, &b);
		c->block_v[i] =
			(struct node_claim){ b.cidr, b.pool, b.allocate, b.advertise, b.closed };
	}
	c->blocks = (struct node_claims){ n, c->block_v };
	if (c->started)
		save_blocks(c);
	c->conf.blocks(c->conf.arg);
	/* The usage of the new list is still to be told. */
	claims_leases_changed(c);
}

static void on_foreign(void *arg, const struct prefix *block, const struct addr *a, bool held)
{
	struct claims *c = arg;

	(void)block;
	ipam_set_foreign(c->conf.ipam, a, held);
}

/* Until the API tells the pools, these are all that is known of them. */
static void restore_pools(struct claims *c, const struct sync_state *st)
{
	struct sync_pool *v = xcalloc(st->nblocks + 1u, sizeof(*v));
	unsigned n = 0;

	for (unsigned i = 0; i < st->nblocks; i++) {
		const struct sync_state_block *b = &st->blocks[i];
		unsigned k = 0;

		while (k < n && !prefix_eq(&v[k].cidr, &b->pool))
			k++;
		if (k == n)
			v[n++] = (struct sync_pool){ b->pool, b->cidr.len, SYNC_POOL_CLOSED };
		if (b->allocate)
			v[k].use = SYNC_POOL_AUTO;
	}
	sync_set_pools(c->sync, v, n, claims_now());
	free(v);
}

void claims_restore(struct claims *c)
{
	struct arena arena = { 0 };
	struct sync_state st;
	struct err err;
	size_t len;
	const char *text = state_file_read(c->conf.state_dir, "blocks", &arena, &len, &err);

	if (!text) {
		if (err.code != ENOENT)
			log_warn("ipam", "%s; this node's blocks are read from the API", err.text);
	} else if (sync_state_decode(text, len, &st, &err) < 0) {
		log_warn("ipam", "state.dir: blocks: %s; they are read from the API", err.text);
	} else {
		if (!strcmp(st.node, c->conf.node) && !strcmp(st.instance, c->instance)) {
			c->restoring = true;
			restore_pools(c, &st);
			sync_restore(c->sync, &st);
			c->restoring = false;
			on_blocks(c);
		} else
			log_warn("ipam",
				 "state.dir: blocks is of node %s, not of %s; the blocks are read "
				 "from the API",
				 st.node, c->conf.node);
		sync_state_free(&st);
	}
	arena_free(&arena);
	claims_tell_voided(c);
	/* A DEL may come before the API does: the engine must know whose address that was. */
	claims_tell_leases(c);
}

/* ---- ADDs that wait ---- */

static bool same_pool(const struct claims_failure *f, enum family fam, const struct prefix *pool)
{
	if (!f->at || f->fam != fam)
		return false;
	return pool ? prefix_eq(&f->pool, pool) : f->pool.addr.fam == FAM_NONE;
}

static void on_claimed(void *arg, enum family fam, const struct prefix *pool,
		       enum sync_claim result, const char *why)
{
	struct claims *c = arg;

	if (result != SYNC_CLAIMED && result != SYNC_CLAIM_AWAY) {
		struct claims_failure *f = &c->failures[c->next_failure++ % CLAIMS_FAILURES];

		*f = (struct claims_failure){ .fam = fam, .at = claims_now().ms };
		if (pool)
			f->pool = *pool;
		else
			f->pool.addr.fam = FAM_NONE;
		snprintf(f->why, sizeof(f->why), "%s", why);
	}
	if (result != SYNC_CLAIM_AWAY)
		c->conf.retry(c->conf.arg);
}

static const struct claims_failure *failed(const struct claims *c, enum family fam,
					   const struct prefix *pool)
{
	uint64_t now = claims_now().ms;

	for (unsigned i = 0; i < CLAIMS_FAILURES; i++)
		if (same_pool(&c->failures[i], fam, pool) && now - c->failures[i].at < FAILURE_AGE)
			return &c->failures[i];
	return NULL;
}

/* Asks for a block of the first pool that has not just refused one. */
static enum cni_turn want_family(struct claims *c, enum family fam, const struct ipam_pools *pools,
				 struct err *err)
{
	unsigned n = pools->only ? pools->n : 1;
	const struct claims_failure *f = NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct prefix *pool = pools->only ? &pools->v[i] : NULL;
		const struct claims_failure *last = failed(c, fam, pool);

		if (!last) {
			sync_want(c->sync, fam, pool, claims_now());
			return CNI_WAIT;
		}
		f = last;
	}
	if (f) {
		char cidr[PREFIX_STRLEN] = "";

		if (pools->only)
			prefix_format(&f->pool, cidr, sizeof(cidr));
		err_set(err, "no %s address%s%s: %s", fam == FAM_V4 ? "IPv4" : "IPv6",
			*cidr ? " of pool " : "", cidr, f->why);
	}
	return CNI_REFUSE;
}

enum cni_turn claims_want(struct claims *c, unsigned families, const struct ipam_want *want,
			  struct err *err)
{
	enum cni_turn turn = CNI_WAIT;

	/* An exact address is in none of our blocks: no claim can be aimed at it. */
	if (want->naddrs)
		return CNI_REFUSE;
	if (families & 1u << FAM_V4)
		turn = want_family(c, FAM_V4, &want->v4, err);
	if (turn == CNI_WAIT && families & 1u << FAM_V6)
		turn = want_family(c, FAM_V6, &want->v6, err);
	if (turn == CNI_WAIT) {
		struct store_status st;

		store_status(c->conf.store, &st);
		err_set(err, "this node has no free address and claims another block%s%s",
			st.nerrors ? "; the API: " : "", st.nerrors ? st.errors[0] : "");
	}
	claims_drive(c);
	return turn;
}

/* ---- leases that the API must know of first ---- */

static void settling_end(struct claims *c, struct claims_settling *s)
{
	for (unsigned i = 0; i < s->naddrs; i++)
		if (!s->done[i])
			return;
	c->conf.settled(c->conf.arg, &s->owner, !s->lost);
	LIST_REMOVE(s, next);
	arena_free(&s->arena);
	free(s);
}

static void settling_mark(struct claims *c, struct claims_settling *s, unsigned i,
			  enum sync_settle result)
{
	if (result == SYNC_SETTLING)
		return;
	s->done[i] = true;
	if (result == SYNC_LOST) {
		s->lost = true;
		ipam_set_foreign(c->conf.ipam, &s->addrs[i], true);
	}
}

static void on_settled(void *arg, const struct addr *a, enum sync_settle result)
{
	struct claims *c = arg;
	struct claims_settling *s, *next;

	for (s = LIST_FIRST(&c->settlings); s; s = next) {
		next = LIST_NEXT(s, next);
		for (unsigned i = 0; i < s->naddrs; i++)
			if (!s->done[i] && addr_eq(&s->addrs[i], a))
				settling_mark(c, s, i, result);
		settling_end(c, s);
	}
}

enum cni_turn claims_settle(struct claims *c, const struct ipam_owner *owner,
			    const struct ipam_lease *lease)
{
	struct claims_settling *s;
	enum sync_settle result[2];
	bool wait = false;

	if (!c->mixed)
		return CNI_GO;
	claims_tell_leases(c);
	for (unsigned i = 0; i < lease->naddrs; i++) {
		result[i] = sync_settle(c->sync, &lease->addrs[i], claims_now());
		wait |= result[i] != SYNC_SETTLED;
	}
	claims_drive(c);
	if (!wait)
		return CNI_GO;
	s = xcalloc(1, sizeof(*s));
	s->owner = (struct ipam_owner){
		arena_strdup(&s->arena, owner->network),
		arena_strdup(&s->arena, owner->container_id),
		arena_strdup(&s->arena, owner->ifname),
		"",
		"",
	};
	s->naddrs = lease->naddrs;
	LIST_INSERT_HEAD(&c->settlings, s, next);
	for (unsigned i = 0; i < lease->naddrs; i++) {
		s->addrs[i] = lease->addrs[i];
		settling_mark(c, s, i, result[i]);
	}
	settling_end(c, s);
	return CNI_WAIT;
}

/* ---- what the engine finds ---- */

static void on_problem(void *arg, enum sync_problem kind, const char *object, const char *text)
{
	struct claims *c = arg;
	struct addr a;

	log_obj(kind == SYNC_STALE_LEASE ? LOG_INFO : LOG_ERROR, "ipam", "object", object, "%s",
		text);
	if (kind == SYNC_STALE_LEASE) {
		if (addr_parse(object, &a) == 0)
			c->conf.release(c->conf.arg, &a);
		return;
	}
	if (c->nlines == CLAIMS_LINES) {
		free(c->lines[0]);
		memmove(c->lines, c->lines + 1, (CLAIMS_LINES - 1) * sizeof(*c->lines));
		c->nlines--;
	}
	struct arena scratch = { 0 };

	c->lines[c->nlines++] = xstrdup(arena_printf(&scratch, "%s: %s", object, text));
	arena_free(&scratch);
	c->conf.trouble(c->conf.arg);
}

static void on_collected(void *arg, const char *text)
{
	(void)arg;
	log_info("ipam", "collected: %s", text);
}

static bool has_endpoint(const struct claims *c, const struct addr *a)
{
	for (const struct endpoint *ep = endpoints_first(c->conf.endpoints); ep;
	     ep = TAILQ_NEXT(ep, next))
		for (unsigned i = 0; ep->ifindex && i < ep->naddrs; i++)
			if (addr_eq(&ep->addrs[i], a))
				return true;
	return false;
}

static bool holds(const struct pod_known *k, const struct addr *a)
{
	if (k->result != IPAMOBJ_OK)
		return k->result != IPAMOBJ_NOT_FOUND;
	if (pod_is_over(&k->pod))
		return false;
	for (unsigned i = 0; i < k->pod.naddrs; i++) {
		struct addr has = pod_addr(&k->pod, i);

		if (addr_eq(&has, a))
			return true;
	}
	/* A pod without addresses may be getting this one now. */
	return k->pod.naddrs == 0;
}

bool claims_alive(struct claims *c, const struct sync_alloc *a)
{
	const struct pod_known *k;

	if (has_endpoint(c, &a->addr))
		return true;
	/* Of another node's containers without a pod only that node knows. */
	if (!*a->pod)
		return *a->node && strcmp(a->node, c->conf.node) != 0;
	k = pod_probe_get(c->conf.probe, a->namespace_, a->pod, PROBE_AGE, claims_now().ms);
	return !k || holds(k, &a->addr);
}

static bool on_alive(void *arg, const struct sync_alloc *a)
{
	return claims_alive(arg, a);
}

/* ---- the outside ---- */

static const struct sync_ops sync_ops = {
	.request = on_request,
	.blocks = on_blocks,
	.foreign = on_foreign,
	.claimed = on_claimed,
	.settled = on_settled,
	.problem = on_problem,
	.alive = on_alive,
};

static const struct collect_ops collect_ops = {
	.request = on_collect_request,
	.node_has_pods = claims_node_has_pods,
	.alive = on_alive,
	.collected = on_collected,
};

static void on_leases(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	claims_tell_leases(w->data);
}

void claims_leases_changed(struct claims *c)
{
	if (ev_is_active(&c->leases))
		return;
	/* A timer that has run out keeps nothing of its delay. */
	ev_timer_set(&c->leases, leases_delay, 0.);
	ev_timer_start(c->conf.loop, &c->leases);
}

static void tell_nodes(struct claims *c)
{
	unsigned n;
	const struct object *const *v = store_list(c->conf.store, KIND_NODE, &n);
	const char **names = xcalloc(n + 1, sizeof(*names));

	for (unsigned i = 0; i < n; i++)
		names[i] = v[i]->name;
	collect_set_nodes(c->collect, names, n, claims_now());
	free(names);
}

void claims_update(struct claims *c, const struct prefix *addrs, unsigned naddrs)
{
	struct arena arena = { 0 };
	struct store_status st;
	struct sync_pool *pools;
	unsigned n;

	store_status(c->conf.store, &st);
	if (!st.synced)
		return;
	n = claims_pools(c->conf.store, c->conf.node, &arena, &pools);
	sync_set_pools(c->sync, pools, n, claims_now());
	arena_free(&arena);
	claims_tell_settings(c);
	c->naddrs = naddrs;
	for (unsigned i = 0; i < naddrs; i++)
		c->addrs[i] = addrs[i];
	claims_tell_node(c);
	tell_nodes(c);
	if (!c->started) {
		c->started = true;
		claims_tell_leases(c);
		sync_start(c->sync, claims_now());
	}
	claims_drive(c);
}

const struct node_claims *claims_blocks(const struct claims *c)
{
	return &c->blocks;
}

const char *claims_why(const struct claims *c)
{
	struct sync_status st;

	sync_status(c->sync, &st);
	if (st.stopped)
		return st.stopped_why;
	if (st.taken)
		return "a block of this node belongs to another owner in the API (see errors): no "
		       "address is given from it";
	return "";
}

unsigned claims_problems(const struct claims *c, const char *const **lines)
{
	*lines = (const char *const *)c->lines;
	return c->nlines;
}

void claims_status(const struct claims *c, struct sync_status *out)
{
	sync_status(c->sync, out);
}

void claims_read_again(struct claims *c, const struct addr *a)
{
	struct prefix host = prefix_host(a);

	for (unsigned i = 0; i < c->blocks.n; i++)
		if (prefix_covers(&c->blocks.v[i].cidr, &host))
			sync_hint_changed(c->sync, IPAMOBJ_BLOCK, &c->blocks.v[i].cidr,
					  claims_now());
	claims_drive(c);
}

int claims_release_leak(struct claims *c, const struct addr *a, const char *handle_id,
			struct err *err)
{
	int rc = sync_release_leak(c->sync, a, handle_id, claims_now(), err);

	claims_drive(c);
	return rc;
}

struct claims *claims_new(const struct claims_conf *conf, struct err *err)
{
	struct claims *c = xcalloc(1, sizeof(*c));
	struct sync_conf sync = { .node = conf->node };

	c->conf = *conf;
	if (state_instance(conf->state_dir, c->instance, err) < 0) {
		free(c);
		return NULL;
	}
	sync.instance = c->instance;
	sync.seed = ipamobj_host_hash(c->instance);
	c->sync = sync_new(&sync, &sync_ops, c);
	c->collect = collect_new(conf->node, sync.seed, &collect_ops, c);
	ev_timer_init(&c->tick, on_tick, 0., 0.);
	ev_timer_init(&c->leases, on_leases, leases_delay, 0.);
	claims_node_init(c);
	claims_pools_init(c);
	c->tick.data = c->leases.data = c;
	LIST_INIT(&c->calls);
	LIST_INIT(&c->settlings);
	return c;
}

void claims_free(struct claims *c)
{
	struct claims_call *call;
	struct claims_settling *s;

	if (!c)
		return;
	ev_timer_stop(c->conf.loop, &c->tick);
	ev_timer_stop(c->conf.loop, &c->leases);
	ev_timer_stop(c->conf.loop, &c->sign);
	sync_free(c->sync);
	collect_free(c->collect);
	while ((call = LIST_FIRST(&c->calls))) {
		LIST_REMOVE(call, next);
		free(call);
	}
	while ((s = LIST_FIRST(&c->settlings))) {
		LIST_REMOVE(s, next);
		arena_free(&s->arena);
		free(s);
	}
	for (unsigned i = 0; i < c->nlines; i++)
		free(c->lines[i]);
	claims_pools_free(c);
	claims_told_free(c);
	free(c->block_v);
	free(c);
}
