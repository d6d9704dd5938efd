#include "config.h"

#include "store/ipamobj_json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/kube_decode.h"

static const char v1[] = "crd.projectcalico.org/v1";

const char *ipamobj_kind_text(enum ipamobj_kind kind)
{
	static const char *const words[] = { "IPAMBlock", "BlockAffinity", "IPAMHandle" };

	return words[kind];
}

const char *ipamobj_plural(enum ipamobj_kind kind)
{
	static const char *const words[] = { "ipamblocks", "blockaffinities", "ipamhandles" };

	return words[kind];
}

/* ---- reading ---- */

static struct json_object *parse_object(const char *text, size_t len, struct err *err)
{
	struct json_object *o = kube_json_parse(text, len, err);

	if (o && !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		err_set(err, "it is JSON, but no object");
		return NULL;
	}
	return o;
}

static size_t array_len(struct json_object *o)
{
	return o && json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;
}

static bool read_bool(struct json_object *o)
{
	if (o && json_object_is_type(o, json_type_string))
		return !strcmp(json_object_get_string(o), "true");
	return o && json_object_get_boolean(o);
}

static uint64_t read_u64(struct json_object *o)
{
	return o && json_object_is_type(o, json_type_int) ? json_object_get_uint64(o) : 0;
}

static const char *read_text(struct json_object *map, const char *key, struct arena *a)
{
	return arena_strdup(a, kube_json_text(map, key));
}

static void read_meta(struct json_object *o, const char *text, size_t len, struct arena *a,
		      struct ipamobj_meta *out)
{
	struct json_object *meta = kube_json_get(o, "metadata");

	out->name = read_text(meta, "name", a);
	out->uid = read_text(meta, "uid", a);
	out->resource_version = read_text(meta, "resourceVersion", a);
	out->raw = arena_strndup(a, text, len);
	out->created = kube_json_time(kube_json_text(meta, "creationTimestamp"));
}

static int read_cidr(const char *text, struct prefix *out, struct err *err)
{
	if (!strchr(text, '/') || prefix_parse(text, out) || prefix_has_host_bits(out))
		return err_set(err, "\"%.60s\" is no CIDR", text);
	return 0;
}

static void read_attr(struct json_object *o, struct arena *a, struct ipamobj_attr *out)
{
	struct json_object *second = kube_json_get(o, "secondary");

	out->handle_id = read_text(o, "handle_id", a);
	out->released_at = read_text(o, "releasedAt", a);
	out->raw = arena_strdup(a, o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)
				     : "{}");
	if (!second || !json_object_is_type(second, json_type_object))
		return;
	out->secondary =
		arena_array(a, (size_t)json_object_object_length(second), sizeof(*out->secondary));
	json_object_object_foreach(second, key, value)
	{
		out->secondary[out->nsecondary++] = (struct ipamobj_kv){
			arena_strdup(a, key),
			arena_strdup(a, value ? json_object_get_string(value) : ""),
		};
	}
}

/* -1 free, else an index below nattrs; -2: neither. */
static int32_t read_allocation(struct json_object *o, uint32_t nattrs)
{
	int64_t i;

	if (!o)
		return -1;
	i = json_object_is_type(o, json_type_int) ? json_object_get_int64(o) : -2;
	return i < 0 || i >= nattrs ? -2 : (int32_t)i;
}

static int read_allocations(struct json_object *spec, struct ipamobj_block *b, struct arena *a,
			    struct err *err)
{
	struct json_object *list = kube_json_get(spec, "allocations");
	struct json_object *unused = kube_json_get(spec, "unallocated");

