#include "config.h"

#include "nodectl/client.h"
#include "nodectl/json.h"
#include "nodectl/nodectl.h"
#include "nodectl/rows.h"

static struct json_object *pool_to_json(const struct m_ctl_pool *p)
{
	struct json_object *o = json_object_new_object();

	j_prefix(o, "cidr", &p->cidr);
	j_count(o, "size", p->size);
	j_count(o, "used", p->used);
	return o;
}

static struct json_object *block_to_json(const struct m_ctl_block *b)
{
	struct json_object *o = json_object_new_object();

	j_prefix(o, "cidr", &b->cidr);
	j_count(o, "size", b->size);
	j_count(o, "used", b->used);
	j_count(o, "free", b->free);
	j_count(o, "cooling", b->cooling);
	return o;
}

struct json_object *ipam_to_json(const struct rows *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *pools = json_object_new_array(), *blocks = json_object_new_array();

	for (unsigned i = 0; i < r->pools.n; i++)
		json_object_array_add(pools, pool_to_json(r->pools.v[i]));
	for (unsigned i = 0; i < r->blocks.n; i++)
		json_object_array_add(blocks, block_to_json(r->blocks.v[i]));
	json_object_object_add(o, "pools", pools);
	json_object_object_add(o, "blocks", blocks);
	return o;
}

static void pools_to_text(const struct out *to, const struct rows *r, unsigned indent)
{
	static const struct column columns[] = {
		{ "POOL", false }, { "CIDR", false }, { "SIZE", true },
		{ "USED", true },  { NULL, false },
	};
	struct table *t = table_new(to, columns, indent);
	char buf[WORD];

	for (unsigned i = 0; i < r->pools.n; i++) {
		const struct m_ctl_pool *p = r->pools.v[i];

		cell(t, PLAIN, "%s", or_dash(p->name));
		cell(t, PLAIN, "%s", prefix_text(buf, &p->cidr));
		cell(t, PLAIN, "%s", size_text(buf, &p->cidr, p->size));
		cell(t, PLAIN, "%llu", (unsigned long long)p->used);
	}
	table_end(t);
}

static void blocks_to_text(const struct out *to, const struct rows *r, unsigned indent)
{
	static const struct column columns[] = {
		{ "BLOCK", false }, { "SIZE", true },	 { "USED", true },
		{ "FREE", true },   { "COOLING", true }, { NULL, false },
	};
	struct table *t = table_new(to, columns, indent);
	char buf[WORD];

	for (unsigned i = 0; i < r->blocks.n; i++) {
		const struct m_ctl_block *b = r->blocks.v[i];

		cell(t, PLAIN, "%s", prefix_text(buf, &b->cidr));
		cell(t, PLAIN, "%s", size_text(buf, &b->cidr, b->size));
		cell(t, PLAIN, "%llu", (unsigned long long)b->used);
		cell(t, b->free ? PLAIN : BAD, "%llu", (unsigned long long)b->free);
		cell(t, PLAIN, "%llu", (unsigned long long)b->cooling);
	}
	table_end(t);
}

void ipam_to_text(const struct out *to, const struct rows *r, unsigned indent)
{
	if (r->pools.n)
		pools_to_text(to, r, indent);
	else
		say(to, WARN, "%*sno address pools\n", (int)indent, "");
	if (r->blocks.n)
		blocks_to_text(to, r, indent);
	else
		say(to, WARN, "%*sthis node holds no block\n", (int)indent, "");
}

int cmd_ipam_show(struct call *c)
{
	struct m_ctl_query q = { .what = CTL_IPAM, .name = "" };
	struct arena arena = { 0 };
	struct rows r = { 0 };
	int status = EXIT_FINE;
	struct err err;
	enum answer a = ctl_ask(c->rundir, CTL_FELIX, &q, &arena, rows_keep, &r, &err);

	if (a != ANSWER_OK)
		status = complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s",
				  err.text);
	else if (c->json)
		j_print(c->to.f, ipam_to_json(&r));
	else
		ipam_to_text(&c->to, &r, 0);
	rows_free(&r);
	arena_free(&arena);
	return status;
}
