/* One YAML document to objects. */
#include "config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/nodeconf.h"
#include "store/model.h"

enum { LIST_DEPTH = 4 };

struct head {
	const char *api, *kind;
	struct {
		const char *name, *namespace_;
		struct field_kvs labels, annotations;
	} meta;
};

struct reading {
	const char *file;
	uint32_t *position;
	model_cb cb;
	void *arg;
	struct problems *problems;
	bool *anonymous;
};

#define META(member) offsetof(struct head, meta.member)
static const struct field meta_fields[] = {
	FIELD("name", F_STR, META(name)),
	FIELD("namespace", F_STR, META(namespace_)),
	FIELD("labels", F_KV, META(labels)),
	FIELD("annotations", F_KV, META(annotations)),
	FIELD_IGNORE("generateName"),
	FIELD_IGNORE("uid"),
	FIELD_IGNORE("resourceVersion"),
	FIELD_IGNORE("generation"),
	FIELD_IGNORE("creationTimestamp"),
	FIELD_IGNORE("deletionTimestamp"),
	FIELD_IGNORE("deletionGracePeriodSeconds"),
	FIELD_IGNORE("finalizers"),
	FIELD_IGNORE("ownerReferences"),
	FIELD_IGNORE("managedFields"),
	FIELD_IGNORE("selfLink"),
	FIELDS_END,
};

/* What stands beside spec; what a kind's own table says of spec comes later. */
static const struct field head_fields[] = {
	FIELD("apiVersion", F_STR, offsetof(struct head, api)),
	FIELD("kind", F_STR, offsetof(struct head, kind)),
	{ "metadata", F_MAP, 0, .sub = meta_fields, .required = true },
	FIELD_IGNORE("spec"),
	FIELD_IGNORE("status"),
	FIELDS_END,
};

static const char *const names[] = {
	[KIND_IPPOOL] = "IPPool",
	[KIND_IPRESERVATION] = "IPReservation",
	[KIND_IPAMCONFIG] = "IPAMConfig",
	[KIND_BLOCKAFFINITY] = "BlockAffinity",
	[KIND_BGPCONFIGURATION] = "BGPConfiguration",
	[KIND_BGPPEER] = "BGPPeer",
	[KIND_BGPFILTER] = "BGPFilter",
	[KIND_NODE] = "Node",
	[KIND_NAMESPACE] = "Namespace",
	[KIND_SERVICE] = "Service",
	[KIND_ENDPOINTSLICE] = "EndpointSlice",
	[KIND_SECRET] = "Secret",
	[KIND_SERVICEACCOUNT] = "ServiceAccount",
	[KIND_POLICY] = "policy",
};

const char *kind_name(enum kind k)
{
	return (unsigned)k < KIND_COUNT ? names[k] : "?";
}

int peer_ip_parse(const char *text, struct addr *out, uint16_t *port)
{
	const char *end = text + strlen(text), *host_end = end, *at = NULL;
	char host[ADDR_STRLEN];
	bool bracket = *text == '[';
	unsigned long number = 0;

	if (bracket) {
		host_end = strchr(++text, ']');
		if (!host_end || (host_end[1] && host_end[1] != ':'))
			return -1;
		at = host_end[1] ? host_end + 2 : NULL;
	} else if (strchr(text, '.') && strchr(text, ':') &&
		   strchr(text, ':') == strrchr(text, ':')) {
		host_end = strchr(text, ':');
		at = host_end + 1;
	}
	if ((size_t)(host_end - text) >= sizeof(host))
		return -1;
	memcpy(host, text, (size_t)(host_end - text));
	host[host_end - text] = 0;
	if (at) {
		if (!*at || strspn(at, "0123456789") != strlen(at) || strlen(at) > 5)
			return -1;
		number = strtoul(at, NULL, 10);
		if (!number || number > 65535)
			return -1;
	}
	*port = (uint16_t)number;
	if (addr_parse(host, out))
		return -1;
	return bracket && out->fam != FAM_V6 ? -1 : 0;
}

/* ---- which kind ---- */