	if (array_len(list) != prefix_size(&b->cidr))
		return err_set(err, "it has %zu allocations for %" PRIu64 " addresses",
			       array_len(list), prefix_size(&b->cidr));
	b->size = (uint32_t)array_len(list);
	b->allocations = arena_array(a, b->size, sizeof(*b->allocations));
	for (uint32_t i = 0; i < b->size; i++) {
		b->allocations[i] = read_allocation(json_object_array_get_idx(list, i), b->nattrs);
		if (b->allocations[i] < -1)
			return err_set(err, "allocation %u has no attributes", i);
	}
	if (array_len(unused) > b->size)
		return err_set(err, "it has more unallocated ordinals than addresses");
	b->unallocated = arena_array(a, array_len(unused), sizeof(*b->unallocated));
	for (size_t i = 0; i < array_len(unused); i++) {
		uint64_t ordinal = read_u64(json_object_array_get_idx(unused, i));

		if (ordinal >= b->size)
			return err_set(err, "unallocated ordinal %" PRIu64 " is beyond its end",
				       ordinal);
		b->unallocated[b->nunallocated++] = (uint32_t)ordinal;
	}
	return 0;
}

static const void *read_block(struct json_object *o, struct ipamobj_block *b, struct arena *a,
			      struct err *err)
{
	struct json_object *spec = kube_json_get(o, "spec"), *list, *seqs;

	if (read_cidr(kube_json_text(spec, "cidr"), &b->cidr, err))
		return NULL;
	/* Calico's blocks have at most 4096 addresses. */
	if (prefix_size(&b->cidr) > 65536) {
		err_set(err, "its CIDR is too big for a block");
		return NULL;
	}
	b->affinity = read_text(spec, "affinity", a);
	b->claim_time = read_text(spec, "affinityClaimTime", a);
	list = kube_json_get(spec, "attributes");
	b->nattrs = (uint32_t)array_len(list);
	b->attrs = arena_array(a, b->nattrs, sizeof(*b->attrs));
	for (uint32_t i = 0; i < b->nattrs; i++)
		read_attr(json_object_array_get_idx(list, i), a, &b->attrs[i]);
	if (read_allocations(spec, b, a, err))
		return NULL;
	b->sequence = read_u64(kube_json_get(spec, "sequenceNumber"));
	b->deleted = read_bool(kube_json_get(spec, "deleted"));
	b->strict_affinity = read_bool(kube_json_get(spec, "strictAffinity"));
	seqs = kube_json_get(spec, "sequenceNumberForAllocation");
	if (!seqs || !json_object_is_type(seqs, json_type_object))
		return b;
	b->seqs = arena_array(a, (size_t)json_object_object_length(seqs), sizeof(*b->seqs));
	json_object_object_foreach(seqs, key, value)
	{
		char *end;
		unsigned long ordinal = strtoul(key, &end, 10);

		if (*end || end == key || ordinal >= b->size)
			continue;
		b->seqs[b->nseqs++] = (struct ipamobj_seq){ (uint32_t)ordinal, read_u64(value) };
	}
	return b;
}

static const void *read_affinity(struct json_object *o, struct ipamobj_affinity *f, struct arena *a,
				 struct err *err)
{
	struct json_object *spec = kube_json_get(o, "spec");
	struct json_object *meta = kube_json_get(o, "metadata");
	const char *state = kube_json_text(spec, "state");

	if (read_cidr(kube_json_text(spec, "cidr"), &f->cidr, err))
		return NULL;
	f->node = read_text(spec, "node", a);
	f->type = read_text(spec, "type", a);
	if (!*f->type)
		f->type = "host";
	f->deleted = read_bool(kube_json_get(spec, "deleted"));
	f->instance = read_text(kube_json_get(meta, "annotations"), "selvage.io/instance", a);
	if (!*state || !strcmp(state, "confirmed"))
		f->state = IPAMOBJ_CONFIRMED;
	else if (!strcmp(state, "pending"))
		f->state = IPAMOBJ_PENDING;
	else if (!strcmp(state, "pendingDeletion"))
		f->state = IPAMOBJ_PENDING_DELETION;
	else {
		err_set(err, "state \"%.40s\" is unknown", state);
		return NULL;
	}
	return f;
}

static const void *read_handle(struct json_object *o, struct ipamobj_handle *h, struct arena *a,
			       struct err *err)
{
	struct json_object *spec = kube_json_get(o, "spec"), *blocks = kube_json_get(spec, "block");

