#include "config.h"

#include "store/kube_decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/nodeconf.h"

enum { JSON_DEPTH = 64 };

static const char metadata_key[] = "projectcalico.org/metadata";

struct json_object *kube_json_parse(const char *text, size_t len, struct err *err)
{
	struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *o;

	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, text, (int)len);
	if (json_tokener_get_error(t) != json_tokener_success ||
	    json_tokener_get_parse_end(t) != len) {
		err_set(err, "no JSON: %s at byte %zu",
			json_tokener_get_error(t) == json_tokener_success
				? "something follows its end"
				: json_tokener_error_desc(json_tokener_get_error(t)),
			json_tokener_get_parse_end(t));
		json_object_put(o);
		o = NULL;
	} else if (!o) {
		err_set(err, "no JSON object, but null");
	}
	json_tokener_free(t);
	return o;
}

struct json_object *kube_json_get(struct json_object *map, const char *key)
{
	struct json_object *v = NULL;

	if (map && json_object_is_type(map, json_type_object))
		json_object_object_get_ex(map, key, &v);
	return v;
}

const char *kube_json_text(struct json_object *map, const char *key)
{
	struct json_object *v = kube_json_get(map, key);

	return v && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

uint64_t kube_json_time(const char *text)
{
	struct tm tm = { 0 };

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	time_t t = timegm(&tm);

	return t > 0 ? (uint64_t)t : 0;
}

int kube_json_status(struct json_object *status, char *why, size_t size, const char **reason)
{
	struct json_object *code = kube_json_get(status, "code");
	const char *message = kube_json_text(status, "message");

	*reason = kube_json_text(status, "reason");
	snprintf(why, size, "%s", *message ? message : **reason ? *reason : "no reason is said");
	for (char *p = why; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return code ? json_object_get_int(code) : 0;
}

/* ---- events ---- */

static void error_event(struct json_object *status, struct kube_event *out)
{
	struct json_object *details = kube_json_get(status, "details");
	struct json_object *after = kube_json_get(details, "retryAfterSeconds");
	const char *reason;

	out->r.code = kube_json_status(status, out->why, sizeof(out->why), &reason);
	if (!strcmp(reason, "Expired") || !strcmp(reason, "Gone") ||
	    strstr(out->why, "too old resource version"))
		out->r.code = 410;
	out->r.retry_after = after ? json_object_get_int(after) : 0;
	if (out->r.retry_after < 0 || out->r.retry_after > 3600)
		out->r.retry_after = 0;
	out->r.text = out->why;
}

void kube_decode_event(struct json_object *line, struct kube_event *out)
{
	static const char *const words[] = {
		[REFLECTOR_ADDED] = "ADDED",	 [REFLECTOR_MODIFIED] = "MODIFIED",
		[REFLECTOR_DELETED] = "DELETED", [REFLECTOR_BOOKMARK] = "BOOKMARK",
		[REFLECTOR_ERROR] = "ERROR",
	};
	const char *type = kube_json_text(line, "type");
	unsigned i = 0;

	memset(&out->r, 0, sizeof(out->r));
	out->why[0] = 0;
	while (i < REFLECTOR_OTHER && strcmp(words[i], type) != 0)
		i++;
	out->object = kube_json_get(line, "object");
	out->r.type = (enum reflector_type)i;
	out->r.version = "";
	out->r.text = "";
	if (i == REFLECTOR_ERROR) {
		error_event(out->object, out);
		return;
	}
	struct json_object *meta = kube_json_get(out->object, "metadata");

	out->r.version = kube_json_text(meta, "resourceVersion");
	if (i == REFLECTOR_BOOKMARK)
		out->r.initial_end = !strcmp(kube_json_text(kube_json_get(meta, "annotations"),
							    "k8s.io/initial-events-end"),
					     "true");
}

/* ---- objects ---- */

static struct node *new_node(struct arena *a, enum node_kind kind)
{
	struct node *n = arena_alloc(a, sizeof(*n));

	n->kind = kind;
	return n;
}

/* Where the next child of a node goes. */
struct tail {
	struct node *of;
	struct node **at;
};

static void append(struct tail *t, struct node *child)
{
	*t->at = child;
	t->at = &child->next;
	t->of->nchildren++;
}

static struct node *text_node(struct arena *a, const char *key, const char *text)
{
	struct node *n = new_node(a, NODE_SCALAR);

	n->key = key;
	n->text = arena_strdup(a, text);
	n->quoted = true;
	return n;
}

static struct node *to_node(struct json_object *o, const struct field *fields, struct arena *a);

static struct node *map_node(struct json_object *o, const struct field *fields, struct arena *a)
{
	struct node *n = new_node(a, NODE_MAP);
	struct tail t = { n, &n->child };

	json_object_object_foreach(o, key, value)
	{
		const struct field *f = fields;
		const struct field *sub = NULL;

		while (f && f->key && strcmp(f->key, key) != 0)
			f++;
		if (f && (!f->key || f->type == F_IGNORE))
			continue;
		if (f && (f->type == F_MAP || (f->type == F_LIST && f->item == F_MAP)))
			sub = f->sub;
		struct node *child = to_node(value, sub, a);

		child->key = arena_strdup(a, key);
		append(&t, child);
	}
	return n;
}

/* fields NULL: everything. */
static struct node *to_node(struct json_object *o, const struct field *fields, struct arena *a)
{
	struct node *n;

	switch (json_object_get_type(o)) {
	case json_type_null:
		return new_node(a, NODE_NULL);
	case json_type_object:
		return map_node(o, fields, a);
	case json_type_array:
		n = new_node(a, NODE_LIST);
		struct tail t = { n, &n->child };

		for (size_t i = 0; i < json_object_array_length(o); i++)
			append(&t, to_node(json_object_array_get_idx(o, i), fields, a));
		return n;
	default:
		n = new_node(a, NODE_SCALAR);
		n->text = arena_strdup(a, json_object_get_string(o));
		n->quoted = json_object_is_type(o, json_type_string);
		return n;
	}
}

/* Those that someone here reads; other programs change theirs often. */
static bool is_our_annotation(const char *key)
{
	return strcmp(key, metadata_key) != 0 &&
	       (strstr(key, "projectcalico.org/") || !strncmp(key, "selvage.io/", 11));
}

/* Texts of `from` that `map` does not have yet. */
static void join(struct tail *map, struct json_object *from, bool annotations, struct arena *a)
{
	if (!from || !json_object_is_type(from, json_type_object))
		return;
	json_object_object_foreach(from, key, value)
	{
		if (!json_object_is_type(value, json_type_string) || node_get(map->of, key) ||
		    (annotations && !is_our_annotation(key)))
			continue;
		append(map, text_node(a, arena_strdup(a, key), json_object_get_string(value)));
	}
}

static struct node *metadata_node(struct json_object *meta, struct arena *a)
{
	struct node *n = new_node(a, NODE_MAP);
	struct node *labels = new_node(a, NODE_MAP), *annotations = new_node(a, NODE_MAP);
	struct tail t = { n, &n->child };
	struct tail tl = { labels, &labels->child }, ta = { annotations, &annotations->child };
	struct json_object *own = kube_json_get(meta, "annotations"), *v3 = NULL;
	const char *kept = kube_json_text(own, metadata_key);
	struct err err;

	append(&t, text_node(a, "name", kube_json_text(meta, "name")));
	if (*kube_json_text(meta, "namespace"))
		append(&t, text_node(a, "namespace", kube_json_text(meta, "namespace")));
	join(&tl, kube_json_get(meta, "labels"), false, a);
	join(&ta, own, true, a);
	if (*kept)
		v3 = kube_json_parse(kept, strlen(kept), &err);
	join(&tl, kube_json_get(v3, "labels"), false, a);
	join(&ta, kube_json_get(v3, "annotations"), true, a);
	json_object_put(v3);
	labels->key = "labels";
	annotations->key = "annotations";
	append(&t, labels);
	append(&t, annotations);
	return n;
}

struct node *kube_decode_node(struct json_object *o, const struct model_kind *k, const char *api,
			      bool metadata_only, struct arena *arena)
{
	struct node *doc = new_node(arena, NODE_MAP);
	struct tail t = { doc, &doc->child };
	struct node *meta = metadata_node(kube_json_get(o, "metadata"), arena);

	append(&t, text_node(arena, "apiVersion", api));
	append(&t, text_node(arena, "kind", k->text));
	meta->key = "metadata";
	append(&t, meta);
	if (metadata_only || !json_object_is_type(o, json_type_object))
		return doc;
	json_object_object_foreach(o, key, value)
	{
		const struct field *f = k->whole ? k->fields : NULL;
		struct node *n;

		if (!strcmp(key, "apiVersion") || !strcmp(key, "kind") || !strcmp(key, "metadata"))
			continue;
		while (f && f->key && strcmp(f->key, key) != 0)
			f++;
		if (k->whole ? !f->key : strcmp(key, "spec") != 0)
			continue;
		n = to_node(value,
			    !k->whole				    ? k->fields
			    : f->type == F_MAP || f->type == F_LIST ? f->sub
								    : NULL,
			    arena);
		n->key = arena_strdup(arena, key);
		append(&t, n);
	}
	return doc;
}

static uint64_t mix(uint64_t h, const char *text)
{
	for (; text && *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return (h ^ 255) * UINT64_C(1099511628211);
}

static uint64_t hash_node(uint64_t h, const struct node *n)
{
	h = (h ^ (uint64_t)n->kind ^ (n->quoted ? 8 : 0)) * UINT64_C(1099511628211);
	h = mix(mix(h, n->key), n->text);
	for (const struct node *c = n->child; c; c = c->next)
		h = hash_node(h, c);
	return mix(h, "end");
}

uint64_t kube_node_hash(const struct node *n)
{
	return hash_node(UINT64_C(14695981039346656037), n);
}

const struct model_kind *kube_model_kind(const char *text, unsigned api)
{
	for (const struct model_kind *k = model_kinds; k->text; k++)
		if (k->apis & api && !strcmp(k->text, text))
			return k;
	return NULL;
}

/* ---- pods ---- */

static enum pod_phase phase_of(const char *text)
{
	static const char *const words[] = { "Pending", "Running", "Succeeded", "Failed" };
	unsigned i = 0;

	while (i < 4 && strcmp(words[i], text) != 0)
		i++;
	return (enum pod_phase)i;
}

static void add_address(struct pod_in *in, const char *text)
{
	char host[ADDR_STRLEN];
	size_t n = strcspn(text, "/");
	struct addr a;

	if (in->naddrs >= 2 || n >= sizeof(host))
		return;
	memcpy(host, text, n);
	host[n] = 0;
	if (addr_parse(host, &a))
		return;
	for (unsigned i = 0; i < in->naddrs; i++)
		if (addr_eq(&in->addrs[i], &a))
			return;
	in->addrs[in->naddrs++] = a;
}

/* kubelet writes status.podIPs; the plugin has written the annotations before, and emptied them
 * when the addresses went back. */
static void read_addresses(struct json_object *o, struct json_object *notes, struct pod_in *in)
{
	struct json_object *status = kube_json_get(o, "status");
	struct json_object *ips = kube_json_get(status, "podIPs");
	struct json_object *note = kube_json_get(notes, "cni.projectcalico.org/podIP");
	const char *list = kube_json_text(notes, "cni.projectcalico.org/podIPs");

	if (note && !*json_object_get_string(note))
		return;
	if (ips && json_object_is_type(ips, json_type_array))
		for (size_t i = 0; i < json_object_array_length(ips); i++)
			add_address(in, kube_json_text(json_object_array_get_idx(ips, i), "ip"));
	add_address(in, kube_json_text(status, "podIP"));
	if (in->naddrs)
		return;
	while (*list) {
		size_t n = strcspn(list, ",");
		char one[PREFIX_STRLEN];

		if (n < sizeof(one)) {
			memcpy(one, list, n);
			one[n] = 0;
			add_address(in, one);
		}
		list += n + (list[n] == ',');
	}
	add_address(in, kube_json_text(notes, "cni.projectcalico.org/podIP"));
}

static void read_ports(struct json_object *containers, bool sidecars, struct kube_pod *out)
{
	if (!containers || !json_object_is_type(containers, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(containers); i++) {
		struct json_object *c = json_object_array_get_idx(containers, i);
		struct json_object *ports = kube_json_get(c, "ports");

		if (!ports || !json_object_is_type(ports, json_type_array) ||
		    (sidecars && strcmp(kube_json_text(c, "restartPolicy"), "Always") != 0))
			continue;
		for (size_t j = 0; j < json_object_array_length(ports); j++) {
			struct json_object *p = json_object_array_get_idx(ports, j);
			const char *name = kube_json_text(p, "name");
			const char *protocol = kube_json_text(p, "protocol");
			int number = json_object_get_int(kube_json_get(p, "containerPort"));

			if (!*name || number < 1 || number > 65535 ||
			    out->in.nports == KUBE_POD_PORTS)
				continue;
			out->ports[out->in.nports++] = (struct pod_port){
				.name = name,
				.port = (uint16_t)number,
				.protocol = !strcmp(protocol, "UDP")	? 17
					    : !strcmp(protocol, "SCTP") ? 132
									: 6,
			};
		}
	}
}

static void read_notes(struct json_object *notes, struct kube_pod *out)
{
	static const char prefix[] = "cni.projectcalico.org/";

	if (!notes || !json_object_is_type(notes, json_type_object))
		return;
	json_object_object_foreach(notes, key, value)
	{
		if (strncmp(key, prefix, sizeof(prefix) - 1) != 0 ||
		    out->in.nnotes == KUBE_POD_NOTES ||
		    !json_object_is_type(value, json_type_string))
			continue;
		out->notes[out->in.nnotes++] = (struct pod_note){ key + sizeof(prefix) - 1,
								  json_object_get_string(value) };
	}
}

int kube_decode_pod(struct json_object *o, const char *own_node, bool all_notes,
		    struct kube_pod *out)
{
	struct json_object *meta = kube_json_get(o, "metadata"), *spec = kube_json_get(o, "spec");
	struct json_object *labels = kube_json_get(meta, "labels");
	struct json_object *notes = kube_json_get(meta, "annotations");
	struct pod_in *in = &out->in;

	memset(in, 0, sizeof(*in));
	in->namespace_ = kube_json_text(meta, "namespace");
	in->name = kube_json_text(meta, "name");
	in->uid = kube_json_text(meta, "uid");
	in->node = kube_json_text(spec, "nodeName");
	in->service_account = kube_json_text(spec, "serviceAccountName");
	in->phase = phase_of(kube_json_text(kube_json_get(o, "status"), "phase"));
	in->terminating = kube_json_get(meta, "deletionTimestamp") != NULL;
	in->host_network = json_object_get_boolean(kube_json_get(spec, "hostNetwork"));
	in->labels = out->labels;
	in->ports = out->ports;
	in->notes = out->notes;
	if (!*in->name || !*in->namespace_)
		return -1;
	if (labels && json_object_is_type(labels, json_type_object)) {
		json_object_object_foreach(labels, key, value)
		{
			if (in->nlabels < KUBE_POD_LABELS &&
			    json_object_is_type(value, json_type_string))
				out->labels[in->nlabels++] =
					(struct pod_label){ key, json_object_get_string(value) };
		}
	}
	read_addresses(o, notes, in);
	read_ports(kube_json_get(spec, "containers"), false, out);
	read_ports(kube_json_get(spec, "initContainers"), true, out);
	if (all_notes || !strcmp(in->node, own_node))
		read_notes(notes, out);
	return 0;
}
