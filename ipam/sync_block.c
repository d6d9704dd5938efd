#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ipam/sync_impl.h"

enum owner own_owner(const struct sync *s, const struct own *o)
{
	if (o->block_known != PRESENT)
		return OWNER_NONE;
	if (o->block->deleted)
		return OWNER_DYING;
	if (!o->block->affinity[0])
		return OWNER_FREE;
	return obj_is_host(o->block->affinity, s->node) ? OWNER_US : OWNER_OTHER;
}

void own_forget_block(struct own *o)
{
	o->block_known = UNKNOWN;
	o->written = false;
}

void own_drop_affinity(struct own *o, enum known k)
{
	o->aff_known = k;
	o->aff = NULL;
	arena_reset(&o->aff_arena);
}

void own_set_affinity(struct sync *s, struct own *o, const struct ipamobj_affinity *f)
{
	bool other = f->instance[0] && strcmp(f->instance, s->instance) != 0;

	/* One that was ours, or that a claim of ours has just come upon, bears another daemon's
	 * mark: it is alive. What stood there before the first reading is a predecessor's. */
	if (other && !f->deleted && o->adopted) {
		stop_twin(s, f->meta.name, f->instance);
		return;
	}
	arena_reset(&o->aff_arena);
	o->aff = obj_copy_affinity(&o->aff_arena, f);
	o->aff_known = PRESENT;
	o->adopted |= !other && f->instance[0];
}

static const char *result_name(enum ipamobj_result r)
{
	static const char *const names[] = { "ok",	  "already exists", "conflict", "not found",
					     "no answer", "not reachable",  "busy",	"refused" };
	return names[r];
}

void own_retry(struct sync *s, struct own *o, const struct ipamobj_reply *r, const char *doing)
{
	char text[PREFIX_STRLEN];

	if (r->result != IPAMOBJ_REFUSED) {
		/* The gate waits. */
		o->tries++;
		return;
	}
	o->retry_at = s->now.ms + SYNC_REFUSED_RETRY + gate_random(&s->gate, SYNC_REFUSED_RETRY);
	if (!o->told)
		say_problem(s, SYNC_REFUSED, prefix_format(&o->cidr, text, sizeof(text)),
			    "%s of block %s: the API answers: %s (%s): check the node's rights",
			    doing, prefix_format(&o->cidr, text, sizeof(text)),
			    r->why && r->why[0] ? r->why : "no reason", result_name(r->result));
	o->told = true;
	claim_refused(s, o, r->why ? r->why : "");
}

/* ---- replies ---- */

static const void *first(const struct ipamobj_reply *r)
{
	return r->n ? r->objects[0] : NULL;
}

static void got_affinity(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct own *o = obj;
	const struct ipamobj_affinity *f = first(r);

	o->call = 0;
	if (r->result == IPAMOBJ_OK && f)
		own_set_affinity(s, o, f);
	else if (r->result == IPAMOBJ_NOT_FOUND)
		own_drop_affinity(o, ABSENT);
	else
		own_retry(s, o, r, "reading the affinity");
}

static void wrote_affinity(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct own *o = obj;
	const struct ipamobj_affinity *f = first(r);

	o->call = 0;
	switch (r->result) {
	case IPAMOBJ_OK:
		o->aff_known = UNKNOWN;
		if (f)
			own_set_affinity(s, o, f);
		break;
	case IPAMOBJ_EXISTS:
		/* Read before this claim, it was not there: whose mark it bears tells a twin. */
		o->adopted = true;
		own_drop_affinity(o, UNKNOWN);
		break;
	case IPAMOBJ_CONFLICT:
	case IPAMOBJ_NOT_FOUND:
	case IPAMOBJ_UNKNOWN:
		own_drop_affinity(o, UNKNOWN);
		break;
	default:
		own_retry(s, o, r, "writing the affinity");
	}
}

static void deleted_affinity(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct own *o = obj;

	o->call = 0;
	if (r->result == IPAMOBJ_OK || r->result == IPAMOBJ_NOT_FOUND)
		own_drop_affinity(o, ABSENT);
	else if (r->result == IPAMOBJ_CONFLICT || r->result == IPAMOBJ_UNKNOWN)
		own_drop_affinity(o, UNKNOWN);
	else
		own_retry(s, o, r, "deleting the affinity");
}

static void got_block(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct own *o = obj;
	const struct ipamobj_block *b = first(r);

	o->call = 0;
	if (r->result == IPAMOBJ_OK && b)
		own_set_block(s, o, b, false);
	else if (r->result == IPAMOBJ_NOT_FOUND)
		o->block_known = ABSENT;
	else
		own_retry(s, o, r, "reading");
}

static void wrote_block(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct own *o = obj;
	const struct ipamobj_block *b = first(r);

	o->call = 0;
	if (r->result == IPAMOBJ_OK) {
		own_forget_block(o);
		if (b)
			own_set_block(s, o, b, true);
	} else if (r->result == IPAMOBJ_EXISTS || r->result == IPAMOBJ_CONFLICT ||
		   r->result == IPAMOBJ_NOT_FOUND || r->result == IPAMOBJ_UNKNOWN) {
		own_forget_block(o);
	} else {
		own_retry(s, o, r, "writing");
	}
}