	h->handle_id = read_text(spec, "handleID", a);
	h->deleted = read_bool(kube_json_get(spec, "deleted"));
	if (!blocks || !json_object_is_type(blocks, json_type_object))
		return h;
	h->blocks = arena_array(a, (size_t)json_object_object_length(blocks), sizeof(*h->blocks));
	json_object_object_foreach(blocks, key, value)
	{
		struct ipamobj_handle_block *b = &h->blocks[h->nblocks++];

		if (read_cidr(key, &b->cidr, err))
			return NULL;
		b->count = (uint32_t)read_u64(value);
	}
	return h;
}

const void *ipamobj_decode(enum ipamobj_kind kind, const char *text, size_t len,
			   struct arena *arena, struct err *err)
{
	struct json_object *o = parse_object(text, len, err);
	struct ipamobj_meta meta = { .name = "" };
	const void *out = NULL;

	if (!o)
		return NULL;
	read_meta(o, text, len, arena, &meta);
	if (kind == IPAMOBJ_BLOCK) {
		struct ipamobj_block *b = arena_alloc(arena, sizeof(*b));

		b->meta = meta;
		out = read_block(o, b, arena, err);
	} else if (kind == IPAMOBJ_AFFINITY) {
		struct ipamobj_affinity *f = arena_alloc(arena, sizeof(*f));

		f->meta = meta;
		out = read_affinity(o, f, arena, err);
	} else {
		struct ipamobj_handle *h = arena_alloc(arena, sizeof(*h));

		h->meta = meta;
		out = read_handle(o, h, arena, err);
	}
	json_object_put(o);
	if (!out)
		err_ctx(err, "%s \"%s\"", ipamobj_kind_text(kind), meta.name);
	return out;
}

const struct ipamobj_meta *ipamobj_decode_meta(const char *text, size_t len, struct arena *arena,
					       struct err *err)
{
	struct json_object *o = parse_object(text, len, err);
	struct ipamobj_meta *meta;

	if (!o)
		return NULL;
	meta = arena_alloc(arena, sizeof(*meta));
	read_meta(o, text, 0, arena, meta);
	json_object_put(o);
	return meta;
}

/* ---- writing ---- */

static void set(struct json_object *map, const char *key, struct json_object *value)
{
	json_object_object_add(map, key, value);
}

static void set_text(struct json_object *map, const char *key, const char *text)
{
	if (text && *text)
		set(map, key, json_object_new_string(text));
	else
		json_object_object_del(map, key);
}

/* A mapping in a mapping, made where it is missing. */
static struct json_object *part(struct json_object *map, const char *key)
{
	struct json_object *o = kube_json_get(map, key);

	if (!o || !json_object_is_type(o, json_type_object)) {
		o = json_object_new_object();
		set(map, key, o);
	}
	return o;
}

static struct json_object *attr_json(const struct ipamobj_attr *at)
{
	struct err err;
	struct json_object *o = *at->raw ? parse_object(at->raw, strlen(at->raw), &err) : NULL;
	struct json_object *second;

	if (!o)
		o = json_object_new_object();
	set_text(o, "handle_id", at->handle_id);
	set_text(o, "releasedAt", at->released_at);
	second = json_object_new_object();
	for (uint32_t i = 0; i < at->nsecondary; i++)
		set(second, at->secondary[i].key, json_object_new_string(at->secondary[i].value));
	if (at->nsecondary) {
		set(o, "secondary", second);
	} else {
		json_object_put(second);
		json_object_object_del(o, "secondary");
	}
	return o;
}

