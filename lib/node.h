/* A document as a tree of nodes that know where they stand: what YAML (lib/yaml.c) and later JSON
 * become before a schema reads them. Lives in an arena.
 */
#ifndef SELVAGE_LIB_NODE_H
#define SELVAGE_LIB_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/arena.h"
#include "lib/err.h"

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	bool quoted;	    /* a scalar in quotes is text, never a number or a boolean */
	const char *text;   /* NODE_SCALAR */
	const char *key;    /* the key this node stands under, or NULL */
	unsigned line, col; /* from 1 */
	unsigned key_line, key_col;
	struct node *child; /* first of a list or map */
	struct node *next;  /* sibling */
	unsigned nchildren;
};

struct doc {
	struct node *root;
	struct doc *next;
};

const struct node *node_get(const struct node *map, const char *key); /* NULL if absent */
const char *node_kind_name(enum node_kind kind); /* "a mapping", "a list", ... */
/* A deep copy in another arena, its siblings left out. */
struct node *node_copy(const struct node *n, struct arena *arena);

/* All documents of a YAML text (file names it in errors: "file:line:column: ..."). Anchors,
 * aliases, merge keys, duplicate keys, tags, NUL characters, nesting over 32 and more than
 * 1,000,000 nodes are errors. An empty document is passed over. On a syntax error, *docs holds the
 * documents before it. */
int yaml_parse(const char *text, size_t len, const char *file, struct arena *arena,
	       struct doc **docs, struct err *err);
/* The same for a part of a file that begins at line first_line (from 1). */
int yaml_parse_from(const char *text, size_t len, const char *file, unsigned first_line,
		    struct arena *arena, struct doc **docs, struct err *err);

#endif
