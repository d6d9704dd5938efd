/* One engine over test/unit/sim_api.h, with every callback written down and single answers bent. */
#ifndef SELVAGE_TEST_SYNC_RIG_H
#define SELVAGE_TEST_SYNC_RIG_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ipam/collect.h"
#include "ipam/sync.h"
#include "ipam/sync_obj.h"
#include "ipam/sync_state.h"
#include "test/unit/sim_api.h"
#include "test/unit/unit.h"

struct rig {
	struct sim sim;
	struct sync *sync;
	/* The next request of this verb and kind is answered so; done: carried out all the same. */
	struct bend {
		bool on, done;
		enum ipamobj_verb verb;
		enum ipamobj_kind kind;
		enum ipamobj_result result;
		uint32_t retry_after;
		unsigned times;
	} bend;
	uint64_t bent[16];
	unsigned nbent;
	char log[8192];	   /* "POST aff n1-10-0-0-0-26 pending\n" ... writes only */
	char events[8192]; /* "claimed 1 0\n" ... */
	unsigned writes, reads;
	bool alive;
	const char *pods_on; /* a node that has pods; NULL none */
	struct ipam_block_use use[16];
	unsigned nuse;
};

static inline struct sync_now rig_now(const struct rig *r)
{
	return (struct sync_now){ r->sim.now, (r->sim.epoch_s * 1000 + r->sim.now) * 1000000 };
}

static inline void __attribute__((format(printf, 3, 4)))
rig_add(char *to, size_t size, const char *fmt, ...)
{
	size_t n = strlen(to);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to + n, size - n, fmt, ap);
	va_end(ap);
}

static inline void rig_log(struct rig *r, const struct ipamobj_request *q)
{
	static const char *const verbs[] = { "GET", "LIST", "NAMES", "POST", "PUT", "DELETE" };
	static const char *const kinds[] = { "block", "aff", "handle" };
	static const char *const states[] = { "confirmed", "pending", "pendingDeletion" };

	if (q->verb < IPAMOBJ_CREATE) {
		r->reads++;
		return;
	}
	r->writes++;
	const struct ipamobj_meta *m = q->object;
	rig_add(r->log, sizeof(r->log), "%s %s %s%s%s\n", verbs[q->verb], kinds[q->kind],
		q->object ? m->name : q->name, q->object && q->kind == IPAMOBJ_AFFINITY ? " " : "",
		q->object && q->kind == IPAMOBJ_AFFINITY
			? states[((const struct ipamobj_affinity *)q->object)->state]
			: "");
}

static inline void rig_request(void *arg, uint64_t id, const struct ipamobj_request *q)
{
	struct rig *r = arg;
	struct bend *b = &r->bend;

	rig_log(r, q);
	if (!b->on || b->verb != q->verb || b->kind != q->kind) {
		sim_send(&r->sim, r, 0, id, q);
		return;
	}
	b->on = --b->times > 0;
	if (b->done) {
		struct arena a = { 0 };

		sim_apply(&r->sim, q, &a);
		arena_free(&a);
	}
	r->bent[r->nbent++] = id;
}

static inline void rig_bend(struct rig *r, enum ipamobj_verb verb, enum ipamobj_kind kind,
			    enum ipamobj_result result, bool done)
{
	r->bend = (struct bend){ true, done, verb, kind, result, 0, 1 };
}

static inline void rig_blocks(void *arg)
{
	struct rig *r = arg;

	rig_add(r->events, sizeof(r->events), "blocks\n");
}

static inline void rig_foreign(void *arg, const struct prefix *block, const struct addr *a,
			       bool held)
{
	struct rig *r = arg;
	char text[ADDR_STRLEN];

	(void)block;
	rig_add(r->events, sizeof(r->events), "foreign %s %d\n", addr_format(a, text, sizeof(text)),
		held);
}

static inline void rig_claimed(void *arg, enum family fam, const struct prefix *pool,
			       enum sync_claim result, const char *why)
{
	struct rig *r = arg;