static unsigned api_of(const char *text)
{
	if (!strcmp(text, "projectcalico.org/v3") || !strcmp(text, "crd.projectcalico.org/v1"))
		return API_CALICO;
	if (!strcmp(text, "v1"))
		return API_CORE;
	if (!strcmp(text, "discovery.k8s.io/v1"))
		return API_DISCOVERY;
	if (!strcmp(text, "networking.k8s.io/v1"))
		return API_NETWORKING;
	if (!strncmp(text, "policy.networking.k8s.io/", 25))
		return API_POLICY;
	return 0;
}

static const char *api_text(unsigned apis)
{
	return apis & API_CALICO       ? "projectcalico.org/v3"
	       : apis & API_CORE       ? "v1"
	       : apis & API_NETWORKING ? "networking.k8s.io/v1"
	       : apis & API_DISCOVERY  ? "discovery.k8s.io/v1"
				       : "policy.networking.k8s.io/v1alpha2";
}

static const struct model_kind *find_kind(const struct reading *r, const struct node *doc,
					  const char *api, const char *kind)
{
	const struct model_kind *named = NULL;
	const char *words[64];
	unsigned n = 0;

	for (const struct model_kind *k = model_kinds; k->text; k++) {
		if (n < 63)
			words[n++] = k->text;
		if (strcmp(k->text, kind) != 0)
			continue;
		if (k->apis & api_of(api))
			return k;
		named = k;
	}
	words[n] = NULL;
	if (named) {
		problem_add(r->problems, r->file, node_get(doc, "apiVersion"),
			    "apiVersion: \"%s\" has no kind %s; expected %s", api, kind,
			    api_text(named->apis));
		return NULL;
	}
	const char *near = nearest_word(kind, words);

	problem_add(r->problems, r->file, node_get(doc, "kind"),
		    "kind: \"%.80s\" is not a kind that Selvage reads%s%s%s", kind,
		    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return NULL;
}

/* ---- one object ---- */

static const char *text_at(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);

	return n && n->kind == NODE_SCALAR ? n->text : "";
}

static int check_name(const struct reading *r, const struct node *doc, const struct model_kind *k)
{
	const struct node *meta = node_get(doc, "metadata"), *at = node_get(meta, "name");
	const char *name = text_at(meta, "name");

	if (name_is_valid(name))
		return 0;
	problem_add(
		r->problems, r->file,
		at     ? at
		: meta ? meta
		       : doc,
		*name ? "%s: metadata.name: \"%.80s\" is not a valid name; use lower-case letters, "
			"digits, - and ."
		      : "%s: metadata.name: is missing%.0s",
		k->text, name);
	return -1;
}

static struct node *shallow(const struct node *n, struct arena *arena)
{
	struct node *c = arena_alloc(arena, sizeof(*c));

	*c = *n;
	c->next = NULL;
	return c;
}

/* What the table knows of a mapping, or of each mapping in a list. Borrows what lies deeper. */
static struct node *known_part(const struct node *n, const struct field *fields,
			       struct arena *arena)
{
	struct node *out = shallow(n, arena), **tail = &out->child;

	if (n->kind != NODE_MAP && n->kind != NODE_LIST)
		return out;
	out->child = NULL;
	out->nchildren = 0;
	for (const struct node *x = n->child; x; x = x->next) {
		const struct field *f = fields, *sub = fields;

		if (n->kind == NODE_MAP) {
			while (f->key && strcmp(f->key, x->key) != 0)
				f++;
			if (!f->key)
				continue;
			sub = f->sub;
		}
		*tail = sub ? known_part(x, sub, arena) : shallow(x, arena);
		tail = &(*tail)->next;
		out->nchildren++;
	}
	return out;
}

/* The table of a whole kind covers the document. What it reads lives in the scratch arena. */
static const void *read_whole(const struct reading *r, const struct model_kind *k,
			      const struct node *doc, struct object *o, struct arena *scratch)
{
	const char *path = arena_printf(scratch, "%s \"%s\"", o->kind_text, o->name);
	void *out = arena_alloc(scratch, k->size);

	if (schema_read(known_part(doc, k->fields, scratch), k->fields, out, k->size, r->file, path,
			scratch, r->problems) ||
	    k->finish(out, doc, o, r->problems))
		return NULL;
	return memcpy(arena_alloc(&o->arena, k->keep), out, k->keep);
}

