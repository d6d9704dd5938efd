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

/* From this share of a pool on, whoever runs the cluster has to see it. */
static bool ends_soon(const struct m_ctl_pool *p)
{
	return p->size > 0 && p->claimed >= p->size - p->size / 10;
}

static struct json_object *node_to_json(const struct m_ctl_node_use *n)
{
	struct json_object *o = json_object_new_object();

	j_text(o, "node", n->node);
	j_count(o, "blocks", n->blocks);
	j_count(o, "size", n->size);
	j_count(o, "used", n->used);
	return o;
}

struct json_object *ipam_all_to_json(const struct rows *r)
{
	struct json_object *o = ipam_to_json(r), *nodes = json_object_new_array();
	struct json_object *pools = json_object_object_get(o, "pools");

	for (unsigned i = 0; i < r->pools.n; i++) {
		const struct m_ctl_pool *p = r->pools.v[i];
		struct json_object *pool = json_object_array_get_idx(pools, i);

		j_text(pool, "name", p->name);
		if (!p->whole)
			continue;
		j_count(pool, "claimed", p->claimed);
		json_object_object_add(pool, "endsSoon", json_object_new_boolean(ends_soon(p)));
	}
	for (unsigned i = 0; i < r->nodes.n; i++)
		json_object_array_add(nodes, node_to_json(r->nodes.v[i]));
	json_object_object_add(o, "nodes", nodes);
	return o;
}

static void nodes_to_text(const struct out *to, const struct rows *r)
{
	static const struct column columns[] = {
		{ "NODE", false }, { "BLOCKS", true }, { "SIZE", true },
		{ "USED", true },  { NULL, false },
	};
	struct table *t = table_new(to, columns, 0);

	for (unsigned i = 0; i < r->nodes.n; i++) {
		const struct m_ctl_node_use *n = r->nodes.v[i];

		cell(t, PLAIN, "%s", *n->node ? n->node : "(no node)");
		cell(t, PLAIN, "%u", n->blocks);
		cell(t, PLAIN, "%llu", (unsigned long long)n->size);
		cell(t, PLAIN, "%llu", (unsigned long long)n->used);
	}
	table_end(t);
}

void ipam_all_to_text(const struct out *to, const struct rows *r)
{
	ipam_to_text(to, r, 0);
	if (r->nodes.n)
		nodes_to_text(to, r);
	for (unsigned i = 0; i < r->pools.n; i++) {
		const struct m_ctl_pool *p = r->pools.v[i];

		if (p->whole && ends_soon(p))
			say(to, WARN,
			    "pool %s: %llu of %llu addresses lie in claimed blocks; add an IPPool "
			    "before it is exhausted\n",
			    p->name, (unsigned long long)p->claimed, (unsigned long long)p->size);
	}
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
	struct m_ctl_query q = { .what = CTL_IPAM_ALL, .name = "" };
	struct arena arena = { 0 };
	struct rows r = { 0 };
	int status = EXIT_FINE;
	struct err err;
	enum answer a = ctl_ask(c->rundir, CTL_FELIX, &q, &arena, rows_keep, &r, &err);

	if (a != ANSWER_OK)
		status = complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s",
				  err.text);
	else if (c->json)
		j_print(c->to.f, ipam_all_to_json(&r));
	else
		ipam_all_to_text(&c->to, &r);
	rows_free(&r);
	arena_free(&arena);
	return status;
}
