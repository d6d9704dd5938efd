/* Copies of API objects, and edits of a block object as Calico makes them (pure). Internal to
 * ipam/. Everything made here lives in the arena given.
 */
#ifndef SELVAGE_IPAM_SYNC_OBJ_H
#define SELVAGE_IPAM_SYNC_OBJ_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/ipamobj.h"

struct ipamobj_block *obj_copy_block(struct arena *a, const struct ipamobj_block *b);
struct ipamobj_affinity *obj_copy_affinity(struct arena *a, const struct ipamobj_affinity *f);
struct ipamobj_handle *obj_copy_handle(struct arena *a, const struct ipamobj_handle *h);

/* A copy whose lists have room for every edit below. */
struct ipamobj_block *obj_edit_block(struct arena *a, const struct ipamobj_block *b);
/* An empty block, not yet in the API. */
struct ipamobj_block *obj_new_block(struct arena *a, const struct prefix *cidr, const char *node,
				    bool strict, uint64_t unix_ns);

/* The attribute of what is allocated; NULL: free (or the index is broken). */
const struct ipamobj_attr *obj_attr(const struct ipamobj_block *b, uint32_t ordinal);
const char *obj_secondary(const struct ipamobj_attr *at, const char *key); /* "" none */
/* Is the lists' every entry within range? A broken block is left alone. */
bool obj_block_sane(const struct ipamobj_block *b);
bool obj_block_empty(const struct ipamobj_block *b);
/* "host:<node>" and this node? */
bool obj_is_host(const char *affinity, const char *node);

/* In a block from obj_edit_block(): frees to the queue's end; takes with this attribute. */
void obj_free_ordinal(struct ipamobj_block *b, uint32_t ordinal);
void obj_take_ordinal(struct ipamobj_block *b, uint32_t ordinal, const struct ipamobj_attr *at);

/* RFC 3339 in UTC, whole seconds; and Calico's timestamp attribute, Go's Time.String(). */
char *obj_rfc3339(struct arena *a, uint64_t unix_s);
char *obj_timestamp(struct arena *a, uint64_t unix_s);
/* s since the epoch; 0: not such a text. */
uint64_t obj_parse_rfc3339(const char *text);

/* "10-0-0-0-26" back to its prefix. false: not a block's name. */
bool obj_name_to_cidr(const char *name, struct prefix *out);
/* A 32-bit hash of a text, the same everywhere (FNV-1a). */
uint32_t obj_hash(const char *text);

/* A set of texts: add all, sort, then ask. */
struct text_set {
	char **v;
	unsigned n, cap;
};
void text_set_add(struct text_set *s, const char *text); /* copied */
void text_set_sort(struct text_set *s);
bool text_set_has(const struct text_set *s, const char *text);
void text_set_free(struct text_set *s);

#endif
