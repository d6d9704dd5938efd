/* Calico's selectors: a recursive descent, and a walk over the tree it makes. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/selector.h"

enum { DEPTH_MAX = 32, LABEL_MAX = 512 };

enum op {
	OP_ALL,
	OP_GLOBAL,
	OP_HAS,
	OP_EQ,
	OP_NE,
	OP_CONTAINS,
	OP_STARTS,
	OP_ENDS,
	OP_IN,
	OP_NOT_IN,
	OP_NOT,
	OP_AND,
	OP_OR,
};

struct selector {
	enum op op;
	const char *label;
	const char *value;
	const char **set; /* sorted */
	unsigned nset;
	struct selector *child, *next;
};

struct parser {
	const char *text, *p;
	struct arena *arena;
	struct err *err;
	unsigned depth;
};

static struct selector *parse_or(struct parser *ps);

static void *fail(struct parser *ps, const char *why)
{
	err_set(ps->err, "column %zu: %s", (size_t)(ps->p - ps->text) + 1, why);
	return NULL;
}

/* NULL from a part may come with a reason of its own, which says more. */
static void *fail_unless_said(struct parser *ps, const char *why)
{
	return ps->err->text[0] ? NULL : fail(ps, why);
}

static void blanks(struct parser *ps)
{
	ps->p += strspn(ps->p, " \t\r\n");
}

static bool take(struct parser *ps, const char *token)
{
	size_t n = strlen(token);

	if (strncmp(ps->p, token, n) != 0)
		return false;
	ps->p += n;
	return true;
}

static struct selector *make(struct parser *ps, enum op op)
{
	struct selector *s = arena_alloc(ps->arena, sizeof(*s));

	s->op = op;
	return s;
}