static void deleted_block(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct own *o = obj;

	o->call = 0;
	own_forget_block(o);
	if (r->result == IPAMOBJ_OK || r->result == IPAMOBJ_NOT_FOUND)
		o->block_known = ABSENT;
	else if (r->result != IPAMOBJ_CONFLICT && r->result != IPAMOBJ_UNKNOWN)
		own_retry(s, o, r, "deleting");
}

/* ---- requests ---- */

static void read_affinity(struct sync *s, struct own *o)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_request r = { .verb = IPAMOBJ_GET,
				     .kind = IPAMOBJ_AFFINITY,
				     .name = ipamobj_affinity_name(s->node, &o->cidr, name) };

	o->call = send_request(s, &r, got_affinity, o);
}

static void read_block(struct sync *s, struct own *o)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_request r = { .verb = IPAMOBJ_GET,
				     .kind = IPAMOBJ_BLOCK,
				     .name = ipamobj_block_name(&o->cidr, name) };

	o->call = send_request(s, &r, got_block, o);
}

static void create_affinity(struct sync *s, struct own *o)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_affinity f = {
		.meta = { ipamobj_affinity_name(s->node, &o->cidr, name), "", "", "", 0 },
		.node = s->node,
		.type = "host",
		.cidr = o->cidr,
		.state = IPAMOBJ_PENDING,
		.instance = s->instance,
	};
	struct ipamobj_request r = { .verb = IPAMOBJ_CREATE,
				     .kind = IPAMOBJ_AFFINITY,
				     .object = &f };

	o->call = send_request(s, &r, wrote_affinity, o);
}

static void update_affinity(struct sync *s, struct own *o, enum ipamobj_state state)
{
	struct ipamobj_affinity f = *o->aff;
	struct ipamobj_request r = { .verb = IPAMOBJ_UPDATE,
				     .kind = IPAMOBJ_AFFINITY,
				     .object = &f };

	f.state = state;
	f.instance = s->instance;
	o->call = send_request(s, &r, wrote_affinity, o);
}

/* A DELETE with uid and version is atomic in the API, as Calico's deleted:true and DELETE with the
 * uid are together, in one request. */
static void delete_object(struct sync *s, struct own *o, enum ipamobj_kind kind,
			  const struct ipamobj_meta *m,
			  void (*done)(void *, void *, const struct ipamobj_reply *))
{
	struct ipamobj_request r = { .verb = IPAMOBJ_DELETE,
				     .kind = kind,
				     .name = m->name,
				     .uid = m->uid,
				     .resource_version = m->resource_version };

	o->call = send_request(s, &r, done, o);
}

static void create_block(struct sync *s, struct own *o)
{
	struct arena a = { 0 };
	struct ipamobj_request r = { .verb = IPAMOBJ_CREATE, .kind = IPAMOBJ_BLOCK };

	r.object = obj_new_block(&a, &o->cidr, s->node, s->set.strict_affinity, s->now.unix_ns);
	o->call = send_request(s, &r, wrote_block, o);
	arena_free(&a);
}

void own_put_block(struct sync *s, struct own *o, const struct ipamobj_block *b)
{
	struct ipamobj_request r = { .verb = IPAMOBJ_UPDATE, .kind = IPAMOBJ_BLOCK, .object = b };

	o->call = send_request(s, &r, wrote_block, o);
}

/* Makes the block ours (again), and its version a new one: who had read it to take it away will
 * conflict. */
static void touch_block(struct sync *s, struct own *o)
{
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, o->block);

	if (!b->affinity[0])
		b->claim_time = obj_rfc3339(&a, s->now.unix_ns / 1000000000);
	b->affinity = arena_printf(&a, "host:%s", s->node);
	b->sequence++;
	own_put_block(s, o, b);
	arena_free(&a);
}

/* ---- steps ---- */

static void lose(struct sync *s, struct own *o)
{
	char text[PREFIX_STRLEN];
	bool was = o->ours || o->restored;

	o->want = o->ours = o->restored = o->releasing = false;
	o->taken = was || own_has_leases(s, o);
	o->tries = 0;
	if (o->taken) {
		prefix_format(&o->cidr, text, sizeof(text));
		say_problem(s, SYNC_TAKEN, text,
			    "block %s of this node belongs to %s now: nothing more is given from "
			    "it%s",
			    text, o->block->affinity[0] ? o->block->affinity : "nobody",
			    own_has_leases(s, o) ? "; pods of this node still have addresses in it "
						   "and must be started anew"
						 : "");
	}
	lose_settling(s, o);
	say_blocks(s);
	claim_ended(s, o, false);
}