static struct field_kvs copy_kvs(const struct field_kvs *from, struct arena *arena)
{
	struct field_kvs to = { from->n, NULL };

	if (from->n)
		to.v = arena_array(arena, from->n, sizeof(*to.v));

	for (uint32_t i = 0; i < from->n; i++)
		to.v[i] = (struct field_kv){ arena_strdup(arena, from->v[i].key),
					     arena_strdup(arena, from->v[i].value) };
	return to;
}

static const void *read_spec(const struct reading *r, const struct model_kind *k,
			     const struct node *doc, struct object *o)
{
	static const struct node empty = { .kind = NODE_MAP };
	const struct node *spec = node_get(doc, "spec");
	struct node at = spec ? *spec : empty;
	const char *path =
		arena_printf(r->problems->arena, "%s \"%s\": spec", o->kind_text, o->name);
	void *out = arena_alloc(&o->arena, k->size);

	if (!k->fields) {
		if (spec && spec->kind != NODE_MAP && spec->kind != NODE_NULL) {
			problem_add(r->problems, r->file, spec, "%s: expected a mapping, got %s",
				    path, node_kind_name(spec->kind));
			return NULL;
		}
		((struct spec_tree *)out)->spec = spec ? node_copy(spec, &o->arena) : NULL;
		return out;
	}
	if (!spec) {
		at.line = doc->line;
		at.col = doc->col;
	}
	if (schema_read(&at, k->fields, out, k->size, r->file, path, &o->arena, r->problems))
		return NULL;
	if (k->finish && k->finish(out, &at, o, r->problems))
		return NULL;
	return out;
}

/* Of these there are many, or they should not be kept: once read, their metadata is nothing to
 * anyone. */
static bool is_bare(enum kind k)
{
	return k == KIND_ENDPOINTSLICE || k == KIND_SECRET;
}

static int fill_object(const struct reading *r, const struct model_kind *k, const struct node *doc,
		       struct object *o, struct arena *scratch)
{
	const struct node *top = k->whole ? known_part(doc, head_fields, scratch) : doc;
	struct head h;

	if (schema_read(top, head_fields, &h, sizeof(h), r->file, "", scratch, r->problems))
		return -1;
	o->name = arena_strdup(&o->arena, h.meta.name);
	o->namespace_ = !k->namespaced	     ? ""
			: *h.meta.namespace_ ? arena_strdup(&o->arena, h.meta.namespace_)
					     : "default";
	o->labels = is_bare(k->kind) ? h.meta.labels : copy_kvs(&h.meta.labels, &o->arena);
	o->annotations =
		is_bare(k->kind) ? h.meta.annotations : copy_kvs(&h.meta.annotations, &o->arena);
	o->file = arena_strdup(&o->arena, r->file);
	/* What came from the API stands in no line. */
	o->origin = doc->line ? arena_printf(&o->arena, "%s:%u", r->file, doc->line) : o->file;
	o->position = *r->position;
	o->spec = k->whole ? read_whole(r, k, doc, o, scratch) : read_spec(r, k, doc, o);
	if (is_bare(k->kind))
		o->labels = o->annotations = (struct field_kvs){ 0 };
	return o->spec ? 0 : -1;
}

static struct object *read_object(const struct reading *r, const struct model_kind *k,
				  const struct node *doc, const char *group)
{
	struct object *o = xcalloc(1, sizeof(*o));
	struct arena scratch = { 0 };

	o->refs = 1;
	o->kind = k->kind;
	o->kind_text = k->text;
	o->group = group;
	if (fill_object(r, k, doc, o, &scratch)) {
		object_unref(o);
		o = NULL;
	}
	arena_free(&scratch);
	return o;
}

static int nameless(const struct reading *r)
{
	*r->anonymous = true;
	return -1;
}

static int read_doc(const struct reading *r, const struct node *doc, const char *api,
		    const char *kind, unsigned depth);

