#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ipam/sync.h"
#include "ipam/sync_obj.h"
#include "test/unit/sim_api.h"
#include "test/unit/unit.h"

/* 1,000 nodes, each with the real engine, start at once against pools with room for 1.2 blocks a
 * node and family, and an API that serves 500 requests a second. SYNC_NODES=n for others. */

struct fleet;
struct member {
	struct fleet *f;
	char name[16];
	struct sync *sync;
	unsigned claimed, writes, refused; /* refused: of the writes, those answered 429 */
	uint64_t writing[64];		   /* by id modulo 64: a write's */
};
struct fleet {
	struct sim sim;
	struct member *v;
	unsigned n;
	unsigned peak_later; /* requests in one second after the first three */
	uint64_t start;
};

static struct sync_now now_of(const struct fleet *f)
{
	return (struct sync_now){ f->sim.now, f->sim.now * 1000000 };
}

static void on_request(void *arg, uint64_t id, const struct ipamobj_request *r)
{
	struct member *m = arg;

	bool write =
		r->verb == IPAMOBJ_CREATE || r->verb == IPAMOBJ_UPDATE || r->verb == IPAMOBJ_DELETE;

	m->writes += write;
	m->writing[id % 64] = write ? id : 0;
	sim_send(&m->f->sim, m, 0, id, r);
}

static void on_blocks(void *arg)
{
	(void)arg;
}

static void on_foreign(void *arg, const struct prefix *b, const struct addr *a, bool held)
{
	(void)arg;
	(void)b;
	(void)a;
	(void)held;
}

static void on_claimed(void *arg, enum family fam, const struct prefix *pool,
		       enum sync_claim result, const char *why)
{
	struct member *m = arg;

	(void)pool;
	ck_assert_msg(result == SYNC_CLAIMED || result == SYNC_CLAIM_AWAY, "%s: family %d: %s",
		      m->name, fam, why);
	m->claimed += result == SYNC_CLAIMED;
}

static void on_settled(void *arg, const struct addr *a, enum sync_settle r)
{
	(void)arg;
	(void)a;
	(void)r;
}

static void on_problem(void *arg, enum sync_problem kind, const char *object, const char *text)
{
	struct member *m = arg;

	(void)object;
	ck_abort_msg("%s: problem %d: %s", m->name, kind, text);
}

static bool on_alive(void *arg, const struct sync_alloc *a)
{
	(void)arg;
	(void)a;
	return true;
}

static const struct sync_ops ops = { on_request, on_blocks,  on_foreign, on_claimed,
				     on_settled, on_problem, on_alive };

static void deliver(void *arg, void *who, unsigned gen, uint64_t id, const struct ipamobj_reply *r)
{
	struct member *m = who;

	(void)gen;
	m->refused += r->result == IPAMOBJ_BUSY && m->writing[id % 64] == id;
	sync_reply(m->sync, id, r, now_of(arg));
}

static unsigned member_count(const struct fleet *f)
{
	unsigned done = 0;

	for (unsigned i = 0; i < f->n; i++)
		done += f->v[i].claimed >= 2;
	return done;
}

static void run(struct fleet *f, uint64_t until)
{
	for (;;) {
		uint64_t t = sim_next(&f->sim), least = t;

		for (unsigned i = 0; i < f->n; i++)
			if (sync_next(f->v[i].sync) < least)
				least = sync_next(f->v[i].sync);
		if (least > until)
			break;
		if (least > f->sim.now)
			f->sim.now = least;
		if (t <= least) {
			sim_step(&f->sim);
		} else {
			for (unsigned i = 0; i < f->n; i++)
				if (sync_next(f->v[i].sync) <= f->sim.now)
					sync_tick(f->v[i].sync, now_of(f));
		}
		if (f->sim.now > f->start + 3000 && f->sim.in_second > f->peak_later &&
		    f->sim.second == f->sim.now / 1000)
			f->peak_later = f->sim.in_second;
	}
	f->sim.now = until;
}

/* Pools with room for n * 1.2 blocks: 10.0.0.0/16 cut by reserved blocks would do, but a plain
 * power of two is larger; the rest is taken by a load balancer's. */
static void fill_rest(struct fleet *f, const struct sync_pool *p, unsigned room)
{
	unsigned bits = p->block_size - p->cidr.len, total = 1u << bits;

	for (unsigned i = room; i < total; i++) {
		struct arena a = { 0 };
		unsigned host = family_bits(p->cidr.addr.fam) - p->block_size;
		struct prefix c = { addr_add(&p->cidr.addr, (uint64_t)i << host),
				    (uint8_t)p->block_size };
		struct ipamobj_block *b = obj_new_block(&a, &c, "x", true, 1);
		struct ipamobj_request r = { .verb = IPAMOBJ_CREATE,
					     .kind = IPAMOBJ_BLOCK,
					     .object = b };

		b->affinity = "virtual:lb";
		ck_assert_int_eq(sim_apply(&f->sim, &r, &a).result, IPAMOBJ_OK);
		arena_free(&a);
	}
}

