/* The parts that documents are made of: selectors, prefixes, ports, protocols. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "felix/policy/read_impl.h"

#define DIGITS	   "0123456789"
#define WORD_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
#define BLANKS	   " \t\r\n"

enum { PORT_NAME_MAX = 128 };

/* ---- Calico's selectors ---- */

/* In a selector of namespaces or service accounts, all() is not everything: it asks that there is
 * one. Texts in quotes stay as they are; the text is known to parse. */
static const char *require_one(struct reading *r, const char *text, const char *has)
{
	/* "all()" is five characters at least. */
	char *out = arena_alloc(&r->scratch, (strlen(text) / 5 + 1) * (strlen(has) + 5) + 1);
	char *to = out, quote = 0;

	for (const char *c = text; *c; c++) {
		if (quote)
			quote = *c == quote ? 0 : quote;
		else if (*c == '"' || *c == '\'')
			quote = *c;
		else if (!strncmp(c, "all(", 4)) {
			to = stpcpy(to, has);
			c += 4 + strspn(c + 4, BLANKS);
			continue;
		}
		*to++ = *c;
	}
	return out;
}

static int take_text(struct reading *r, const struct node *node, const char *path, const char *text,
		     struct policy_selector *out)
{
	struct err err;

	out->text = keep_text(r, text);
	out->sel = selector_parse(out->text, r->keep, &err);
	if (out->sel)
		return 0;
	*out = (struct policy_selector){ 0 };
	return WRONG(r, node, "%s: %s", path, err.text);
}

int read_selector(struct reading *r, const struct node *node, const char *path, enum selector_of of,
		  struct policy_selector *out)
{
	static const char *const has[] = {
		[OF_NAMESPACE] = "has(" POLICY_LABEL_NAMESPACE ")",
		[OF_ACCOUNT] = "has(" POLICY_LABEL_ACCOUNT ")",
	};
	struct err err;

	*out = (struct policy_selector){ 0 };
	if (!node)
		return 0;
	if (node->kind != NODE_SCALAR)
		return WRONG(r, node, "%s: expected a selector, got %s", path,
			     node_kind_name(node->kind));
	const char *text = node->text + strspn(node->text, BLANKS);

	if (!*text)
		return 0;
	if (of != OF_LABELS) {
		/* First as it was written, so that an error's column is right. */
		if (!selector_parse(node->text, &r->scratch, &err))
			return WRONG(r, node, "%s: %s", path, err.text);
		return take_text(r, node, path, require_one(r, text, has[of]), out);
	}
	return take_text(r, node, path, node->text, out);
}

/* ---- Kubernetes' label selectors ---- */

struct terms {
	const char **v;
	uint32_t n;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_key(struct reading *r, const struct node *at, const char *path, const char *key)
{
	size_t n = strlen(key);

	if (n && n <= 317 && strspn(key, WORD_CHARS "/") == n)
		return 0;
	return WRONG(r, at, "%s: \"%.80s\" is not a label's name", path, key);
}

static int check_value(struct reading *r, const struct node *at, const char *path,
		       const char *value)
{
	size_t n = strlen(value);

	if (n <= 63 && strspn(value, WORD_CHARS) == n)
		return 0;
	return WRONG(r, at, "%s: \"%.80s\" is not a label's value", path, value);
}

static int match_labels(struct reading *r, const struct node *map, const char *path,
			struct terms *out)
{
	int rc = 0;

	if (map->kind != NODE_MAP)
		return WRONG(r, map, "%s: expected a mapping of text to text, got %s", path,
			     node_kind_name(map->kind));
	for (const struct node *x = map->child; x; x = x->next) {
		const char *value = x->kind == NODE_SCALAR ? x->text : "";

		if (x->kind != NODE_SCALAR && x->kind != NODE_NULL)
			rc = WRONG(r, x, "%s.%s: expected a text, got %s", path, x->key,
				   node_kind_name(x->kind));
		else if (check_key(r, x, path, x->key) || check_value(r, x, path, value))
			rc = -1;
		else
			out->v[out->n++] = arena_printf(&r->scratch, "%s == '%s'", x->key, value);
	}
	return rc;
}

struct expression {
	const char *key;
	int op;
	struct field_list values; /* const char * */
};
enum { OP_IN, OP_NOT_IN, OP_EXISTS, OP_NOT_EXISTS };
static const char *const op_words[] = { "In", "NotIn", "Exists", "DoesNotExist", NULL };
static const struct field expression_fields[] = {
	{ "key", F_STR, offsetof(struct expression, key), .required = true },
	{ "operator", F_ENUM, offsetof(struct expression, op), .words = op_words,
	  .required = true },
	{ "values", F_LIST, offsetof(struct expression, values), .item = F_STR },
	FIELDS_END,
};

static int match_expression(struct reading *r, const struct node *x, const char *path,
			    struct terms *out)
{
	struct expression e;
	const char **v;

