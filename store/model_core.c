/* Kubernetes' own kinds that BGP needs: Service, EndpointSlice, Secret. */
#include "config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "store/model.h"

/* ---- Service ---- */

struct ingress_read {
	const char *ip;
};

#define AT(member) offsetof(struct service_read, member)
static const char *const type_words[] = { "ClusterIP", "NodePort", "LoadBalancer", "ExternalName",
					  NULL };
static const struct field service_spec_fields[] = {
	{ "type", F_ENUM, AT(s.type), .words = type_words },
	FIELD("clusterIP", F_STR, AT(cluster_ip)),
	{ "clusterIPs", F_LIST, AT(cluster_ips), .item = F_STR },
	{ "externalIPs", F_LIST, AT(external_ips), .item = F_STR },
	FIELD("loadBalancerIP", F_STR, AT(asked)),
	FIELD("externalTrafficPolicy", F_STR, AT(policy)),
	{ "ipFamilies", F_LIST, AT(families), .item = F_STR },
	FIELDS_END,
};
static const struct field ingress_fields[] = {
	FIELD("ip", F_STR, offsetof(struct ingress_read, ip)),
	FIELDS_END,
};
static const struct field load_balancer_fields[] = {
	{ "ingress", F_LIST, AT(ingress), .item = F_MAP, .item_size = sizeof(struct ingress_read),
	  .sub = ingress_fields },
	FIELDS_END,
};
static const struct field service_status_fields[] = {
	{ "loadBalancer", F_MAP, 0, .sub = load_balancer_fields },
	FIELDS_END,
};
const struct field service_fields[] = {
	{ "spec", F_MAP, 0, .sub = service_spec_fields },
	{ "status", F_MAP, 0, .sub = service_status_fields },
	FIELDS_END,
};
#undef AT

struct service_check {
	struct service_read *r;
	const struct node *doc;
	struct object *o;
	struct problems *p;
	int rc;
};

static void service_wrong(struct service_check *c, const char *part, const char *key,
			  const char *value, const char *expected)
{
	const struct node *in = node_get(c->doc, part), *at = node_get(in, key);

	problem_add(c->p, c->o->file,
		    at	 ? at
		    : in ? in
			 : c->doc,
		    "Service \"%s\": %s.%s: \"%.80s\" is not allowed here; expected %s", c->o->name,
		    part, key, value, expected);
	c->rc = -1;
}

static void add_ip(struct service_check *c, struct field_list *to, const char *text,
		   const char *part, const char *key)
{
	struct addr *a = (struct addr *)to->v + to->n;

	if (!*text)
		return;
	if (addr_parse(text, a))
		service_wrong(c, part, key, text, "an address");
	else
		to->n++;
}

static void add_ips(struct service_check *c, struct field_list *to, const struct field_list *from,
		    const char *key)
{
	if (from->n)
		to->v = arena_array(&c->o->arena, from->n, sizeof(struct addr));
	for (uint32_t i = 0; i < from->n; i++)
		add_ip(c, to, ((const char **)from->v)[i], "spec", key);
}

static void read_cluster_ips(struct service_check *c)
{
	struct service_read *r = c->r;
	const char *first = r->cluster_ips.n ? ((const char **)r->cluster_ips.v)[0] : "";

	if (!strcmp(r->cluster_ip, "None") || !strcmp(first, "None")) {
		r->s.headless = true;
		return;
	}
	add_ips(c, &r->s.cluster_ips, &r->cluster_ips, "clusterIPs");
	if (r->cluster_ips.n || !*r->cluster_ip)
		return;
	r->s.cluster_ips.v = arena_alloc(&c->o->arena, sizeof(struct addr));
	add_ip(c, &r->s.cluster_ips, r->cluster_ip, "spec", "clusterIP");
}