	(void)pool;
	(void)why;
	rig_add(r->events, sizeof(r->events), "claimed %d %d\n", fam, result);
}

static inline void rig_settled(void *arg, const struct addr *a, enum sync_settle result)
{
	struct rig *r = arg;
	char text[ADDR_STRLEN];

	rig_add(r->events, sizeof(r->events), "settled %s %d\n", addr_format(a, text, sizeof(text)),
		result);
}

static inline void rig_problem(void *arg, enum sync_problem kind, const char *object,
			       const char *text)
{
	struct rig *r = arg;

	ck_assert(strlen(text) > 20);
	rig_add(r->events, sizeof(r->events), "problem %d %s\n", kind, object);
}

static inline bool rig_alive(void *arg, const struct sync_alloc *a)
{
	struct rig *r = arg;

	(void)a;
	return r->alive;
}

static inline void rig_deliver(void *arg, void *who, unsigned gen, uint64_t id,
			       const struct ipamobj_reply *r)
{
	struct rig *rig = arg;

	(void)who;
	(void)gen;
	if (rig->sync)
		sync_reply(rig->sync, id, r, rig_now(rig));
}

static const struct sync_ops rig_ops = { rig_request, rig_blocks,  rig_foreign, rig_claimed,
					 rig_settled, rig_problem, rig_alive };

static inline void rig_new(struct rig *r, const char *instance)
{
	struct sync_conf conf = { "n1", instance, 1, 0 };
	struct sync_pool pool = { .block_size = 26 };
	struct sync_settings set = { .strict_affinity = true,
				     .auto_allocate_blocks = true,
				     .nodes = 1 };

	prefix_parse("10.0.0.0/24", &pool.cidr);
	r->sync = sync_new(&conf, &rig_ops, r);
	sync_set_settings(r->sync, &set, rig_now(r));
	sync_set_pools(r->sync, &pool, 1, rig_now(r));
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	sim_init(&r->sim, 1);
	r->sim.latency_max = 1;
	r->sim.epoch_s = 1800000000;
	r->sim.deliver = rig_deliver;
	r->sim.arg = r;
	rig_new(r, "me");
	r->events[0] = 0;
}

/* The daemon is killed and starts anew, with another mark where the state dir was lost. */
static inline void rig_restart(struct rig *r, const char *instance)
{
	sync_free(r->sync);
	r->sync = NULL;
	while (sim_next(&r->sim) != UINT64_MAX)
		sim_step(&r->sim);
	rig_new(r, instance);
	r->nbent = 0;
	r->bend.on = false;
	r->log[0] = r->events[0] = 0;
	r->writes = r->reads = 0;
}

static inline void rig_free(struct rig *r)
{
	sync_free(r->sync);
	sim_free(&r->sim);
}

/* Runs for ms milliseconds. */
static inline void rig_run(struct rig *r, uint64_t ms)
{
	uint64_t until = r->sim.now + ms;

	for (unsigned turns = 0;; turns++) {
		uint64_t t = sim_next(&r->sim), n = sync_next(r->sync), least = t < n ? t : n;

		ck_assert_uint_lt(turns, 200000);
		if (r->nbent) {
			struct ipamobj_reply bent = { .result = r->bend.result,
						      .retry_after = r->bend.retry_after,
						      .why = "because" };
			uint64_t id = r->bent[--r->nbent];

			sync_reply(r->sync, id, &bent, rig_now(r));
			continue;
		}
		if (least > until)
			break;
		if (least > r->sim.now)
			r->sim.now = least;
		if (t <= least)
			sim_step(&r->sim);
		else
			sync_tick(r->sync, rig_now(r));
	}
	r->sim.now = until;
}

/* ---- what others write ---- */