	if (schema_read(x, expression_fields, &e, sizeof(e), r->o->file, path, &r->scratch,
			&r->problems) ||
	    check_key(r, x, path, e.key))
		return -1;
	v = e.values.v;
	if (e.op == OP_EXISTS || e.op == OP_NOT_EXISTS) {
		if (e.values.n)
			return WRONG(r, x, "%s: %s takes no values", path, op_words[e.op]);
		out->v[out->n++] =
			arena_printf(&r->scratch, "%shas(%s)", e.op == OP_EXISTS ? "" : "!", e.key);
		return 0;
	}
	if (!e.values.n)
		return WRONG(r, x, "%s: %s needs values", path, op_words[e.op]);
	qsort(v, e.values.n, sizeof(*v), by_text);
	size_t size = 1;

	for (uint32_t i = 0; i < e.values.n; i++) {
		if (check_value(r, x, path, v[i]))
			return -1;
		size += strlen(v[i]) + 4;
	}
	char *text = arena_alloc(&r->scratch, size), *to = text;

	for (uint32_t i = 0; i < e.values.n; i++) {
		if (i)
			to = stpcpy(to, ", ");
		*to++ = '\'';
		to = stpcpy(to, v[i]);
		*to++ = '\'';
	}
	out->v[out->n++] = arena_printf(&r->scratch, "%s %s {%s}", e.key,
					e.op == OP_IN ? "in" : "not in", text);
	return 0;
}

static const char *join_terms(struct reading *r, const struct terms *t)
{
	size_t size = 1;

	for (uint32_t i = 0; i < t->n; i++)
		size += strlen(t->v[i]) + 4;
	char *out = arena_alloc(&r->scratch, size), *to = out;

	for (uint32_t i = 0; i < t->n; i++)
		to = stpcpy(stpcpy(to, i ? " && " : ""), t->v[i]);
	return out;
}

static const struct field label_selector_fields[] = {
	FIELD_IGNORE("matchLabels"),
	FIELD_IGNORE("matchExpressions"),
	FIELDS_END,
};

int read_label_selector(struct reading *r, const struct node *node, const char *path,
			enum selector_of of, struct policy_selector *out)
{
	const struct node *labels = got(node, "matchLabels"), *x;
	struct terms terms = { 0 };
	uint32_t n, i = 0;
	int rc;

	*out = (struct policy_selector){ 0 };
	if (known_keys(r, node, label_selector_fields, path))
		return -1;
	rc = got_list(r, node, "matchExpressions", path, &x, &n);
	terms.v = arena_array(&r->scratch, (labels ? labels->nchildren : 0) + n + 1,
			      sizeof(*terms.v)); /* and one for has() */
	if (labels)
		rc |= match_labels(r, labels, path_key(r, path, "matchLabels"), &terms);
	for (; x; x = x->next, i++)
		rc |= match_expression(r, x, path_item(r, path, "matchExpressions", i), &terms);
	if (rc)
		return -1;
	if (!terms.n && of == OF_LABELS)
		return 0;
	if (!terms.n)
		return take_text(r, node, path, "has(" POLICY_LABEL_NAMESPACE ")", out);
	/* Not in the document's order: equal selectors are to have equal texts. */
	qsort(terms.v, terms.n, sizeof(*terms.v), by_text);
	if (of == OF_NAMESPACE)
		terms.v[terms.n++] = "has(" POLICY_LABEL_NAMESPACE ")";
	return take_text(r, node, path, join_terms(r, &terms), out);
}

/* ---- prefixes ---- */

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

int read_net(struct reading *r, const struct node *node, const char *path, bool bare,
	     struct prefix *out)
{
	if (node->kind != NODE_SCALAR || (!bare && !strchr(node->text, '/')) ||
	    prefix_parse(node->text, out))
		return WRONG(r, node, "%s: \"%.80s\" is no prefix; expected one like 10.0.0.0/16",
			     path, node->kind == NODE_SCALAR ? node->text : "");
	*out = prefix_mask(out);
	return 0;
}

void nets_keep(const struct reading *r, struct prefix *v, uint32_t n, struct policy_nets *out)
{
	uint32_t kept = 0;

	*out = (struct policy_nets){ 0 };
	if (!n)
		return;
	qsort(v, n, sizeof(*v), by_prefix);
	for (uint32_t i = 0; i < n; i++)
		if (!i || prefix_cmp(&v[i], &v[kept - 1]) != 0)
			v[kept++] = v[i];
	out->n = kept;
	out->v = memcpy(arena_array(r->keep, kept, sizeof(*v)), v, kept * sizeof(*v));
}

int read_nets(struct reading *r, const struct node *map, const char *key, const char *path,
	      bool bare, struct policy_nets *out)
{
	const struct node *x;
	struct prefix *v;
	uint32_t n, i = 0, good = 0;
	int rc = got_list(r, map, key, path, &x, &n);

	v = arena_array(&r->scratch, n + 1, sizeof(*v));
	for (; x; x = x->next, i++) {
		if (read_net(r, x, path_item(r, path, key, i), bare, &v[good]))
			rc = -1;
		else
			good++;
	}
	nets_keep(r, v, good, out);
	return rc;
}

/* ---- ports ---- */

static long digits(const char *text, size_t n)
{
	if (!n || n > 6 || strspn(text, DIGITS) < n)
		return -1;
	return strtol(text, NULL, 10);
}

int read_number(struct reading *r, const struct node *node, const char *path, long min, long max,
		uint16_t *out)
{
	long v = node->kind == NODE_SCALAR ? digits(node->text, strlen(node->text)) : -1;

	if (v < min || v > max)
		return WRONG(r, node, "%s: expected a number from %ld to %ld", path, min, max);
	*out = (uint16_t)v;
	return 0;
}

int read_port(struct reading *r, const struct node *node, const char *path, bool range,
	      struct policy_port *out)
{
	const char *text = node->kind == NODE_SCALAR ? node->text : "";
	size_t n = strlen(text);
	const char *colon = range ? strchr(text, ':') : NULL;
	long lo, hi;

