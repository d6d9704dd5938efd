/* Objects of every kind, sorted, each key once. Pure.
 */
#ifndef SELVAGE_STORE_TABLE_H
#define SELVAGE_STORE_TABLE_H

#include "store/store.h"

struct table {
	struct table_kind {
		const struct object **v;
		unsigned n, cap;
	} kinds[KIND_COUNT];
};

/* Takes a reference. Order does not matter; table_seal() ends the filling. */
void table_add(struct table *t, const struct object *o);
/* Sorts by namespace and name. Of two objects with one key the first by object_order() stays; the
 * other is told to duplicate() and dropped. */
void table_seal(struct table *t,
		void (*duplicate)(void *arg, const struct object *kept,
				  const struct object *dropped),
		void *arg);
/* The same for one kind only. */
void table_seal_kind(struct table *t, enum kind k,
		     void (*duplicate)(void *arg, const struct object *kept,
				       const struct object *dropped),
		     void *arg);
void table_clear(struct table *t);
void table_clear_kind(struct table *t, enum kind k);

const struct object *const *table_list(const struct table *t, enum kind k, unsigned *n);
const struct object *table_find(const struct table *t, enum kind k, const char *namespace_,
				const char *name);

/* What makes two documents one object: kind, namespace and name; policies, which are of many kinds,
 * also kind and group as written. <0, 0, >0. */
struct object_key {
	enum kind kind;
	const char *kind_text, *group, *namespace_, *name;
};
struct object_key object_key(const struct object *o);
int object_key_cmp(const struct object_key *a, const struct object_key *b);
const struct object *table_find_key(const struct table *t, const struct object_key *key);

#endif