static const char *parse_label(struct parser *ps)
{
	size_t n =
		strspn(ps->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-");
	const char *label;

	if (!n)
		return NULL;
	if (n > LABEL_MAX)
		return fail(ps, "a label's name is longer than 512 characters");
	label = arena_strndup(ps->arena, ps->p, n);
	ps->p += n;
	return label;
}

static const char *parse_string(struct parser *ps)
{
	blanks(ps);
	char quote = *ps->p;

	if (quote != '"' && quote != '\'')
		return fail(ps, "expected a text in quotes");
	const char *end = strchr(ps->p + 1, quote);

	if (!end)
		return fail(ps, "the text in quotes does not end");
	const char *value = arena_strndup(ps->arena, ps->p + 1, (size_t)(end - ps->p - 1));

	ps->p = end + 1;
	return value;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool parse_set(struct parser *ps, struct selector *s)
{
	unsigned cap = 0;

	blanks(ps);
	if (!take(ps, "{"))
		return fail(ps, "expected a set, like {\"a\", \"b\"}");
	for (blanks(ps); *ps->p == '"' || *ps->p == '\''; blanks(ps)) {
		const char *value = parse_string(ps);

		if (!value)
			return false;
		if (s->nset == cap) {
			const char **grown =
				arena_array(ps->arena, cap ? cap * 2 : 4, sizeof(*grown));

			if (cap)
				memcpy(grown, s->set, cap * sizeof(*grown));
			s->set = grown;
			cap = cap ? cap * 2 : 4;
		}
		s->set[s->nset++] = value;
		blanks(ps);
		if (!take(ps, ","))
			break;
	}
	if (!take(ps, "}"))
		return fail(ps, "expected , or } in the set");
	if (s->nset)
		qsort(s->set, s->nset, sizeof(*s->set), by_text);
	return true;
}

static bool two_words(struct parser *ps, const char *first, const char *second)
{
	const char *start = ps->p;

	if (take(ps, first)) {
		blanks(ps);
		if (take(ps, second))
			return true;
	}
	ps->p = start;
	return false;
}

/* After a label only an operator can stand, so a label may be called "in" or "contains". */
static struct selector *parse_comparison(struct parser *ps)
{
	struct selector *s = make(ps, OP_EQ);

	s->label = parse_label(ps);
	if (!s->label)
		return NULL;
	blanks(ps);
	if (take(ps, "=="))
		s->op = OP_EQ;
	else if (take(ps, "!="))
		s->op = OP_NE;
	else if (take(ps, "contains"))
		s->op = OP_CONTAINS;
	else if (two_words(ps, "starts", "with"))
		s->op = OP_STARTS;
	else if (two_words(ps, "ends", "with"))
		s->op = OP_ENDS;
	else if (two_words(ps, "not", "in"))
		s->op = OP_NOT_IN;
	else if (take(ps, "in"))
		s->op = OP_IN;
	else
		return fail(ps, "expected ==, !=, in, not in, contains, starts with or ends with "
				"behind the label");
	if (s->op == OP_IN || s->op == OP_NOT_IN)
		return parse_set(ps, s) ? s : NULL;
	s->value = parse_string(ps);
	return s->value ? s : NULL;
}

static struct selector *parse_call(struct parser *ps, enum op op)
{
	struct selector *s = make(ps, op);

	blanks(ps);
	if (op == OP_HAS) {
		s->label = parse_label(ps);
		if (!s->label)
			return fail_unless_said(ps, "expected a label's name in has()");
		blanks(ps);
	}
	return take(ps, ")") ? s : fail(ps, "expected )");
}

static struct selector *parse_parens(struct parser *ps)
{
	if (++ps->depth > DEPTH_MAX)
		return fail(ps, "parentheses nest deeper than 32");
	struct selector *s = parse_or(ps);

	if (!s)
		return NULL;
	ps->depth--;
	blanks(ps);
	return take(ps, ")") ? s : fail(ps, "expected )");
}

static struct selector *parse_term(struct parser *ps)
{
	if (take(ps, "("))
		return parse_parens(ps);
	if (take(ps, "has("))
		return parse_call(ps, OP_HAS);
	if (take(ps, "all("))
		return parse_call(ps, OP_ALL);
	if (take(ps, "global("))
		return parse_call(ps, OP_GLOBAL);
	if (!*ps->p)
		return fail(ps, "the selector ends too early");
	struct selector *s = parse_comparison(ps);

	return s ? s : fail_unless_said(ps, "expected a label, has(), all(), global(), ! or (");
}

static struct selector *parse_not(struct parser *ps)
{
	bool negated = false;

	for (blanks(ps); *ps->p == '!'; blanks(ps)) {
		negated = !negated;
		ps->p++;
	}
	struct selector *s = parse_term(ps);

	if (!s || !negated)
		return s;
	struct selector *n = make(ps, OP_NOT);

	n->child = s;
	return n;
}

/* One or more of `part`, joined by `token`. */
static struct selector *parse_chain(struct parser *ps, enum op op, const char *token,
				    struct selector *(*part)(struct parser *))
{
	struct selector *first = part(ps), *chain = NULL, *last = first;

	if (!first)
		return NULL;
	for (blanks(ps); take(ps, token); blanks(ps)) {
		if (!chain) {
			chain = make(ps, op);
			chain->child = first;
		}
		last->next = part(ps);
		if (!last->next)
			return NULL;
		last = last->next;
	}
	return chain ? chain : first;
}

static struct selector *parse_and(struct parser *ps)
{
	return parse_chain(ps, OP_AND, "&&", parse_not);
}

static struct selector *parse_or(struct parser *ps)
{
	return parse_chain(ps, OP_OR, "||", parse_and);
}

const struct selector *selector_parse(const char *text, struct arena *arena, struct err *err)
{
	struct parser ps = { text, text, arena, err, 0 };

	err->code = 0;
	err->text[0] = 0;
	blanks(&ps);
	if (!*ps.p)
		return make(&ps, OP_ALL);
	struct selector *s = parse_or(&ps);

	if (!s)
		return NULL;
	blanks(&ps);
	if (*ps.p)
		return fail(&ps, "expected && or || or the end");
	return s;
}

/* ---- evaluation ---- */

static const char *find(const struct field_kvs *labels, const char *key)
{
	for (uint32_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->v[i].key, key))
			return labels->v[i].value;
	return NULL;
}

static bool ends_with(const char *text, const char *tail)
{
	size_t n = strlen(text), t = strlen(tail);

	return n >= t && !memcmp(text + n - t, tail, t);
}

static bool in_set(const struct selector *s, const char *value)
{
	return s->nset && bsearch(&value, s->set, s->nset, sizeof(*s->set), by_text);
}

static bool compare(const struct selector *s, const char *have)
{
	switch (s->op) {
	case OP_EQ:
		return have && !strcmp(have, s->value);
	case OP_NE:
		return !have || strcmp(have, s->value) != 0;
	case OP_CONTAINS:
		return have && strstr(have, s->value);
	case OP_STARTS:
		return have && !strncmp(have, s->value, strlen(s->value));
	case OP_ENDS:
		return have && ends_with(have, s->value);
	case OP_IN:
		return have && in_set(s, have);
	case OP_NOT_IN:
		return !have || !in_set(s, have);
	default:
		return have != NULL;
	}
}

bool selector_matches(const struct selector *s, const struct field_kvs *labels)
{
	switch (s->op) {
	case OP_ALL:
		return true;
	case OP_GLOBAL:
		return !find(labels, "projectcalico.org/namespace");
	case OP_NOT:
		return !selector_matches(s->child, labels);
	case OP_AND:
		for (const struct selector *c = s->child; c; c = c->next)
			if (!selector_matches(c, labels))
				return false;
		return true;
	case OP_OR:
		for (const struct selector *c = s->child; c; c = c->next)
			if (selector_matches(c, labels))
				return true;
		return false;
	default:
		return compare(s, find(labels, s->label));
	}
}
