/* Interned label and port sets. */
#include "config.h"

#include "felix/policy/ident.h"

static const char METADATA_NAME[] = "kubernetes.io/metadata.name";

/* ---- labels ---- */

static bool kvset_eq(const void *item, const void *key)
{
	const struct kvset *k = item;
	const struct field_kvs *want = key;

	if (k->kvs.n != want->n)
		return false;
	for (uint32_t i = 0; i < want->n; i++)
		if (strcmp(k->v[i].key, want->v[i].key) != 0 ||
		    strcmp(k->v[i].value, want->v[i].value) != 0)
			return false;
	return true;
}

struct kvset *kvset_get(struct sets *s, const struct field_kv *v, uint32_t n)
{
	struct field_kvs want = { n, (struct field_kv *)v };
	size_t texts = 0;
	uint32_t hash = HASH_SEED;

	for (uint32_t i = 0; i < n; i++) {
		hash = hash_text(hash_text(hash, v[i].key), v[i].value);
		texts += strlen(v[i].key) + strlen(v[i].value) + 2;
	}
	hash = hash_end(hash);
	struct kvset *k = hset_find(&s->kvs, hash, kvset_eq, &want);

	if (k)
		return kvset_ref(k);
	k = xmalloc(sizeof(*k) + n * sizeof(*k->v) + texts);
	k->hash = hash;
	k->refs = 1;
	k->kvs = (struct field_kvs){ n, k->v };
	char *p = (char *)(k->v + n);

	for (uint32_t i = 0; i < n; i++) {
		k->v[i].key = p;
		p = stpcpy(p, v[i].key) + 1;
		k->v[i].value = p;
		p = stpcpy(p, v[i].value) + 1;
	}
	hset_add(&s->kvs, k);
	return k;
}

struct kvset *kvset_ref(struct kvset *k)
{
	k->refs++;
	return k;
}

void kvset_put(struct sets *s, struct kvset *k)
{
	if (!k || --k->refs)
		return;
	hset_remove(&s->kvs, k);
	free(k);
}

/* ---- ports ---- */

static bool portset_eq(const void *item, const void *key)
{
	const struct portset *p = item, *want = key;

	if (p->n != want->n)
		return false;
	for (uint32_t i = 0; i < p->n; i++)
		if (p->v[i].port != want->v[i].port || p->v[i].protocol != want->v[i].protocol ||
		    strcmp(p->v[i].name, want->v[i].name) != 0)
			return false;
	return true;
}

static int by_port(const void *a, const void *b)
{
	const struct pod_port *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (!order)
		order = (int)x->protocol - (int)y->protocol;
	return order ? order : (int)x->port - (int)y->port;
}

struct portset *portset_get(struct sets *s, const struct pod_port *v, uint32_t n)
{
	size_t texts = 0;
	uint32_t hash = HASH_SEED;

	for (uint32_t i = 0; i < n; i++)
		texts += strlen(v[i].name) + 1;
	struct portset *p = xmalloc(sizeof(*p) + n * sizeof(*p->v) + texts);
	char *text;

	p->n = n;
	if (n)
		memcpy(p->v, v, n * sizeof(*v));
	qsort(p->v, n, sizeof(*p->v), by_port);
	text = (char *)(p->v + n);
	for (uint32_t i = 0; i < n; i++) {
		hash = hash_text(hash, p->v[i].name);
		hash = hash_u64(hash, (uint64_t)p->v[i].port << 8 | p->v[i].protocol);
		char *to = text;

		text = stpcpy(text, p->v[i].name) + 1;
		p->v[i].name = to;
	}
	p->hash = hash_end(hash);
	p->refs = 1;
	struct portset *have = hset_find(&s->ports, p->hash, portset_eq, p);

	if (have) {
		free(p);
		have->refs++;
		return have;
	}
	hset_add(&s->ports, p);
	return p;
}

void portset_put(struct sets *s, struct portset *p)
{
	if (!p || --p->refs)
		return;
	hset_remove(&s->ports, p);
	free(p);
}

/* ---- scopes ---- */

static struct kvset *prefixed(struct sets *s, const char *prefix, const struct field_kv *v,
			      uint32_t n)
{
	struct arena arena = { 0 };
	struct field_kv *out = arena_array(&arena, n ? n : 1, sizeof(*out));

	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct field_kv){ arena_printf(&arena, "%s%s", prefix, v[i].key),
					    v[i].value };
	struct kvset *k = kvset_get(s, out, n);

	arena_free(&arena);
	return k;
}

