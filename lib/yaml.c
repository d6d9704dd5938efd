/* YAML text to a tree of nodes, by libyaml's events. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "lib/node.h"

enum { MAX_DEPTH = 32, MAX_NODES = 1000000, SMALL_MAP = 16 };

struct builder {
	yaml_parser_t parser;
	yaml_event_t event;
	bool have_event;
	const char *file;
	struct arena *arena;
	struct err *err;
	unsigned nodes;
	unsigned first_line;
};

static unsigned line_of(const struct builder *b, const yaml_mark_t *at)
{
	return b->first_line + (unsigned)at->line;
}

static int fail(struct builder *b, const yaml_mark_t *at, const char *what)
{
	return err_set(b->err, "%s:%u:%zu: %s", b->file, line_of(b, at), at->column + 1, what);
}

static int next_event(struct builder *b)
{
	if (b->have_event)
		yaml_event_delete(&b->event);
	b->have_event = false;
	if (!yaml_parser_parse(&b->parser, &b->event)) {
		const yaml_parser_t *p = &b->parser;
		const char *why = p->problem ? p->problem : "cannot be read as YAML";
		/* The reader (encoding, control characters) knows no position of its own. */
		const yaml_mark_t *at = p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark;

		return err_set(b->err, "%s:%u:%zu: not valid YAML: %s%s%s", b->file, line_of(b, at),
			       at->column + 1, why, p->context ? ", " : "",
			       p->context ? p->context : "");
	}
	b->have_event = true;
	return 0;
}

static bool is_null(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
	       !strcmp(text, "NULL");
}

static int check_plain(struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	const yaml_mark_t *at = &b->event.start_mark;

	if (anchor)
		return fail(b, at, "anchors (&name) are not supported; write the value out");
	if (tag)
		return fail(b, at,
			    "tags (!name) are not supported; quote a text that begins with !");
	return 0;
}

static int take_scalar(struct builder *b, struct node *n)
{
	const char *text = (const char *)b->event.data.scalar.value;
	size_t len = b->event.data.scalar.length;

	if (check_plain(b, b->event.data.scalar.anchor, b->event.data.scalar.tag))
		return -1;
	if (memchr(text, 0, len))
		return fail(b, &b->event.start_mark, "a text must not contain a NUL character");
	n->quoted = b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	n->kind = !n->quoted && is_null(text) ? NODE_NULL : NODE_SCALAR;
	n->text = arena_strndup(b->arena, text, len);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
	int c = strcmp(x->key, y->key);

	if (c)
		return c;
	return x->key_line != y->key_line ? (x->key_line < y->key_line ? -1 : 1)
	       : x->key_col < y->key_col  ? -1
					  : 1;
}

static int duplicate_error(struct builder *b, const struct node *first, const struct node *again)
{
	return err_set(b->err, "%s:%u:%u: key \"%s\" is already set at line %u; remove one of them",
		       b->file, again->key_line, again->key_col, again->key, first->key_line);
}

/* Sorting keeps a hostile mapping of many keys from costing n * n. */
static int check_duplicates(struct builder *b, const struct node *map)
{
	if (map->nchildren <= SMALL_MAP) {
		for (const struct node *x = map->child; x; x = x->next)
			for (const struct node *y = x->next; y; y = y->next)
				if (!strcmp(x->key, y->key))
					return duplicate_error(b, x, y);
		return 0;
	}
	const struct node **all = xmalloc(map->nchildren * sizeof(*all));
	unsigned n = 0;
	int rc = 0;

	for (const struct node *x = map->child; x; x = x->next)
		all[n++] = x;
	qsort(all, n, sizeof(*all), by_key);
	for (unsigned i = 1; i < n && !rc; i++)
		if (!strcmp(all[i - 1]->key, all[i]->key))
			rc = duplicate_error(b, all[i - 1], all[i]);
	free(all);
	return rc;
}

static int build(struct builder *b, unsigned depth, struct node *n);

/* The current event is a key of a mapping. */
static int take_key(struct builder *b, struct node *n)
{
	struct node key = { 0 };
	const yaml_mark_t at = b->event.start_mark;

	if (b->event.type == YAML_ALIAS_EVENT)
		return fail(b, &at, "aliases (*name) are not supported; write the value out");
	if (b->event.type != YAML_SCALAR_EVENT)
		return fail(b, &at, "a key must be a plain text");
	if (take_scalar(b, &key))
		return -1;
	if (!key.quoted && !strcmp(key.text, "<<"))
		return fail(b, &at, "merge keys (<<) are not supported; write the values out");
	n->key = key.text;
	n->key_line = line_of(b, &at);
	n->key_col = (unsigned)at.column + 1;
	return next_event(b);
}