	*out = (struct policy_port){ 0 };
	if (colon || (n && strspn(text, DIGITS) == n)) {
		lo = digits(text, colon ? (size_t)(colon - text) : n);
		hi = colon ? digits(colon + 1, strlen(colon + 1)) : lo;
		/* Calico lets a range begin at 0. */
		if (lo < !colon || hi < lo || hi > 65535)
			return WRONG(r, node, "%s: \"%.80s\" is no port or range of ports", path,
				     text);
		out->lo = (uint16_t)lo;
		out->hi = (uint16_t)hi;
		return 0;
	}
	if (!n || n > PORT_NAME_MAX || strspn(text, WORD_CHARS) != n)
		return WRONG(r, node, "%s: \"%.80s\" is no port: expected a number%s or a name",
			     path, text, range ? ", a range like 80:90" : "");
	out->name = keep_text(r, text);
	return 0;
}

static int by_port(const void *a, const void *b)
{
	const struct policy_port *x = a, *y = b;

	if (!x->name || !y->name)
		return x->name ? 1 : y->name ? -1 : x->lo != y->lo ? x->lo - y->lo : x->hi - y->hi;
	return strcmp(x->name, y->name);
}

/* b continues a: they can be one range, or are the same name. a is not behind b. */
static bool joins(const struct policy_port *a, const struct policy_port *b)
{
	if (!a->name != !b->name)
		return false;
	return a->name ? !strcmp(a->name, b->name) : b->lo <= a->hi + 1;
}

void ports_keep(const struct reading *r, struct policy_port *v, uint32_t n,
		struct policy_ports *out)
{
	uint32_t kept = 0;

	*out = (struct policy_ports){ 0 };
	if (!n)
		return;
	qsort(v, n, sizeof(*v), by_port);
	for (uint32_t i = 0; i < n; i++) {
		if (!kept || !joins(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
		else if (!v[i].name && v[i].hi > v[kept - 1].hi)
			v[kept - 1].hi = v[i].hi;
	}
	out->n = kept;
	out->v = memcpy(arena_array(r->keep, kept, sizeof(*v)), v, kept * sizeof(*v));
}

/* ---- protocols ---- */

int read_protocol(struct reading *r, const struct node *node, const char *path,
		  struct policy_protocol *out)
{
	static const struct {
		const char *name;
		uint8_t number;
	} names[] = {
		{ "TCP", PROTO_TCP },	    { "UDP", PROTO_UDP },   { "ICMP", PROTO_ICMP },
		{ "ICMPv6", PROTO_ICMPV6 }, { "SCTP", PROTO_SCTP }, { "UDPLite", PROTO_UDPLITE },
	};
	const char *text = node && node->kind == NODE_SCALAR ? node->text : "";

	*out = (struct policy_protocol){ 0 };
	if (!node)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(names[i].name, text)) {
			*out = (struct policy_protocol){ true, names[i].number };
			return 0;
		}
	long v = digits(text, strlen(text));

	if (v < 1 || v > 255)
		return WRONG(r, node,
			     "%s: \"%.80s\" is no protocol; expected TCP, UDP, ICMP, ICMPv6, "
			     "SCTP, UDPLite or a number from 1 to 255",
			     path, text);
	*out = (struct policy_protocol){ true, (uint8_t)v };
	return 0;
}
