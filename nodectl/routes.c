#include "config.h"

#include <string.h>

#include "nodectl/client.h"
#include "nodectl/json.h"
#include "nodectl/nodectl.h"
#include "nodectl/rows.h"

static const char *origin_name(unsigned origin)
{
	static const char *const names[] = { "igp", "egp", "incomplete" }; /* RFC 4271 5.1.1 */

	return origin < sizeof(names) / sizeof(names[0]) ? names[origin] : "?";
}

static struct json_object *path_to_json(const struct m_ctl_path *p)
{
	struct json_object *o = json_object_new_object(), *as = json_object_new_array();

	for (uint32_t i = 0; i < p->as_path.n; i++)
		json_object_array_add(as, json_object_new_uint64(p->as_path.v[i].v));
	j_text(o, "peer", p->peer);
	j_addr(o, "nextHop", &p->nexthop);
	json_object_object_add(o, "asPath", as);
	j_count(o, "localPref", p->local_pref);
	if (p->has_med)
		j_count(o, "med", p->med);
	else
		j_null(o, "med");
	j_text(o, "origin", origin_name(p->origin));
	j_texts(o, "communities", &p->communities);
	j_bool(o, "best", p->best);
	j_bool(o, "multipath", p->multipath);
	j_text(o, "reason", p->reason);
	j_bool(o, "stale", p->stale);
	return o;
}

struct json_object *route_to_json(const struct m_ctl_route *route)
{
	struct json_object *o = json_object_new_object(), *paths = json_object_new_array();

	for (uint32_t i = 0; i < route->paths.n; i++)
		json_object_array_add(paths, path_to_json(&route->paths.v[i]));
	j_prefix(o, "prefix", &route->prefix);
	json_object_object_add(o, "paths", paths);
	j_bool(o, "installed", route->installed);
	j_texts(o, "advertisedTo", &route->advertised_to);
	return o;
}

struct table *routes_table(const struct out *to)
{
	static const struct column columns[] = {
		{ "", false },	   { "PREFIX", false }, { "NEXT HOP", false }, { "PEER", false },
		{ "PREF", true },  { "MED", true },	{ "AS PATH", false },  { "", false },
		{ "NOTE", false }, { NULL, false },
	};

	return table_new(to, columns, 0);
}

/* What a person wants to know beyond the columns. */
static const char *note(char buf[512], const struct m_ctl_route *r, const struct m_ctl_path *p,
			bool first)
{
	size_t n = 0;

	buf[0] = '\0';
	if (p && p->stale)
		n += (size_t)snprintf(buf + n, 512 - n, "stale ");
	if (p && p->reason[0])
		n += (size_t)snprintf(buf + n, 512 - n, "%.200s ", p->reason);
	if (first && r->advertised_to.n)
		n += (size_t)snprintf(buf + n, 512 - n, "to ");
	for (uint32_t i = 0; first && i < r->advertised_to.n && n < 400; i++)
		n += (size_t)snprintf(buf + n, 512 - n, "%.100s%s", r->advertised_to.v[i].text,
				      i + 1 < r->advertised_to.n ? "," : "");
	return buf;
}

/* One line a path; "*" the best, "=" one beside it, ">" in the kernel. */
static void path_to_table(struct table *t, const struct m_ctl_route *r, const struct m_ctl_path *p,
			  bool first)
{
	enum colour colour = p->best ? GOOD : p->stale ? WARN : PLAIN;
	char buf[512];

	cell(t, colour, "%s%s",
	     p->best	    ? "*"
	     : p->multipath ? "="
			    : " ",
	     r->installed && (p->best || p->multipath) ? ">" : " ");
	cell(t, first ? BOLD : PLAIN, "%s", first ? prefix_text(buf, &r->prefix) : "");
	cell(t, PLAIN, "%s", addr_text(buf, &p->nexthop));
	cell(t, PLAIN, "%s", p->peer[0] ? p->peer : "local");
	cell(t, PLAIN, "%u", p->local_pref);
	if (p->has_med)
		cell(t, PLAIN, "%u", p->med);
	else
		cell(t, PLAIN, "-");
	cell(t, PLAIN, "%s", or_dash(p->as_path_text));
	cell(t, DIM, "%s", origin_name(p->origin));
	cell(t, DIM, "%s", note(buf, r, p, first));
}

void route_to_table(struct table *t, const struct m_ctl_route *route)
{
	char buf[512];

	for (uint32_t i = 0; i < route->paths.n; i++)
		path_to_table(t, route, &route->paths.v[i], i == 0);
	if (route->paths.n)
		return;
	cell(t, PLAIN, "%s", route->installed ? " >" : "  ");
	cell(t, BOLD, "%s", prefix_text(buf, &route->prefix));
	for (int i = 0; i < 6; i++)
		cell(t, PLAIN, "%s", i < 5 ? "-" : "");
	cell(t, DIM, "%s", note(buf, route, NULL, true));
}

/* Rows are printed as they come and forgotten. */
struct listing {
	struct call *c;
	struct arena *arena;
	struct table *table;
	unsigned n;
};

static void on_route(void *arg, const struct msg *row)
{
	struct listing *l = arg;

	if (row->type == M_CTL_ROUTE) {
		if (l->c->json) {
			fputs(l->n ? ",\n" : "[\n", l->c->to.f);
			j_write(l->c->to.f, route_to_json(row->body));
		} else {
			if (!l->table)
				l->table = routes_table(&l->c->to);
			route_to_table(l->table, row->body);
		}
		l->n++;
	}
	arena_reset(l->arena);
}

static int read_args(struct call *c, struct m_ctl_query *q)
{
	*q = (struct m_ctl_query){ .what = CTL_ROUTES, .name = "" };
	if ((c->in != NULL) + (c->out != NULL) + c->best > 1)
		return complain(EXIT_USAGE, "give only one of --in, --out and --best");
	if (c->in) {
		q->filter = CTL_ROUTE_IN;
		q->name = c->in;
	} else if (c->out) {
		q->filter = CTL_ROUTE_OUT;
		q->name = c->out;
	} else if (c->best) {
		q->filter = CTL_ROUTE_BEST;
	}
	if (c->nargs && prefix_parse(c->args[0], &q->prefix))
		return complain(EXIT_USAGE,
				"\"%s\" is no prefix or address; expected something "
				"like 10.0.0.0/24 or 2001:db8::1",
				c->args[0]);
	return EXIT_FINE;
}

static int finish(struct listing *l, enum answer a, const struct err *err)
{
	struct call *c = l->c;

	if (l->table)
		table_end(l->table);
	/* A list that broke off stays open, so that no parser takes it for the whole. */
	if (c->json && a == ANSWER_OK)
		fputs(l->n ? "\n]\n" : "[]\n", c->to.f);
	if (a != ANSWER_OK)
		return complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s",
				err->text);
	if (!l->n && !c->nargs && !c->json)
		say(&c->to, PLAIN, "no routes\n");
	if (l->n || !c->nargs)
		return EXIT_FINE;
	return complain(EXIT_WRONG, "no such route: %s", c->args[0]);
}

int cmd_routes(struct call *c)
{
	struct arena arena = { 0 };
	struct listing l = { .c = c, .arena = &arena };
	struct m_ctl_query q;
	enum answer a;
	struct err err;
	int status = read_args(c, &q);

	if (status)
		return status;
	a = ctl_ask(c->rundir, CTL_BGPD, &q, &arena, on_route, &l, &err);
	status = finish(&l, a, &err);
	arena_free(&arena);
	return status;
}
