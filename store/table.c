#include "config.h"

#include "store/table.h"

#include <stdlib.h>
#include <string.h>

struct object_key object_key(const struct object *o)
{
	return (struct object_key){ o->kind, o->kind_text, o->group, o->namespace_, o->name };
}

int object_key_cmp(const struct object_key *a, const struct object_key *b)
{
	int c = a->kind < b->kind ? -1 : a->kind > b->kind;

	if (!c)
		c = strcmp(a->namespace_, b->namespace_);
	if (!c)
		c = strcmp(a->name, b->name);
	if (!c && a->kind == KIND_POLICY) {
		c = strcmp(a->kind_text, b->kind_text);
		if (!c)
			c = strcmp(a->group, b->group);
	}
	return c;
}

void table_add(struct table *t, const struct object *o)
{
	struct table_kind *k = &t->kinds[o->kind];

	if (k->n == k->cap) {
		k->cap = k->cap ? k->cap * 2 : 16;
		k->v = xrealloc(k->v, k->cap * sizeof(*k->v));
	}
	k->v[k->n++] = object_ref(o);
}

static int by_key_and_order(const void *a, const void *b)
{
	const struct object *x = *(const struct object *const *)a;
	const struct object *y = *(const struct object *const *)b;
	const struct object_key kx = object_key(x), ky = object_key(y);
	int c = object_key_cmp(&kx, &ky);

	return c ? c : object_order(x, y);
}

static void drop(const struct object *o)
{
	object_unref((struct object *)(uintptr_t)o);
}

void table_seal_kind(struct table *t, enum kind kind,
		     void (*duplicate)(void *arg, const struct object *kept,
				       const struct object *dropped),
		     void *arg)
{
	struct table_kind *k = &t->kinds[kind];
	unsigned kept = 0;

	if (k->n)
		qsort(k->v, k->n, sizeof(*k->v), by_key_and_order);
	for (unsigned j = 0; j < k->n; j++) {
		struct object_key now = object_key(k->v[j]), last;

		if (kept) {
			last = object_key(k->v[kept - 1]);
			if (!object_key_cmp(&last, &now)) {
				if (duplicate)
					duplicate(arg, k->v[kept - 1], k->v[j]);
				drop(k->v[j]);
				continue;
			}
		}
		k->v[kept++] = k->v[j];
	}
	k->n = kept;
}

void table_seal(struct table *t,
		void (*duplicate)(void *arg, const struct object *kept,
				  const struct object *dropped),
		void *arg)
{
	for (unsigned i = 0; i < KIND_COUNT; i++)
		table_seal_kind(t, (enum kind)i, duplicate, arg);
}

void table_clear_kind(struct table *t, enum kind kind)
{
	struct table_kind *k = &t->kinds[kind];

	for (unsigned j = 0; j < k->n; j++)
		drop(k->v[j]);
	free(k->v);
	memset(k, 0, sizeof(*k));
}

void table_clear(struct table *t)
{
	for (unsigned i = 0; i < KIND_COUNT; i++)
		table_clear_kind(t, (enum kind)i);
}

const struct object *const *table_list(const struct table *t, enum kind k, unsigned *n)
{
	*n = (unsigned)k < KIND_COUNT ? t->kinds[k].n : 0;
	return *n ? t->kinds[k].v : NULL;
}

/* The first object that is not before the key; objects of a policy kind with one namespace and name
 * stand together. */
static unsigned lower_bound(const struct table_kind *k, const struct object_key *key)
{
	unsigned lo = 0, hi = k->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		struct object_key at = object_key(k->v[mid]);

		if (object_key_cmp(&at, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct object *table_find_key(const struct table *t, const struct object_key *key)
{
	const struct table_kind *k = &t->kinds[key->kind];
	unsigned i = lower_bound(k, key);

	if (i == k->n)
		return NULL;
	struct object_key at = object_key(k->v[i]);

	return object_key_cmp(&at, key) ? NULL : k->v[i];
}

const struct object *table_find(const struct table *t, enum kind kind, const char *namespace_,
				const char *name)
{
	if ((unsigned)kind >= KIND_COUNT)
		return NULL;
	const struct table_kind *k = &t->kinds[kind];
	const struct object_key key = { kind, "", "", namespace_, name };
	unsigned i = lower_bound(k, &key);

	if (i == k->n || strcmp(k->v[i]->namespace_, namespace_) != 0 ||
	    strcmp(k->v[i]->name, name) != 0)
		return NULL;
	return k->v[i];
}