static void become_ours(struct sync *s, struct own *o)
{
	bool was = o->ours && !o->doubt && !o->restored;

	o->ours = true;
	o->doubt = o->restored = o->taken = o->told = false;
	o->tries = 0;
	if (was)
		return;
	say_blocks(s);
	follow_soon(s, o, false);
	claim_ended(s, o, true);
}

/* The block is not in the API, and should be. true: a request was sent. */
static bool step_missing(struct sync *s, struct own *o)
{
	if (o->ours && !o->doubt) {
		o->doubt = true;
		say_blocks(s);
	}
	/* Taken away while this node was gone or its affinity forgotten: worth a new claim only
	 * where pods live in it. */
	if ((o->ours || o->restored) && !own_has_leases(s, o)) {
		o->want = o->ours = o->restored = false;
		say_blocks(s);
		return false;
	}
	create_block(s, o);
	return true;
}

static bool may_take_free(const struct sync *s, const struct own *o)
{
	return o->ours || o->restored || obj_block_empty(o->block) || own_has_leases(s, o);
}

static void step_have(struct sync *s, struct own *o)
{
	enum owner owner = own_owner(s, o);

	if (owner == OWNER_OTHER || (owner == OWNER_FREE && !may_take_free(s, o))) {
		lose(s, o);
		return;
	}
	if (s->suspended) {
		/* The Node is gone: what is there is followed, nothing is made. */
		if (owner == OWNER_US && o->ours)
			follow(s, o);
		return;
	}
	if (o->aff_known == PRESENT && o->aff->deleted) {
		delete_object(s, o, IPAMOBJ_AFFINITY, &o->aff->meta, deleted_affinity);
		return;
	}
	if (owner == OWNER_DYING) {
		delete_object(s, o, IPAMOBJ_BLOCK, &o->block->meta, deleted_block);
		return;
	}
	if (o->aff_known == ABSENT) {
		create_affinity(s, o);
		return;
	}
	/* Whoever was deleting it (a collector, we before) must conflict from here on. */
	if (o->aff->state == IPAMOBJ_PENDING_DELETION) {
		update_affinity(s, o, IPAMOBJ_PENDING);
		return;
	}
	if (owner == OWNER_NONE) {
		step_missing(s, o);
		return;
	}
	if (owner == OWNER_FREE || (o->aff->state == IPAMOBJ_PENDING && !o->written)) {
		touch_block(s, o);
		return;
	}
	if (claim_verifying(s, o))
		return;
	if (o->aff->state != IPAMOBJ_CONFIRMED || strcmp(o->aff->instance, s->instance) != 0) {
		update_affinity(s, o, IPAMOBJ_CONFIRMED);
		return;
	}
	become_ours(s, o);
	follow(s, o);
}

static void step_drop(struct sync *s, struct own *o)
{
	enum owner owner = own_owner(s, o);

	if (owner == OWNER_US && !o->taken &&
	    (!obj_block_empty(o->block) || own_has_leases(s, o) || !obj_block_sane(o->block))) {
		/* It is in use after all. */
		o->want = true;
		o->releasing = false;
		say_blocks(s);
		return;
	}
	if (owner == OWNER_DYING) {
		delete_object(s, o, IPAMOBJ_BLOCK, &o->block->meta, deleted_block);
		return;
	}
	if (owner == OWNER_US && o->taken) {
		/* The other gave it back to us. */
		o->want = true;
		return;
	}
	if (owner == OWNER_US) {
		if (o->aff_known == PRESENT && !o->aff->deleted &&
		    o->aff->state != IPAMOBJ_PENDING_DELETION)
			update_affinity(s, o, IPAMOBJ_PENDING_DELETION);
		else
			delete_object(s, o, IPAMOBJ_BLOCK, &o->block->meta, deleted_block);
		return;
	}
	if (o->aff_known == PRESENT) {
		delete_object(s, o, IPAMOBJ_AFFINITY, &o->aff->meta, deleted_affinity);
		return;
	}
	if (!own_has_leases(s, o)) {
		own_remove(s, o);
		return;
	}
	/* Pods live in a block that is not ours. It may become free again. */
	if (owner != OWNER_OTHER) {
		o->want = true;
		return;
	}
	o->retry_at = s->now.ms + SYNC_TAKEN_RETRY;
	own_forget_block(o);
	later(s, o->retry_at);
}

void step_own(struct sync *s, struct own *o)
{
	if (o->taken && !o->want && o->aff_known == ABSENT && !o->call && !own_has_leases(s, o)) {
		own_remove(s, o);
		return;
	}
	if (o->call)
		return;
	if (s->now.ms < o->retry_at) {
		later(s, o->retry_at);
		return;
	}
	if (!gate_open(&s->gate, s->now.ms, &s->wake))
		return;
	if (o->aff_known == UNKNOWN)
		read_affinity(s, o);
	else if (o->block_known == UNKNOWN)
		read_block(s, o);
	else if (o->want)
		step_have(s, o);
	/* The owner must have heard that a block is given up before anything is written. */
	else if (!s->blocks_changed)
		step_drop(s, o);
}