static void read_lb_ips(struct service_check *c)
{
	struct service_read *r = c->r;
	const struct ingress_read *v = r->ingress.v;
	struct field_list asked = { 0, &r->s.lb_asked };

	add_ip(c, &asked, r->asked, "spec", "loadBalancerIP");
	if (!asked.n)
		r->s.lb_asked = (struct addr){ 0 };
	if (r->ingress.n || asked.n)
		r->s.lb_ips.v = arena_array(&c->o->arena, r->ingress.n + 1, sizeof(struct addr));
	for (uint32_t i = 0; i < r->ingress.n; i++)
		add_ip(c, &r->s.lb_ips, v[i].ip, "status", "loadBalancer");
	/* The API always has a status; a file that has none means what it asks for. */
	if (asked.n && !node_get(c->doc, "status"))
		((struct addr *)r->s.lb_ips.v)[r->s.lb_ips.n++] = r->s.lb_asked;
}

static void read_families(struct service_check *c)
{
	struct spec_service *s = &c->r->s;
	const struct addr *ips = s->cluster_ips.v;

	for (uint32_t i = 0; i < c->r->families.n; i++) {
		const char *text = ((const char **)c->r->families.v)[i];

		if (!strcmp(text, "IPv4"))
			s->families |= 1u << FAM_V4;
		else if (!strcmp(text, "IPv6"))
			s->families |= 1u << FAM_V6;
		else
			service_wrong(c, "spec", "ipFamilies", text, "IPv4 or IPv6");
	}
	for (uint32_t i = 0; !c->r->families.n && i < s->cluster_ips.n; i++)
		s->families |= (uint8_t)(1u << ips[i].fam);
}

int finish_service(void *spec, const struct node *doc, struct object *o, struct problems *p)
{
	struct service_read *r = spec;
	struct service_check c = { r, doc, o, p, 0 };

	r->s.local = !strcmp(r->policy, "Local");
	r->s.cluster = !strcmp(r->policy, "Cluster");
	if (*r->policy && !r->s.local && !r->s.cluster)
		service_wrong(&c, "spec", "externalTrafficPolicy", r->policy, "Cluster or Local");
	read_cluster_ips(&c);
	add_ips(&c, &r->s.external_ips, &r->external_ips, "externalIPs");
	read_lb_ips(&c);
	read_families(&c);
	return c.rc;
}

/* ---- EndpointSlice ---- */

static const char *const address_words[] = { "IPv4", "IPv6", "FQDN", NULL };
static const uint8_t address_families[] = { FAM_V4, FAM_V6, FAM_NONE };

struct endpoint_read {
	const char *node;
	bool ready;
};

static const struct field condition_fields[] = {
	/* What is not said is ready, as the API has it. */
	{ "ready", F_BOOL, offsetof(struct endpoint_read, ready), .def = "true" },
	FIELDS_END,
};
static const struct field endpoint_fields[] = {
	FIELD("nodeName", F_STR, offsetof(struct endpoint_read, node)),
	{ "conditions", F_MAP, 0, .sub = condition_fields },
	FIELDS_END,
};
const struct field slice_fields[] = {
	{ "addressType", F_ENUM, offsetof(struct slice_read, address_type), .required = true,
	  .words = address_words },
	{ "endpoints", F_LIST, offsetof(struct slice_read, endpoints), .item = F_MAP,
	  .item_size = sizeof(struct endpoint_read), .sub = endpoint_fields },
	FIELDS_END,
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts, keeps each once, and puts them into the object's arena. */
static void keep_nodes(struct field_list *out, const char **v, unsigned n, struct arena *arena)
{
	unsigned kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_text);
	for (unsigned i = 0; i < n; i++)
		if (!kept || strcmp(v[kept - 1], v[i]) != 0)
			v[kept++] = v[i];
	size_t bytes = 0, at = 0;

	for (unsigned i = 0; i < kept; i++)
		bytes += strlen(v[i]) + 1;
	const char **to = arena_array(arena, kept, sizeof(*to));
	char *texts = arena_alloc(arena, bytes);

	for (unsigned i = 0; i < kept; i++) {
		to[i] = strcpy(texts + at, v[i]);
		at += strlen(v[i]) + 1;
	}
	*out = (struct field_list){ kept, to };
}

