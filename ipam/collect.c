#include "config.h"

#include "ipam/collect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/collect_impl.h"

enum {
	FIRST_CYCLE = 60000,
	CYCLE = 300000,
	DEAD_AGE = 900000,
	JOB_TRIES = 10,
};

/* ---- nodes ---- */

static unsigned live_index(const struct collect *c, const char *name, bool *found)
{
	unsigned lo = 0, hi = c->nlive;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (strcmp(c->live[mid], name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < c->nlive && strcmp(c->live[lo], name) == 0;
	return lo;
}

static bool is_live(const struct collect *c, const char *name)
{
	bool found;

	live_index(c, name, &found);
	return found;
}

static struct absent *absent_find(const struct collect *c, const char *name)
{
	for (unsigned i = 0; i < c->nabsent; i++)
		if (strcmp(c->absent[i].node, name) == 0)
			return &c->absent[i];
	return NULL;
}

static void absent_add(struct collect *c, const char *name)
{
	if (absent_find(c, name))
		return;
	c->absent = xrealloc(c->absent, (c->nabsent + 1) * sizeof(*c->absent));
	c->absent[c->nabsent++] = (struct absent){ xstrdup(name), c->now.ms };
}

bool collect_is_dead(struct collect *c, const char *node)
{
	const struct absent *x = absent_find(c, node);

	return c->nodes_known && x && !is_live(c, node) && c->now.ms >= x->since + DEAD_AGE &&
	       !c->ops->node_has_pods(c->arg, node);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

bool collect_elected(const struct collect *c)
{
	const char *best = NULL;
	uint32_t most = 0;

	for (unsigned i = 0; i < c->nlive && c->nodes_known; i++) {
		uint32_t h = obj_hash(c->live[i]) * 2654435761u;

		if (best && h <= most)
			continue;
		best = c->live[i];
		most = h;
	}
	return best && strcmp(best, c->node) == 0;
}

void collect_set_nodes(struct collect *c, const char *const *names, unsigned n, struct sync_now now)
{
	char **old = c->live;
	unsigned nold = c->nlive;

	c->now = now;
	c->live = xcalloc(n, sizeof(*c->live));
	c->nlive = n;
	for (unsigned i = 0; i < n; i++)
		c->live[i] = xstrdup(names[i]);
	qsort(c->live, n, sizeof(*c->live), by_name);
	for (unsigned i = 0; i < nold; i++)
		if (!is_live(c, old[i]))
			absent_add(c, old[i]);
	free_names(old, nold);
	for (unsigned i = c->nabsent; i-- > 0;) {
		if (!is_live(c, c->absent[i].node))
			continue;
		free(c->absent[i].node);
		c->absent[i] = c->absent[--c->nabsent];
	}
	if (!c->nodes_known)
		c->cycle_at = now.ms + FIRST_CYCLE + gate_random(&c->gate, FIRST_CYCLE);
	c->nodes_known = true;
	if (c->cycle_at < c->wake)
		c->wake = c->cycle_at;
}

void collect_forget_nodes(struct collect *c)
{
	c->nodes_known = false;
	for (unsigned i = 0; i < c->nabsent; i++)
		free(c->absent[i].node);
	c->nabsent = 0;
}

/* ---- observations ---- */

/* How long this has been seen in each cycle; the first time 0. */
static uint64_t observed(struct collect *c, uint64_t key)
{
	for (unsigned i = 0; i < c->nseen; i++)
		if (c->seen[i].key == key) {
			c->seen[i].cycle = c->cycle;
			return c->now.ms - c->seen[i].since;
		}
	c->seen = xrealloc(c->seen, (c->nseen + 1) * sizeof(*c->seen));
	c->seen[c->nseen++] = (struct seen){ key, c->now.ms, c->cycle };
	return 0;
}

static void forget_unseen(struct collect *c)
{
	for (unsigned i = c->nseen; i-- > 0;)
		if (c->seen[i].cycle != c->cycle)
			c->seen[i] = c->seen[--c->nseen];
}

static uint64_t key_of(const char *a, const char *b, uint32_t n)
{
	return (uint64_t)obj_hash(a) << 32 ^ obj_hash(b) ^ (uint64_t)n << 20;
}

/* ---- what a cycle finds ---- */

static struct job *job_add(struct collect *c, enum job_kind kind)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->kind = kind;
	j->next = NULL;
	*c->jobs_tail = j;
	c->jobs_tail = &j->next;
	return j;
}

static bool is_leak(struct collect *c, const struct ipamobj_block *b, uint32_t i, const char *owner)
{
	const struct ipamobj_attr *at = obj_attr(b, i);
	const char *node = at ? obj_secondary(at, "node") : "";
	char name[IPAMOBJ_NAME];

	if (!at || obj_secondary(at, "type")[0])
		return false;
	/* Without a node's name it is its block owner's. */
	if (!node[0])
		node = owner;
	if (!node[0] || !collect_is_dead(c, node))
		return false;
	struct sync_alloc al = { addr_add(&b->cidr.addr, i), at->handle_id,
				 obj_secondary(at, "pod"), obj_secondary(at, "namespace"), node };
	if (c->ops->alive(c->arg, &al))
		return false;
	return observed(c, key_of(ipamobj_block_name(&b->cidr, name), at->handle_id, i)) >=
	       SYNC_LEAK_AGE;
}

static void look_at_block(struct collect *c, const struct ipamobj_block *b)
{
	const char *owner = strncmp(b->affinity, "host:", 5) == 0 ? b->affinity + 5 : "";
	bool dead = owner[0] && collect_is_dead(c, owner);
	struct job *j = NULL;

	if (owner[0] && !is_live(c, owner))
		absent_add(c, owner);
	if (b->deleted || (b->affinity[0] && !owner[0]) || !obj_block_sane(b))
		return;
	if (dead && obj_block_empty(b))
		j = job_add(c, JOB_BLOCK);
	for (uint32_t i = 0; i < b->size; i++) {
		if (!is_leak(c, b, i, owner))
			continue;
		if (!j)
			j = job_add(c, JOB_BLOCK);
		j->frees = xrealloc(j->frees, (j->nfrees + 1) * sizeof(*j->frees));
		j->frees[j->nfrees++] = (struct job_free){ i, xstrdup(obj_attr(b, i)->handle_id) };
	}
	if (!j)
		return;
	j->cidr = b->cidr;
	j->node = xstrdup(dead ? owner : "");
}

static void look_at_handles(struct collect *c, const struct ipamobj_reply *blocks)
{
	const uint64_t now_s = c->now.unix_ns / 1000000000;
	struct text_set used = { 0 };
	char name[IPAMOBJ_NAME];

	for (uint32_t i = 0; i < blocks->n; i++) {
		const struct ipamobj_block *b = blocks->objects[i];

		for (uint32_t k = 0; k < b->nattrs; k++)
			text_set_add(&used, ipamobj_handle_name(b->attrs[k].handle_id, name));
	}
	text_set_sort(&used);
	for (unsigned i = 0; i < c->nhandles; i++) {
		const struct ipamobj_meta *h = &c->handles[i];

		/* Its writer mentions it in a block within seconds; ten minutes are many of them.
		 */
		if (text_set_has(&used, h->name) ||
		    (h->created && now_s < h->created + ORPHAN_AGE) ||
		    observed(c, key_of(h->uid, h->resource_version, 0)) < SYNC_LEAK_AGE)
			continue;
		struct job *j = job_add(c, JOB_HANDLE);
		j->name = xstrdup(h->name);
		j->uid = xstrdup(h->uid);
		j->version = xstrdup(h->resource_version);
	}
	text_set_free(&used);
}

/* Affinities of dead nodes whose block is gone or another's. */
static void look_at_affinities(struct collect *c, const struct ipamobj_reply *blocks)
{
	for (unsigned i = 0; i < c->naffinities; i++) {
		const struct ipamobj_affinity *f = c->affinities[i];
		bool has_block = false;

		if (f->type[0] && strcmp(f->type, "host") != 0)
			continue;
		if (!is_live(c, f->node))
			absent_add(c, f->node);
		if (!collect_is_dead(c, f->node))
			continue;
		for (uint32_t k = 0; k < blocks->n; k++) {
			const struct ipamobj_block *b = blocks->objects[k];

			has_block |= prefix_eq(&b->cidr, &f->cidr) && !b->deleted &&
				     obj_is_host(b->affinity, f->node);
		}
		if (has_block)
			continue;
		struct job *j = job_add(c, JOB_BLOCK);
		j->cidr = f->cidr;
		j->node = xstrdup(f->node);
	}
}

/* ---- the lists ---- */

static void end_cycle(struct collect *c)
{
	c->phase = PHASE_IDLE;
	c->cycle_at = c->now.ms + CYCLE * 4 / 5 + gate_random(&c->gate, CYCLE * 2 / 5);
	arena_reset(&c->lists);
	c->nhandles = c->naffinities = 0;
}

static void got_handles(struct collect *c, const struct ipamobj_reply *r)
{
	c->handles = arena_array(&c->lists, r->n, sizeof(*c->handles));
	for (uint32_t i = 0; i < r->n; i++) {
		const struct ipamobj_meta *m = r->objects[i];

		c->handles[i] = (struct ipamobj_meta){ arena_strdup(&c->lists, m->name),
						       arena_strdup(&c->lists, m->uid),
						       arena_strdup(&c->lists, m->resource_version),
						       "", m->created };
	}
	c->nhandles = r->n;
}

static void got_affinities(struct collect *c, const struct ipamobj_reply *r)
{
	c->affinities = arena_array(&c->lists, r->n, sizeof(*c->affinities));
	for (uint32_t i = 0; i < r->n; i++)
		c->affinities[i] = obj_copy_affinity(&c->lists, r->objects[i]);
	c->naffinities = r->n;
}

static void got_list(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct collect *c = engine;

	(void)obj;
	c->call = 0;
	if (r->result == IPAMOBJ_REFUSED)
		end_cycle(c);
	if (r->result != IPAMOBJ_OK)
		return;
	switch (c->phase) {
	case PHASE_HANDLES:
		got_handles(c, r);
		c->phase = PHASE_AFFINITIES;
		break;
	case PHASE_AFFINITIES:
		got_affinities(c, r);
		c->phase = PHASE_BLOCKS;
		break;
	case PHASE_BLOCKS:
		look_at_affinities(c, r);
		for (uint32_t i = 0; i < r->n; i++)
			look_at_block(c, r->objects[i]);
		look_at_handles(c, r);
		forget_unseen(c);
		c->phase = PHASE_JOBS;
		break;
	default:
		break;
	}
}

/* Handles before blocks: who writes a handle writes the block after it, so a handle that was there
 * and is in no block now was in none then. */
static void step_list(struct collect *c)
{
	static const struct {
		enum ipamobj_verb verb;
		enum ipamobj_kind kind;
	} what[] = {
		[PHASE_HANDLES] = { IPAMOBJ_NAMES, IPAMOBJ_HANDLE },
		[PHASE_AFFINITIES] = { IPAMOBJ_LIST, IPAMOBJ_AFFINITY },
		[PHASE_BLOCKS] = { IPAMOBJ_LIST, IPAMOBJ_BLOCK },
	};
	struct ipamobj_request r = { .verb = what[c->phase].verb,
				     .kind = what[c->phase].kind,
				     .label_selector = "" };

	collect_send(c, &r, got_list, NULL);
}

/* ---- the round ---- */

void collect_send(struct collect *c, const struct ipamobj_request *r,
		  void (*done)(void *engine, void *obj, const struct ipamobj_reply *r), void *obj)
{
	c->call = gate_begin(&c->gate, r, done, obj);
	c->ops->request(c->arg, c->call, r);
}

void collect_say(struct collect *c, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->ops->collected(c->arg, text);
}

static void job_free_one(struct collect *c)
{
	struct job *j = c->jobs;

	c->jobs = j->next;
	if (!c->jobs)
		c->jobs_tail = &c->jobs;
	for (unsigned i = 0; i < j->nfrees; i++)
		free(j->frees[i].handle_id);
	free(j->frees);
	free(j->node);
	free(j->name);
	free(j->uid);
	free(j->version);
	arena_free(&j->aff_arena);
	arena_free(&j->block_arena);
	free(j);
}

static void run(struct collect *c)
{
	c->wake = UINT64_MAX;
	while (c->nodes_known && !c->call) {
		if (c->phase == PHASE_IDLE && c->now.ms < c->cycle_at) {
			c->wake = c->cycle_at;
			return;
		}
		if (c->phase == PHASE_IDLE && !collect_elected(c)) {
			/* What was seen while another worked says nothing of now. */
			c->nseen = 0;
			end_cycle(c);
			continue;
		}
		if (c->phase == PHASE_IDLE) {
			c->phase = PHASE_HANDLES;
			c->cycle++;
		}
		if (c->phase == PHASE_JOBS && !c->jobs) {
			end_cycle(c);
			continue;
		}
		if (!gate_open(&c->gate, c->now.ms, &c->wake))
			return;
		if (c->phase != PHASE_JOBS)
			step_list(c);
		else if (c->jobs->tries > JOB_TRIES || !collect_step_job(c, c->jobs))
			job_free_one(c);
	}
}

void collect_tick(struct collect *c, struct sync_now now)
{
	c->now = now;
	run(c);
}

uint64_t collect_next(const struct collect *c)
{
	return c->call ? UINT64_MAX : c->wake;
}

void collect_reply(struct collect *c, uint64_t id, const struct ipamobj_reply *r,
		   struct sync_now now)
{
	struct gate_call call;

	c->now = now;
	if (gate_end(&c->gate, id, r, now.ms, &call))
		call.done(c, call.obj, r);
	run(c);
}

struct collect *collect_new(const char *node, uint32_t seed, const struct collect_ops *ops,
			    void *arg)
{
	struct collect *c = xcalloc(1, sizeof(*c));

	c->node = xstrdup(node);
	c->ops = ops;
	c->arg = arg;
	c->jobs_tail = &c->jobs;
	c->wake = UINT64_MAX;
	gate_init(&c->gate, seed);
	return c;
}

void collect_free(struct collect *c)
{
	if (!c)
		return;
	while (c->jobs)
		job_free_one(c);
	collect_forget_nodes(c);
	free(c->absent);
	free_names(c->live, c->nlive);
	free(c->seen);
	arena_free(&c->lists);
	free(c->node);
	free(c);
}