static inline void rig_put_block(struct rig *r, const char *cidr, const char *affinity)
{
	struct arena a = { 0 };
	struct prefix p;

	prefix_parse(cidr, &p);
	struct ipamobj_block *b = obj_new_block(&a, &p, "x", true, 1000);
	struct ipamobj_request q = { .verb = IPAMOBJ_CREATE, .kind = IPAMOBJ_BLOCK, .object = b };
	b->affinity = affinity;
	ck_assert_int_eq(sim_apply(&r->sim, &q, &a).result, IPAMOBJ_OK);
	arena_free(&a);
}

static inline void rig_put_affinity(struct rig *r, const char *cidr, enum ipamobj_state state,
				    const char *instance)
{
	struct arena a = { 0 };
	char name[IPAMOBJ_NAME];
	struct ipamobj_affinity f = { .node = "n1", .type = "host", .instance = instance };
	struct ipamobj_request q = { .verb = IPAMOBJ_CREATE,
				     .kind = IPAMOBJ_AFFINITY,
				     .object = &f };

	prefix_parse(cidr, &f.cidr);
	f.state = state;
	f.meta = (struct ipamobj_meta){ ipamobj_affinity_name("n1", &f.cidr, name), "", "", "", 0 };
	ck_assert_int_eq(sim_apply(&r->sim, &q, &a).result, IPAMOBJ_OK);
	arena_free(&a);
}

static inline const struct ipamobj_block *rig_block(struct rig *r, const char *name)
{
	return sim_get(&r->sim, IPAMOBJ_BLOCK, name);
}

static inline const struct ipamobj_affinity *rig_affinity(struct rig *r, const char *name)
{
	return sim_get(&r->sim, IPAMOBJ_AFFINITY, name);
}

/* Another writer takes (handle not NULL) or frees an address of a block. */
static inline void rig_alloc(struct rig *r, const char *name, uint32_t ordinal, const char *handle,
			     const char *node, const char *type)
{
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, rig_block(r, name));
	struct ipamobj_kv kv[2] = { { "node", node }, { "type", type ? type : "" } };
	struct ipamobj_attr at = { handle, type ? 2 : 1, kv, "", "" };
	struct ipamobj_request q = { .verb = IPAMOBJ_UPDATE, .kind = IPAMOBJ_BLOCK, .object = b };

	if (handle)
		obj_take_ordinal(b, ordinal, &at);
	else
		obj_free_ordinal(b, ordinal);
	b->sequence++;
	ck_assert_int_eq(sim_apply(&r->sim, &q, &a).result, IPAMOBJ_OK);
	arena_free(&a);
}

static inline const char *rig_holder(struct rig *r, const char *name, uint32_t ordinal)
{
	const struct ipamobj_block *b = rig_block(r, name);
	const struct ipamobj_attr *at = b ? obj_attr(b, ordinal) : NULL;

	return at ? at->handle_id : "";
}

static inline void rig_lease(struct rig *r, const char *addr, const char *handle)
{
	struct sync_lease l = { .handle_id = handle,
				.pod = "web",
				.namespace_ = "shop",
				.since = r->sim.epoch_s + r->sim.now / 1000 };

	addr_parse(addr, &l.addr);
	sync_lease_add(r->sync, &l, rig_now(r));
}

static inline void rig_unlease(struct rig *r, const char *addr)
{
	struct addr a;

	addr_parse(addr, &a);
	sync_lease_del(r->sync, &a, rig_now(r));
}

/* "10.0.0.0/26 allocate advertise\n" a line. */
static inline const char *rig_list(struct rig *r)
{
	static char out[1024];
	char text[PREFIX_STRLEN];

	out[0] = 0;
	for (unsigned i = 0; i < sync_block_count(r->sync); i++) {
		struct sync_block b;

		sync_block_at(r->sync, i, &b);
		rig_add(out, sizeof(out), "%s%s%s%s\n", prefix_format(&b.cidr, text, sizeof(text)),
			b.allocate ? " allocate" : "", b.advertise ? " advertise" : "",
			b.taken ? " taken" : "");
	}
	return out;
}

#endif