static unsigned block_bits(unsigned room)
{
	unsigned bits = 0;

	while (1u << bits < room)
		bits++;
	return bits;
}

static void fleet_init(struct fleet *f, unsigned n, unsigned known, uint64_t seed)
{
	unsigned room = n * 12 / 10, bits = block_bits(room);
	struct sync_pool pools[2] = { { .block_size = 26 }, { .block_size = 122 } };

	memset(f, 0, sizeof(*f));
	sim_init(&f->sim, seed);
	f->sim.deliver = deliver;
	f->sim.arg = f;
	f->sim.capacity = 500;
	f->n = n;
	f->v = calloc(n, sizeof(*f->v));
	prefix_parse("10.0.0.0/8", &pools[0].cidr);
	prefix_parse("fd00::/64", &pools[1].cidr);
	pools[0].cidr.len = (uint8_t)(26 - bits);
	pools[1].cidr.len = (uint8_t)(122 - bits);
	for (unsigned i = 0; i < 2; i++)
		fill_rest(f, &pools[i], room);
	f->sim.now += 3600000;
	f->start = f->sim.now;
	for (unsigned i = 0; i < n; i++) {
		struct member *m = &f->v[i];

		m->f = f;
		snprintf(m->name, sizeof(m->name), "node-%u", i);
		struct sync_conf conf = { m->name, "i", i + 1, 0 };
		struct sync_settings set = { true, true, 0, false, i % (known ? known : 1), known };
		m->sync = sync_new(&conf, &ops, m);
		sync_set_settings(m->sync, &set, now_of(f));
		sync_set_pools(m->sync, pools, 2, now_of(f));
		sync_start(m->sync, now_of(f));
		sync_want(m->sync, FAM_V4, NULL, now_of(f));
		sync_want(m->sync, FAM_V6, NULL, now_of(f));
	}
}

struct count {
	unsigned blocks, affinities, bad;
	struct fleet *f;
};

static void count_block(void *arg, struct sim_obj *o)
{
	struct count *c = arg;
	const struct ipamobj_block *b = o->obj;
	char name[IPAMOBJ_NAME];

	if (strncmp(b->affinity, "host:", 5) != 0)
		return;
	const struct ipamobj_affinity *f =
		sim_get(&c->f->sim, IPAMOBJ_AFFINITY,
			ipamobj_affinity_name(b->affinity + 5, &b->cidr, name));
	c->blocks++;
	c->bad += !f || f->state != IPAMOBJ_CONFIRMED;
}

static void count_affinity(void *arg, struct sim_obj *o)
{
	struct count *c = arg;

	(void)o;
	c->affinities++;
}

static void check_fleet(struct fleet *f, unsigned max_writes, const char *what)
{
	struct count c = { .f = f };
	uint64_t writes = 0;
	unsigned most = 0, most_sent = 0;

	ck_assert_uint_eq(member_count(f), f->n);
	sim_each(&f->sim, IPAMOBJ_BLOCK, count_block, &c);
	sim_each(&f->sim, IPAMOBJ_AFFINITY, count_affinity, &c);
	/* One a node and family, each with its affinity and nothing besides. */
	ck_assert_uint_eq(c.blocks, 2 * f->n);
	ck_assert_uint_eq(c.affinities, 2 * f->n);
	ck_assert_uint_eq(c.bad, 0);
	for (unsigned i = 0; i < f->n; i++) {
		unsigned done = f->v[i].writes - f->v[i].refused;

		writes += done;
		most = done > most ? done : most;
		most_sent = f->v[i].writes > most_sent ? f->v[i].writes : most_sent;
	}
	printf("%s: %u nodes, %.2f writes a node, at most %u (sent, 429 included: at most %u); "
	       "%" PRIu64 " requests, %" PRIu64 " answered busy, peak %u/s, later %u/s\n",
	       what, f->n, (double)writes / f->n, most, most_sent, f->sim.requests,
	       f->sim.answered_busy, f->sim.peak, f->peak_later);
	ck_assert_uint_le(most, max_writes);
}

static void fleet_free(struct fleet *f)
{
	for (unsigned i = 0; i < f->n; i++)
		sync_free(f->v[i].sync);
	free(f->v);
	sim_free(&f->sim);
}

static unsigned fleet_size(void)
{
	const char *n = getenv("SYNC_NODES");

	return n ? (unsigned)atoi(n) : 1000;
}

/* Each knows its place among the others, as where Node objects are watched. Writes refused as busy
 * count as well. */
START_TEST(known_places)
{
	struct fleet f;

	fleet_init(&f, fleet_size(), fleet_size(), 1);
	run(&f, f.start + 120000);
	check_fleet(&f, 10, "places known");
	fleet_free(&f);
}
END_TEST

/* Nobody knows of the others: the host names' hashes collide. */
START_TEST(unknown_places)
{
	struct fleet f;

	fleet_init(&f, fleet_size() / 4, 0, 2);
	run(&f, f.start + 300000);
	check_fleet(&f, 60, "places unknown");
	fleet_free(&f);
}
END_TEST

UNIT_MAIN("sync_scale", known_places, unknown_places)