/* What it says itself never takes the place of what it is called. */
static struct scope scope_make(struct sets *s, const char *prefix, const char *label,
			       const char *name, const struct field_kvs *labels, bool metadata)
{
	uint32_t n = 0, have = labels ? labels->n : 0;
	struct field_kv *v = xmalloc((have + 3) * sizeof(*v));
	struct scope scope;

	v[n++] = (struct field_kv){ POLICY_LABEL_NAME, name };
	for (uint32_t i = 0; i < have; i++) {
		v[n++] = labels->v[i];
		metadata = metadata && strcmp(labels->v[i].key, METADATA_NAME) != 0;
	}
	if (metadata)
		v[n++] = (struct field_kv){ METADATA_NAME, name };
	scope.prefixed = prefixed(s, prefix, v, n);
	v[n++] = (struct field_kv){ label, name };
	scope.view = kvset_get(s, v, n);
	free(v);
	return scope;
}

struct scope scope_namespace(struct sets *s, const char *name, const struct field_kvs *labels)
{
	return scope_make(s, POLICY_PREFIX_NAMESPACE, POLICY_LABEL_NAMESPACE, name, labels, true);
}

struct scope scope_account(struct sets *s, const char *name, const struct field_kvs *labels)
{
	return scope_make(s, POLICY_PREFIX_ACCOUNT, POLICY_LABEL_ACCOUNT, name, labels, false);
}

struct scope scope_none(struct sets *s)
{
	return (struct scope){ kvset_get(s, NULL, 0), kvset_get(s, NULL, 0) };
}

void scope_put(struct sets *s, struct scope *scope)
{
	kvset_put(s, scope->view);
	kvset_put(s, scope->prefixed);
	*scope = (struct scope){ NULL, NULL };
}

/* ---- label sets ---- */

static bool lset_eq(const void *item, const void *key)
{
	const struct lset *a = item, *b = key;

	return a->is_pod == b->is_pod && a->own == b->own && a->ns == b->ns && a->sa == b->sa &&
	       a->ports == b->ports;
}

/* A scope's own name is its first label. */
static const char *scope_name(const struct kvset *view)
{
	return view->kvs.n ? view->v[0].value : "";
}

static void append(struct field_kvs *to, const struct field_kvs *from)
{
	if (from->n)
		memcpy(to->v + to->n, from->v, from->n * sizeof(*from->v));
	to->n += from->n;
}

static void lset_merge(struct lset *l)
{
	struct field_kvs *all = &l->labels;

	all->v = xmalloc((l->own->kvs.n + l->ns_prefixed->kvs.n + l->sa_prefixed->kvs.n + 3) *
			 sizeof(*all->v));
	all->n = 0;
	if (l->is_pod)
		all->v[all->n++] = (struct field_kv){ POLICY_LABEL_ORCHESTRATOR, "k8s" };
	if (l->namespace_[0])
		all->v[all->n++] = (struct field_kv){ POLICY_LABEL_NAMESPACE, l->namespace_ };
	if (l->account[0])
		all->v[all->n++] = (struct field_kv){ POLICY_LABEL_ACCOUNT, l->account };
	append(all, &l->ns_prefixed->kvs);
	append(all, &l->sa_prefixed->kvs);
	append(all, &l->own->kvs);
}

struct lset *lset_get(struct sets *s, bool is_pod, struct kvset *own, const struct scope *ns,
		      const struct scope *sa, struct portset *ports)
{
	struct lset want = { .is_pod = is_pod,
			     .own = own,
			     .ns = ns->view,
			     .sa = sa->view,
			     .ns_prefixed = ns->prefixed,
			     .sa_prefixed = sa->prefixed,
			     .ports = ports };
	uint32_t hash = hash_u64(is_pod, (uintptr_t)own);

	hash = hash_u64(hash, (uintptr_t)ns->view);
	hash = hash_u64(hash, (uintptr_t)sa->view);
	want.hash = hash_u64(hash, (uintptr_t)ports);
	struct lset *l = hset_find(&s->lsets, want.hash, lset_eq, &want);

	if (l)
		return lset_ref(l);
	l = xmalloc(sizeof(*l));
	*l = want;
	l->refs = 1;
	kvset_ref(own);
	kvset_ref(ns->view);
	kvset_ref(ns->prefixed);
	kvset_ref(sa->view);
	kvset_ref(sa->prefixed);
	ports->refs++;
	l->namespace_ = scope_name(l->ns);
	l->account = scope_name(l->sa);
	lset_merge(l);
	hset_add(&s->lsets, l);
	return l;
}

struct lset *lset_ref(struct lset *l)
{
	l->refs++;
	return l;
}

void lset_put(struct sets *s, struct lset *l)
{
	if (!l || --l->refs)
		return;
	hset_remove(&s->lsets, l);
	kvset_put(s, l->own);
	kvset_put(s, l->ns);
	kvset_put(s, l->sa);
	kvset_put(s, l->ns_prefixed);
	kvset_put(s, l->sa_prefixed);
	portset_put(s, l->ports);
	free(l->labels.v);
	free(l);
}
