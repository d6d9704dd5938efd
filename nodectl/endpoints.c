#include "config.h"

#include "nodectl/client.h"
#include "nodectl/json.h"
#include "nodectl/nodectl.h"
#include "nodectl/rows.h"

static struct json_object *endpoint_to_json(const struct m_ctl_endpoint *e)
{
	struct json_object *o = json_object_new_object(), *labels = json_object_new_object();
	struct json_object *addresses = json_object_new_array();
	char buf[WORD];

	for (uint32_t i = 0; i < e->addresses.n; i++)
		json_object_array_add(addresses, j_string(host_text(buf, &e->addresses.v[i])));
	for (uint32_t i = 0; i < e->labels.n; i++)
		json_object_object_add(labels, e->labels.v[i].key, j_string(e->labels.v[i].value));
	j_text(o, "namespace", e->namespace_);
	j_text(o, "name", e->name);
	j_text(o, "containerID", e->container_id);
	j_text(o, "ifname", e->ifname);
	j_text(o, "host", e->host);
	json_object_object_add(o, "addresses", addresses);
	json_object_object_add(o, "labels", labels);
	j_texts(o, "policies", &e->policies);
	j_bool(o, "ready", e->ready);
	return o;
}

struct json_object *endpoints_to_json(const struct rows *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < r->endpoints.n; i++)
		json_object_array_add(list, endpoint_to_json(r->endpoints.v[i]));
	return list;
}

static const char *addresses_text(char buf[512], const msg_prefix_list *list)
{
	char one[WORD];
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < list->n && n < 400; i++)
		n += (size_t)snprintf(buf + n, 512 - n, "%s%s", i ? " " : "",
				      host_text(one, &list->v[i]));
	return n ? buf : "-";
}

void endpoints_to_text(const struct out *to, const struct rows *r)
{
	static const struct column columns[] = {
		{ "NAMESPACE", false }, { "NAME", false },   { "ADDRESSES", false },
		{ "HOST", false },	{ "IFNAME", false }, { "CONTAINER", false },
		{ "READY", false },	{ NULL, false },
	};
	struct table *t = table_new(to, columns, 0);
	char buf[512];

	for (unsigned i = 0; i < r->endpoints.n; i++) {
		const struct m_ctl_endpoint *e = r->endpoints.v[i];

		cell(t, PLAIN, "%s", or_dash(e->namespace_));
		cell(t, PLAIN, "%s", or_dash(e->name));
		cell(t, PLAIN, "%s", addresses_text(buf, &e->addresses));
		cell(t, PLAIN, "%s", or_dash(e->host));
		cell(t, PLAIN, "%s", or_dash(e->ifname));
		cell(t, DIM, "%.12s", e->container_id);
		cell(t, e->ready ? GOOD : BAD, "%s", e->ready ? "yes" : "no");
	}
	table_end(t);
}

int cmd_endpoints(struct call *c)
{
	struct m_ctl_query q = { .what = CTL_ENDPOINTS, .name = "" };
	struct arena arena = { 0 };
	struct rows r = { 0 };
	int status = EXIT_FINE;
	struct err err;
	enum answer a = ctl_ask(c->rundir, CTL_FELIX, &q, &arena, rows_keep, &r, &err);

	if (a != ANSWER_OK)
		status = complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s",
				  err.text);
	else if (c->json)
		j_print(c->to.f, endpoints_to_json(&r));
	else if (r.endpoints.n)
		endpoints_to_text(&c->to, &r);
	else
		say(&c->to, PLAIN, "no endpoints on this node\n");
	rows_free(&r);
	arena_free(&arena);
	return status;
}