int finish_slice(void *spec, const struct node *doc, struct object *o, struct problems *p)
{
	struct slice_read *r = spec;
	const struct endpoint_read *v = r->endpoints.v;
	const char **nodes = xmalloc((r->endpoints.n + 1) * sizeof(*nodes));
	unsigned n = 0;

	(void)doc;
	(void)p;
	r->s.service = "";
	for (uint32_t i = 0; i < o->labels.n; i++)
		if (!strcmp(o->labels.v[i].key, "kubernetes.io/service-name"))
			r->s.service = arena_strdup(&o->arena, o->labels.v[i].value);
	r->s.family = address_families[r->address_type];
	for (uint32_t i = 0; i < r->endpoints.n; i++) {
		r->s.any_ready |= v[i].ready;
		if (v[i].ready && *v[i].node)
			nodes[n++] = v[i].node;
	}
	keep_nodes(&r->s.ready_nodes, nodes, n, &o->arena);
	free(nodes);
	return 0;
}

/* ---- Secret ---- */

/* Read by hand, for no message may show a value. */
const struct field secret_fields[] = {
	FIELD("data", F_RAW, offsetof(struct secret_read, data)),
	FIELD("stringData", F_RAW, offsetof(struct secret_read, string_data)),
	FIELDS_END,
};

static int secret_wrong(struct problems *p, const struct object *o, const struct node *at,
			const char *part, const char *key, const char *what)
{
	problem_add(p, o->file, at, "Secret \"%s\": %s%s%.80s: %s", o->name, part, *key ? "." : "",
		    key, what);
	return -1;
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* RFC 4648 section 4; line breaks, which YAML's block texts bring along, are passed over. */
static int base64_decode(const char *text, char *out, uint32_t *len)
{
	uint32_t bits = 0, n = 0, digits = 0, pads = 0;

	*len = 0;
	for (; *text; text++) {
		int d = base64_digit(*text);

		if (strchr(" \t\r\n", *text))
			continue;
		if (*text == '=' && ++pads <= 2)
			continue;
		if (d < 0 || pads)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		n += 6;
		digits++;
		if (n >= 8) {
			n -= 8;
			out[(*len)++] = (char)(bits >> n & 0xff);
		}
	}
	out[*len] = 0;
	return (digits + pads) % 4 || digits % 4 == 1 ? -1 : 0;
}

static struct secret_item *secret_item(struct spec_secret *s, const char *key)
{
	struct secret_item *v = s->items.v;

	for (uint32_t i = 0; i < s->items.n; i++)
		if (!strcmp(v[i].key, key))
			return &v[i];
	return &v[s->items.n++];
}

static int read_item(struct spec_secret *s, const struct node *x, bool coded, struct object *o,
		     struct problems *p)
{
	const char *part = coded ? "data" : "stringData";
	const char *text = x->kind == NODE_SCALAR ? x->text : "";
	char *bytes = arena_alloc(&o->arena, strlen(text) + 1);
	uint32_t len = (uint32_t)strlen(text);

	if (x->kind != NODE_SCALAR && x->kind != NODE_NULL)
		return secret_wrong(p, o, x, part, x->key, "expected a text");
	if (!coded)
		memcpy(bytes, text, len);
	else if (base64_decode(text, bytes, &len))
		return secret_wrong(p, o, x, part, x->key,
				    "is not base64; encode it, or write it under stringData");
	*secret_item(s, x->key) =
		(struct secret_item){ arena_strdup(&o->arena, x->key), bytes, len };
	return 0;
}

int finish_secret(void *spec, const struct node *doc, struct object *o, struct problems *p)
{
	struct secret_read *r = spec;
	struct spec_secret *s = &r->s;
	/* In this order, for stringData wins in the API too. */
	const struct node *maps[] = { r->data, r->string_data };
	unsigned room = 0;
	int rc = 0;

	(void)doc;
	for (unsigned i = 0; i < 2; i++) {
		if (maps[i] && maps[i]->kind != NODE_MAP)
			return secret_wrong(p, o, maps[i], i ? "stringData" : "data", "",
					    "expected a mapping, like {key: value}");
		room += maps[i] ? maps[i]->nchildren : 0;
	}
	s->items.v = arena_array(&o->arena, room + 1, sizeof(struct secret_item));
	for (unsigned i = 0; i < 2; i++)
		for (const struct node *x = maps[i] ? maps[i]->child : NULL; x; x = x->next)
			rc |= read_item(s, x, i == 0, o, p);
	return rc;
}