static void write_block(struct json_object *spec, const struct ipamobj_block *b)
{
	struct json_object *list = json_object_new_array(), *unused = json_object_new_array();
	struct json_object *attrs = json_object_new_array(), *seqs = json_object_new_object();
	char text[PREFIX_STRLEN];

	set_text(spec, "cidr", prefix_format(&b->cidr, text, sizeof(text)));
	set_text(spec, "affinity", b->affinity);
	set_text(spec, "affinityClaimTime", b->claim_time);
	for (uint32_t i = 0; i < b->size; i++)
		json_object_array_add(list, b->allocations[i] < 0
						    ? NULL
						    : json_object_new_int(b->allocations[i]));
	for (uint32_t i = 0; i < b->nunallocated; i++)
		json_object_array_add(unused, json_object_new_int64(b->unallocated[i]));
	for (uint32_t i = 0; i < b->nattrs; i++)
		json_object_array_add(attrs, attr_json(&b->attrs[i]));
	for (uint32_t i = 0; i < b->nseqs; i++) {
		snprintf(text, sizeof(text), "%u", b->seqs[i].ordinal);
		set(seqs, text, json_object_new_uint64(b->seqs[i].seq));
	}
	set(spec, "allocations", list);
	set(spec, "unallocated", unused);
	set(spec, "attributes", attrs);
	set(spec, "sequenceNumber", json_object_new_uint64(b->sequence));
	set(spec, "sequenceNumberForAllocation", seqs);
	set(spec, "deleted", json_object_new_boolean(b->deleted));
	set(spec, "strictAffinity", json_object_new_boolean(b->strict_affinity));
}

static void write_affinity(struct json_object *meta, struct json_object *spec,
			   const struct ipamobj_affinity *f, bool is_v1)
{
	static const char *const states[] = { "confirmed", "pending", "pendingDeletion" };
	struct json_object *labels = part(meta, "labels"), *notes = part(meta, "annotations");
	char text[PREFIX_STRLEN], hash[IPAMOBJ_HASH];

	set_text(labels, "projectcalico.org/hostname-hash", ipamobj_hostname_hash(f->node, hash));
	set_text(labels, "projectcalico.org/affinity-type", f->type);
	set_text(labels, "projectcalico.org/ip-version", f->cidr.addr.fam == FAM_V4 ? "4" : "6");
	set_text(notes, "selvage.io/instance", f->instance);
	set_text(spec, "cidr", prefix_format(&f->cidr, text, sizeof(text)));
	set_text(spec, "node", f->node);
	set_text(spec, "type", f->type);
	set_text(spec, "state", states[f->state]);
	if (is_v1)
		set_text(spec, "deleted", f->deleted ? "true" : "false");
	else
		set(spec, "deleted", json_object_new_boolean(f->deleted));
}

static void write_handle(struct json_object *spec, const struct ipamobj_handle *h)
{
	struct json_object *blocks = json_object_new_object();
	char text[PREFIX_STRLEN];

	for (uint32_t i = 0; i < h->nblocks; i++)
		set(blocks, prefix_format(&h->blocks[i].cidr, text, sizeof(text)),
		    json_object_new_int64(h->blocks[i].count));
	set_text(spec, "handleID", h->handle_id);
	set(spec, "block", blocks);
	set(spec, "deleted", json_object_new_boolean(h->deleted));
}

static void write_meta(struct json_object *meta, const struct ipamobj_meta *m, bool is_v1)
{
	static const char key[] = "projectcalico.org/metadata";
	struct json_object *notes;

	set_text(meta, "name", m->name);
	set_text(meta, "uid", m->uid);
	set_text(meta, "resourceVersion", m->resource_version);
	if (!is_v1)
		return;
	/* Calico's client keeps the v3 metadata beside; of these objects it is always empty. */
	notes = part(meta, "annotations");
	if (!kube_json_get(notes, key))
		set_text(notes, key, "{\"creationTimestamp\":null}");
}

char *ipamobj_encode(enum ipamobj_kind kind, const void *object, const char *api, struct err *err)
{
	/* Every kind begins with its metadata. */
	const struct ipamobj_meta *m = object;
	bool is_v1 = !strcmp(api, v1);
	struct json_object *o, *meta, *spec;
	char *text;

	o = *m->raw ? parse_object(m->raw, strlen(m->raw), err) : json_object_new_object();
	if (!o)
		return NULL;
	set_text(o, "apiVersion", api);
	set_text(o, "kind", ipamobj_kind_text(kind));
	meta = part(o, "metadata");
	spec = part(o, "spec");
	write_meta(meta, m, is_v1);
	if (kind == IPAMOBJ_BLOCK)
		write_block(spec, object);
	else if (kind == IPAMOBJ_AFFINITY)
		write_affinity(meta, spec, object, is_v1);
	else
		write_handle(spec, object);
	text = xstrdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return text;
}