static int build_children(struct builder *b, unsigned depth, struct node *parent, bool map)
{
	yaml_event_type_t end = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	struct node **tail = &parent->child;

	if (depth >= MAX_DEPTH)
		return fail(b, &b->event.start_mark, "nested too deep; at most 32 levels are read");
	for (;;) {
		if (next_event(b))
			return -1;
		if (b->event.type == end)
			return 0;
		struct node *n = arena_alloc(b->arena, sizeof(*n));

		if (map && take_key(b, n))
			return -1;
		if (build(b, depth + 1, n))
			return -1;
		*tail = n;
		tail = &n->next;
		parent->nchildren++;
	}
}

/* The current event begins the node. */
static int build(struct builder *b, unsigned depth, struct node *n)
{
	const yaml_event_t *e = &b->event;

	n->line = line_of(b, &e->start_mark);
	n->col = (unsigned)e->start_mark.column + 1;
	if (++b->nodes > MAX_NODES)
		return fail(b, &e->start_mark, "more than 1000000 values in one file; split it");
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(b, n);
	case YAML_SEQUENCE_START_EVENT:
		n->kind = NODE_LIST;
		if (check_plain(b, e->data.sequence_start.anchor, e->data.sequence_start.tag))
			return -1;
		return build_children(b, depth, n, false);
	case YAML_MAPPING_START_EVENT:
		n->kind = NODE_MAP;
		if (check_plain(b, e->data.mapping_start.anchor, e->data.mapping_start.tag) ||
		    build_children(b, depth, n, true))
			return -1;
		return check_duplicates(b, n);
	case YAML_ALIAS_EVENT:
		return fail(b, &e->start_mark,
			    "aliases (*name) are not supported; write the value out");
	default:
		return fail(b, &e->start_mark, "not valid YAML: a value is missing");
	}
}

static int build_stream(struct builder *b, struct doc **tail)
{
	for (;;) {
		if (next_event(b))
			return -1;
		if (b->event.type == YAML_STREAM_END_EVENT)
			return 0;
		if (b->event.type != YAML_DOCUMENT_START_EVENT)
			continue;
		if (next_event(b))
			return -1;
		struct node *root = arena_alloc(b->arena, sizeof(*root));

		if (build(b, 0, root))
			return -1;
		/* What follows belongs to this document until its end event: a document with a
		 * syntax error behind its root is broken as a whole. */
		if (next_event(b))
			return -1;
		if (root->kind == NODE_NULL)
			continue;
		struct doc *d = arena_alloc(b->arena, sizeof(*d));

		d->root = root;
		*tail = d;
		tail = &d->next;
	}
}

int yaml_parse(const char *text, size_t len, const char *file, struct arena *arena,
	       struct doc **docs, struct err *err)
{
	return yaml_parse_from(text, len, file, 1, arena, docs, err);
}

int yaml_parse_from(const char *text, size_t len, const char *file, unsigned first_line,
		    struct arena *arena, struct doc **docs, struct err *err)
{
	struct builder b = { .file = file, .arena = arena, .err = err, .first_line = first_line };

	*docs = NULL;
	if (!yaml_parser_initialize(&b.parser))
		abort();
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	int rc = build_stream(&b, docs);

	if (b.have_event)
		yaml_event_delete(&b.event);
	yaml_parser_delete(&b.parser);
	return rc;
}

const struct node *node_get(const struct node *map, const char *key)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (const struct node *n = map->child; n; n = n->next)
		if (!strcmp(n->key, key))
			return n;
	return NULL;
}

const char *node_kind_name(enum node_kind kind)
{
	switch (kind) {
	case NODE_NULL:
		return "nothing";
	case NODE_SCALAR:
		return "a single value";
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a mapping";
	}
	return "?";
}

struct node *node_copy(const struct node *n, struct arena *arena)
{
	struct node *c = arena_alloc(arena, sizeof(*c));

	*c = *n;
	c->next = NULL;
	c->child = NULL;
	c->text = n->text ? arena_strdup(arena, n->text) : NULL;
	c->key = n->key ? arena_strdup(arena, n->key) : NULL;
	struct node **tail = &c->child;

	for (const struct node *x = n->child; x; x = x->next) {
		*tail = node_copy(x, arena);
		tail = &(*tail)->next;
	}
	return c;
}