/* kind "List" holds documents; "IPPoolList" holds IPPools, which may leave out what they are. */
static int read_list(const struct reading *r, const struct node *doc, const char *api,
		     const char *kind, size_t kind_len, unsigned depth)
{
	const struct node *items = node_get(doc, "items");
	const char *item = arena_strndup(r->problems->arena, kind, kind_len);
	int rc = 0;

	if (depth >= LIST_DEPTH) {
		problem_add(r->problems, r->file, doc, "kind: lists nest deeper than %d",
			    LIST_DEPTH);
		return nameless(r);
	}
	if (!items || items->kind == NODE_NULL)
		return 0;
	if (items->kind != NODE_LIST) {
		problem_add(r->problems, r->file, items, "items: expected a list, got %s",
			    node_kind_name(items->kind));
		return nameless(r);
	}
	for (const struct node *n = items->child; n; n = n->next)
		rc |= read_doc(r, n, *item ? api : "", item, depth + 1);
	return rc;
}

/* A document of a known kind and name. */
static int read_named(const struct reading *r, const struct node *doc, const struct model_kind *k,
		      const char *group)
{
	const struct node *meta = node_get(doc, "metadata");
	const char *ns = text_at(meta, "namespace");
	struct model_item item = {
		.kind = k->kind,
		.kind_text = k->text,
		.group = group,
		.namespace_ = !k->namespaced ? ""
			      : *ns	     ? ns
					     : "default",
		.name = text_at(meta, "name"),
		.object = read_object(r, k, doc, group),
	};
	int rc = item.object ? 0 : -1;

	++*r->position;
	r->cb(r->arg, &item);
	return rc;
}

/* api and kind: what an item of a typed list is when it does not say; "" elsewhere. */
static int read_doc(const struct reading *r, const struct node *doc, const char *api,
		    const char *kind, unsigned depth)
{
	if (doc->kind != NODE_MAP) {
		problem_add(r->problems, r->file, doc,
			    "expected a resource (apiVersion, kind, metadata, spec), got %s",
			    node_kind_name(doc->kind));
		return nameless(r);
	}
	if (*text_at(doc, "kind"))
		kind = text_at(doc, "kind");
	if (*text_at(doc, "apiVersion"))
		api = text_at(doc, "apiVersion");
	if (!*kind || !*api) {
		problem_add(r->problems, r->file, doc, "%s: is missing",
			    *kind ? "apiVersion" : "kind");
		return nameless(r);
	}
	size_t n = strlen(kind);

	if (n >= 4 && !strcmp(kind + n - 4, "List"))
		return read_list(r, doc, api, kind, n - 4, depth);
	const struct model_kind *k = find_kind(r, doc, api, kind);

	if (!k) {
		/* Perhaps a slip in a document that was good: its name still tells which. */
		const struct model_item lost = { .kind = KIND_COUNT,
						 .kind_text = kind,
						 .group = api,
						 .namespace_ = "",
						 .name = text_at(node_get(doc, "metadata"),
								 "name") };

		r->cb(r->arg, &lost);
		return -1;
	}
	if (k->kind == KIND_COUNT)
		return 0;
	if (check_name(r, doc, k))
		return nameless(r);
	return read_named(r, doc, k, api_text(k->apis & api_of(api)));
}

int model_read(const struct node *root, const char *file, uint32_t *position, model_cb cb,
	       void *arg, struct problems *problems, bool *anonymous)
{
	const struct reading r = { file, position, cb, arg, problems, anonymous };

	return read_doc(&r, root, "", "", 0);
}

/* ---- objects ---- */

struct object *object_ref(const struct object *o)
{
	/* The counter is the one part of an object that changes. */
	struct object *x = (struct object *)(uintptr_t)o;

	x->refs++;
	return x;
}

void object_unref(struct object *o)
{
	if (!o || --o->refs)
		return;
	arena_free(&o->arena);
	free(o);
}

int object_order(const struct object *a, const struct object *b)
{
	int c = strcmp(a->file, b->file);

	if (c)
		return c;
	return a->position < b->position ? -1 : a->position > b->position;
}
