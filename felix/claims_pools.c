/* How much of each pool lies in claimed blocks, of whatever node: looked at now and then, for the
 * metrics and for a word in the log before a pool is exhausted. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "felix/claims_impl.h"
#include "ipam/sync_obj.h"
#include "lib/log.h"
#include "store/ipam_api.h"

/* Many nodes look, so each looks rarely and at a time of its own; s. */
static const double first_look = 30., look_every = 600.;

static bool ends_soon(const struct claims_pool *p)
{
	return p->size > 0 && p->claimed >= p->size - p->size / 10;
}

static void look_again(struct claims *c, double base)
{
	ev_timer_stop(c->conf.loop, &c->pools_timer);
	ev_timer_set(&c->pools_timer, base * (0.5 + rand_r(&c->pools_seed) / (double)RAND_MAX), 0.);
	ev_timer_start(c->conf.loop, &c->pools_timer);
}

static void warn(const struct claims_pool *p)
{
	log_obj(LOG_WARN, "ipam", "pool", p->name,
		"%llu of %llu addresses lie in claimed blocks; add an IPPool before it is "
		"exhausted",
		(unsigned long long)p->claimed, (unsigned long long)p->size);
}

static bool was_ending(const struct claims *c, const struct prefix *cidr)
{
	for (unsigned i = 0; i < c->npools; i++)
		if (prefix_eq(&c->pools[i].cidr, cidr))
			return ends_soon(&c->pools[i]);
	return false;
}

static void count(struct claims_pool *p, const struct ipamobj_reply *r)
{
	struct prefix block;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct ipamobj_meta *m = r->objects[i];

		if (obj_name_to_cidr(m->name, &block) && prefix_covers(&p->cidr, &block))
			p->claimed += prefix_size(&block);
	}
}

static void on_names(void *arg, const struct ipamobj_reply *r)
{
	struct claims *c = arg;
	unsigned n;
	const struct object *const *v = store_list(c->conf.store, KIND_IPPOOL, &n);
	struct claims_pool *pools;

	c->pools_asked = false;
	look_again(c, look_every);
	if (r->result != IPAMOBJ_OK)
		return;
	pools = xcalloc(n + 1u, sizeof(*pools));
	for (unsigned i = 0; i < n; i++) {
		const struct spec_ippool *s = v[i]->spec;

		pools[i] = (struct claims_pool){ .cidr = s->cidr, .size = prefix_size(&s->cidr) };
		snprintf(pools[i].name, sizeof(pools[i].name), "%s", v[i]->name);
		count(&pools[i], r);
		if (ends_soon(&pools[i]) && !was_ending(c, &s->cidr))
			warn(&pools[i]);
	}
	free(c->pools);
	c->pools = pools;
	c->npools = n;
}

static void on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct claims *c = w->data;
	const struct ipamobj_request rq = { .verb = IPAMOBJ_NAMES,
					    .kind = IPAMOBJ_BLOCK,
					    .label_selector = "" };

	(void)loop;
	(void)revents;
	if (c->pools_asked)
		return;
	c->pools_asked = true;
	store_ipam_request(c->conf.store, &rq, on_names, c);
}

void claims_pools_init(struct claims *c)
{
	ev_timer_init(&c->pools_timer, on_look, 0., 0.);
	c->pools_timer.data = c;
	c->pools_seed = ipamobj_host_hash(c->instance);
	look_again(c, first_look);
}

void claims_pools_free(struct claims *c)
{
	ev_timer_stop(c->conf.loop, &c->pools_timer);
	free(c->pools);
}

const struct claims_pool *claims_pool_use(const struct claims *c, unsigned *n)
{
	*n = c->npools;
	return c->pools;
}
