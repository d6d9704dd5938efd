/* Documents read by a table. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/schema.h"

enum { NEAR_MAX = 64, PATH_MAX_LEN = 512 };

struct reader {
	const char *file;
	struct arena *arena;
	struct problems *problems;
};

static int read_map(const struct reader *r, const struct node *map, const struct field *fields,
		    char *out, const char *path);
static int read_value(const struct reader *r, const struct node *n, const struct field *f,
		      void *out, const char *path);

/* ---- problems ---- */

static void problem_push(struct problems *p, const char *text)
{
	if (p->n == p->cap) {
		unsigned cap = p->cap ? p->cap * 2 : 8;
		const char **v = arena_array(p->arena, cap, sizeof(*v));

		if (p->n)
			memcpy(v, p->text, p->n * sizeof(*v));
		p->text = v;
		p->cap = cap;
	}
	p->text[p->n++] = text;
}

static const char *__attribute__((format(printf, 2, 0)))
vprint(struct arena *arena, const char *fmt, va_list ap)
{
	char small[512];
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	const char *text;

	if (n >= 0 && (size_t)n < sizeof(small)) {
		text = arena_strndup(arena, small, (size_t)n);
	} else {
		size_t size = n < 0 ? 1 : (size_t)n + 1;
		char *big = arena_alloc(arena, size);

		vsnprintf(big, size, fmt, again);
		text = big;
	}
	va_end(again);
	return text;
}

void problem_add(struct problems *p, const char *file, const struct node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const char *what = vprint(p->arena, fmt, ap);

	va_end(ap);
	if (at && at->line)
		problem_push(p,
			     arena_printf(p->arena, "%s:%u:%u: %s", file, at->line, at->col, what));
	else
		problem_push(p, arena_printf(p->arena, "%s: %s", file, what));
}

void problem_line(struct problems *p, const char *text)
{
	problem_push(p, arena_strdup(p->arena, text));
}

#define FAIL(r, at, ...) (problem_add((r)->problems, (r)->file, (at), __VA_ARGS__), -1)

/* ---- did you mean ---- */

/* Edit distance where swapping two neighbours counts once, so that "prot" is near "port". */
static unsigned distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned rows[3][NEAR_MAX + 1];
	unsigned *two = rows[0], *one = rows[1], *now = rows[2];

	for (size_t j = 0; j <= lb; j++)
		one[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned same = a[i - 1] == b[j - 1] ? 0 : 1;
			unsigned best = one[j - 1] + same;

			if (one[j] + 1 < best)
				best = one[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
		unsigned *spare = two;

		two = one;
		one = now;
		now = spare;
	}
	return one[lb];
}

static void lower(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] + 32) : from[i];
}

struct nearest {
	const char *text; /* what was written, lower case */
	char low[NEAR_MAX];
	size_t len;
	const char *best;
	unsigned best_distance;
};

static void nearest_begin(struct nearest *n, const char *text)
{
	n->len = strlen(text);
	n->best = NULL;
	n->best_distance = n->len / 3 + 1;
	if (n->best_distance > 4)
		n->best_distance = 4;
	n->best_distance++;
	if (n->len <= NEAR_MAX)
		lower(n->low, text, n->len);
}

static void nearest_try(struct nearest *n, const char *word)
{
	char low[NEAR_MAX];
	size_t len = strlen(word);

	if (!n->len || n->len > NEAR_MAX || len > NEAR_MAX)
		return;
	lower(low, word, len);
	/* "hold" for "holdTime": what was written is a part of the word, from its start. */
	unsigned d = len > n->len && n->len >= 3 && !memcmp(low, n->low, n->len)
			     ? 1
			     : distance(n->low, n->len, low, len);

	if (d < n->best_distance) {
		n->best = word;
		n->best_distance = d;
	}
}

const char *nearest_word(const char *text, const char *const *words)
{
	struct nearest n;

	nearest_begin(&n, text);
	for (; *words; words++)
		nearest_try(&n, *words);
	return n.best;
}

static const char *nearest_key(const char *text, const struct field *fields)
{
	struct nearest n;

	nearest_begin(&n, text);
	for (; fields->key; fields++)
		nearest_try(&n, fields->key);
	return n.best;
}

/* ---- scalars ---- */

/* Digits alone; -1 where text is not a number or does not fit 63 bits. */
static int64_t digits(const char *text)
{
	int64_t v = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *text - '0', &v))
			return -1;
	}
	return v;
}

int64_t asn_parse(const char *text)
{
	const char *dot = strchr(text, '.');
	char high[16];

	if (!dot) {
		int64_t v = digits(text);
		return v > UINT32_MAX ? -1 : v;
	}
	if ((size_t)(dot - text) >= sizeof(high))
		return -1;
	memcpy(high, text, (size_t)(dot - text));
	high[dot - text] = 0;
	int64_t h = digits(high), l = digits(dot + 1);

	return h < 0 || l < 0 || h > UINT16_MAX || l > UINT16_MAX ? -1 : h << 16 | l;
}

int64_t duration_parse(const char *text)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	int64_t total = 0;

	if (!strcmp(text, "0"))
		return 0;
	if (!*text)
		return -1;
	while (*text) {
		size_t n = strspn(text, "0123456789");
		char number[20];
		unsigned u = 0;

		if (!n || n >= sizeof(number))
			return -1;
		memcpy(number, text, n);
		number[n] = 0;
		text += n;
		size_t unit = strcspn(text, "0123456789");

		while (u < 4 &&
		       (strlen(units[u].name) != unit || memcmp(units[u].name, text, unit)))
			u++;
		int64_t v = digits(number);

		if (u == 4 || v < 0 || __builtin_mul_overflow(v, units[u].ms, &v) ||
		    __builtin_add_overflow(total, v, &total))
			return -1;
		text += unit;
	}
	return total;
}

static const char *duration_text(struct arena *a, int64_t ms)
{
	if (ms % 1000)
		return arena_printf(a, "%" PRId64 "ms", ms);
	if (ms && ms % 3600000 == 0)
		return arena_printf(a, "%" PRId64 "h", ms / 3600000);
	return arena_printf(a, "%" PRId64 "s", ms / 1000);
}

/* "path: what was written": how a message about a value begins. */
static const char *shown(const struct reader *r, const struct node *n)
{
	if (n->kind != NODE_SCALAR)
		return node_kind_name(n->kind);
	size_t len = strlen(n->text);

	if (len > 80)
		return arena_printf(r->problems->arena, "\"%.77s...\"", n->text);
	return arena_printf(r->problems->arena, "\"%s\"", n->text);
}

static int expected(const struct reader *r, const struct node *n, const char *path,
		    const char *what)
{
	return FAIL(r, n, "%s: %s is not allowed here; expected %s", path, shown(r, n), what);
}

static int read_bool(const struct reader *r, const struct node *n, bool *out, const char *path)
{
	if (!n->quoted &&
	    (!strcmp(n->text, "true") || !strcmp(n->text, "True") || !strcmp(n->text, "TRUE")))
		*out = true;
	else if (!n->quoted && (!strcmp(n->text, "false") || !strcmp(n->text, "False") ||
				!strcmp(n->text, "FALSE")))
		*out = false;
	else
		return expected(r, n, path,
				n->quoted ? "true or false without quotes" : "true or false");
	return 0;
}

static const char *range_text(struct arena *a, const struct field *f, int64_t min, int64_t max)
{
	const char *words = "";

	for (const char *const *w = f->type == F_U32 ? f->words : NULL; w && *w; w++)
		words = arena_printf(a, "%s%.*s or ", words, (int)strcspn(*w, "="), *w);
	return arena_printf(a, "%sa whole number from %" PRId64 " to %" PRId64, words, min, max);
}

static bool word_number(const struct field *f, const char *text, int64_t *out)
{
	for (const char *const *w = f->words; w && *w; w++) {
		size_t n = strcspn(*w, "=");

		if (strlen(text) == n && !memcmp(*w, text, n)) {
			*out = digits(*w + n + 1);
			return true;
		}
	}
	return false;
}

static int read_number(const struct reader *r, const struct node *n, const struct field *f,
		       void *out, const char *path)
{
	bool is_signed = f->type == F_S32, ranged = f->min || f->max;
	int64_t min = ranged ? f->min : is_signed ? INT32_MIN : 0;
	int64_t max = ranged ? f->max : is_signed ? INT32_MAX : UINT32_MAX;
	int64_t v;

	if (word_number(f, n->text, &v)) {
		*(uint32_t *)out = (uint32_t)v;
		return 0;
	}
	bool minus = is_signed && n->text[0] == '-';

	v = digits(n->text + minus);
	if (n->quoted || v < 0 || (minus ? -v : v) < min || (minus ? -v : v) > max)
		return expected(r, n, path,
				arena_printf(r->problems->arena, "%s%s",
					     range_text(r->problems->arena, f, min, max),
					     n->quoted ? " without quotes" : ""));
	if (is_signed)
		*(int32_t *)out = (int32_t)(minus ? -v : v);
	else
		*(uint32_t *)out = (uint32_t)v;
	return 0;
}

static int read_f64(const struct reader *r, const struct node *n, double *out, const char *path)
{
	char *end;

	errno = 0;
	double v = strtod(n->text, &end);

	/* strtod takes hex, "inf" and blanks too; a document's number has digits only. */
	if (n->quoted || *end || errno || !isfinite(v) ||
	    strspn(n->text, "0123456789.eE+-") != strlen(n->text))
		return expected(r, n, path, "a number");
	*out = v;
	return 0;
}

static int read_asn(const struct reader *r, const struct node *n, uint32_t *out, const char *path)
{
	int64_t v = asn_parse(n->text);

	if (v < 1)
		return expected(r, n, path,
				"an AS number from 1 to 4294967295 (or asdot, like 1.10)");
	*out = (uint32_t)v;
	return 0;
}

static int read_duration(const struct reader *r, const struct node *n, const struct field *f,
			 uint32_t *out, const char *path)
{
	struct arena *a = r->problems->arena;
	bool ranged = f->min || f->max;
	int64_t v = duration_parse(n->text), max = ranged ? f->max : UINT32_MAX;

	if (v < 0)
		return expected(r, n, path, "a time with its unit, like 9s, 100ms or 1m30s");
	if (v < f->min || v > max)
		return expected(r, n, path,
				arena_printf(a, "a time from %s to %s", duration_text(a, f->min),
					     duration_text(a, max)));
	*out = (uint32_t)v;
	return 0;
}

static int read_prefix(const struct reader *r, const struct node *n, struct prefix *out,
		       const char *path)
{
	char text[PREFIX_STRLEN];

	if (prefix_parse(n->text, out))
		return expected(r, n, path, "a prefix, like 10.0.0.0/16 or fd00::/48");
	if (prefix_has_host_bits(out)) {
		struct prefix net = prefix_mask(out);

		return FAIL(r, n, "%s: %s has bits set behind its length; the network is %s", path,
			    shown(r, n), prefix_format(&net, text, sizeof(text)));
	}
	return 0;
}

static int read_enum(const struct reader *r, const struct node *n, const struct field *f, int *out,
		     const char *path)
{
	struct arena *a = r->problems->arena;
	const char *all = "";

	for (int i = 0; f->words[i]; i++) {
		if (!strcmp(f->words[i], n->text)) {
			*out = i;
			return 0;
		}
		all = arena_printf(a, "%s%s%s", all, i ? ", " : "", f->words[i]);
	}
	const char *near = nearest_word(n->text, f->words);

	return FAIL(r, n, "%s: %s is not allowed here; expected one of: %s%s%s%s", path,
		    shown(r, n), all, near ? "; did you mean \"" : "", near ? near : "",
		    near ? "\"?" : "");
}

/* ---- lists and mappings ---- */

static size_t type_size(enum field_type t)
{
	switch (t) {
	case F_STR:
	case F_RAW:
		return sizeof(void *);
	case F_BOOL:
		return sizeof(bool);
	case F_U32:
	case F_S32:
	case F_ASN:
	case F_DURATION:
		return sizeof(uint32_t);
	case F_ENUM:
		return sizeof(int);
	case F_F64:
		return sizeof(double);
	case F_ADDR:
		return sizeof(struct addr);
	case F_PREFIX:
	case F_IFADDR:
		return sizeof(struct prefix);
	case F_LIST:
		return sizeof(struct field_list);
	case F_KV:
		return sizeof(struct field_kvs);
	case F_MAP:
	case F_IGNORE:
		break;
	}
	return 0;
}

size_t field_size(const struct field *f)
{
	return type_size(f->type);
}

static int read_list(const struct reader *r, const struct node *n, const struct field *f,
		     struct field_list *out, const char *path)
{
	size_t size = f->item == F_MAP ? f->item_size : type_size(f->item);
	struct field item = *f;
	int rc = 0;
	uint32_t i = 0;

	if (n->kind != NODE_LIST)
		return expected(r, n, path, "a list, like [a, b]");
	item.type = f->item;
	char *v = arena_array(r->arena, n->nchildren, size);

	for (const struct node *x = n->child; x; x = x->next, i++) {
		const char *at = arena_printf(r->problems->arena, "%s[%u]", path, i);

		if (x->kind == NODE_NULL)
			rc = FAIL(r, x, "%s: the value is missing", at);
		else if (read_value(r, x, &item, v + i * size, at))
			rc = -1;
	}
	out->v = v;
	out->n = n->nchildren;
	return rc;
}

static int read_kvs(const struct reader *r, const struct node *n, struct field_kvs *out,
		    const char *path)
{
	int rc = 0;

	if (n->kind != NODE_MAP)
		return expected(r, n, path, "a mapping of text to text");
	out->v = arena_array(r->arena, n->nchildren, sizeof(*out->v));
	for (const struct node *x = n->child; x; x = x->next) {
		if (x->kind != NODE_SCALAR && x->kind != NODE_NULL) {
			rc = FAIL(r, x, "%s.%s: %s is not allowed here; expected a text", path,
				  x->key, node_kind_name(x->kind));
			continue;
		}
		out->v[out->n++] =
			(struct field_kv){ arena_strdup(r->arena, x->key),
					   x->kind == NODE_NULL ? ""
								: arena_strdup(r->arena, x->text) };
	}
	return rc;
}

static const char *scalar_name(enum field_type t)
{
	switch (t) {
	case F_BOOL:
		return "true or false";
	case F_U32:
	case F_S32:
	case F_F64:
		return "a number";
	case F_ASN:
		return "an AS number";
	case F_DURATION:
		return "a time, like 9s";
	case F_ADDR:
		return "an IP address";
	case F_PREFIX:
		return "a prefix";
	case F_IFADDR:
		return "an address with its length, like 10.0.0.1/24";
	default:
		return "a text";
	}
}

static int read_scalar(const struct reader *r, const struct node *n, const struct field *f,
		       void *out, const char *path)
{
	if (n->kind != NODE_SCALAR)
		return expected(r, n, path, scalar_name(f->type));
	switch (f->type) {
	case F_STR:
		*(const char **)out = arena_strdup(r->arena, n->text);
		return 0;
	case F_BOOL:
		return read_bool(r, n, out, path);
	case F_U32:
	case F_S32:
		return read_number(r, n, f, out, path);
	case F_F64:
		return read_f64(r, n, out, path);
	case F_ASN:
		return read_asn(r, n, out, path);
	case F_DURATION:
		return read_duration(r, n, f, out, path);
	case F_ADDR:
		if (addr_parse(n->text, out))
			return expected(r, n, path, "an IP address, like 10.0.0.1 or fd00::1");
		return 0;
	case F_PREFIX:
		return read_prefix(r, n, out, path);
	case F_IFADDR:
		if (!strchr(n->text, '/') || prefix_parse(n->text, out))
			return expected(r, n, path, scalar_name(F_IFADDR));
		return 0;
	case F_ENUM:
		return read_enum(r, n, f, out, path);
	default:
		abort();
	}
}

static int read_value(const struct reader *r, const struct node *n, const struct field *f,
		      void *out, const char *path)
{
	switch (f->type) {
	case F_IGNORE:
		return 0;
	case F_RAW:
		*(const struct node **)out = node_copy(n, r->arena);
		return 0;
	case F_MAP:
		if (n->kind != NODE_MAP)
			return expected(r, n, path, "a mapping, like {key: value}");
		return read_map(r, n, f->sub, out, path);
	case F_LIST:
		return read_list(r, n, f, out, path);
	case F_KV:
		return read_kvs(r, n, out, path);
	default:
		return read_scalar(r, n, f, out, path);
	}
}

static int read_default(const struct reader *r, const struct field *f, void *out, const char *path)
{
	struct node scalar = { .kind = NODE_SCALAR, .text = f->def };
	struct doc *docs;
	struct err err;

	if (f->type == F_MAP)
		return read_map(r, NULL, f->sub, out, path);
	if (!f->def) {
		if (f->type == F_STR)
			*(const char **)out = "";
		return 0;
	}
	if (f->type != F_LIST)
		return read_value(r, &scalar, f, out, path);
	if (yaml_parse(f->def, strlen(f->def), "default", r->arena, &docs, &err) || !docs)
		return FAIL(r, NULL, "%s: the default in the table cannot be read", path);
	return read_value(r, docs->root, f, out, path);
}

static const char *join(const struct reader *r, const char *path, const char *key)
{
	/* Deep paths exist only where the tables nest, so this is a bound for the message alone. */
	if (strlen(path) > PATH_MAX_LEN)
		path = "...";
	return *path ? arena_printf(r->problems->arena, "%s.%s", path, key) : key;
}

static int unknown_key(const struct reader *r, const struct node *n, const struct field *fields,
		       const char *path)
{
	struct node at = { .line = n->key_line, .col = n->key_col };
	const char *near = nearest_key(n->key, fields);

	return FAIL(r, &at, "unknown key \"%.80s\"%s%s%s%s%s", n->key, *path ? " in " : "", path,
		    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* In the order of the document, so that problems come in it too; then what is absent. map NULL: all
 * defaults, and nothing is required. */
static int read_map(const struct reader *r, const struct node *map, const struct field *fields,
		    char *out, const char *path)
{
	int rc = 0;

	for (const struct node *n = map ? map->child : NULL; n; n = n->next) {
		const struct field *f = fields;

		while (f->key && strcmp(f->key, n->key) != 0)
			f++;
		if (!f->key)
			rc = unknown_key(r, n, fields, path);
		else if (n->kind != NODE_NULL &&
			 read_value(r, n, f, out + f->offset, join(r, path, f->key)))
			rc = -1;
	}
	for (const struct field *f = fields; f->key; f++) {
		const struct node *n = node_get(map, f->key);

		if (n && n->kind != NODE_NULL)
			continue;
		if (map && f->required)
			rc = FAIL(r, n ? n : map, "%s: is missing", join(r, path, f->key));
		else if (read_default(r, f, out + f->offset, join(r, path, f->key)))
			rc = -1;
	}
	return rc;
}

int schema_read(const struct node *map, const struct field *fields, void *out, size_t size,
		const char *file, const char *path, struct arena *arena, struct problems *problems)
{
	const struct reader r = { file, arena, problems };

	memset(out, 0, size);
	if (map && map->kind != NODE_MAP && map->kind != NODE_NULL) {
		problem_add(problems, file, map, "%s%sexpected a mapping (key: value), got %s",
			    path, *path ? ": " : "", node_kind_name(map->kind));
		return -1;
	}
	return read_map(&r, map, fields, out, path);
}

int schema_read_value(const struct node *value, const struct field *f, void *out, const char *file,
		      const char *path, struct arena *arena, struct problems *problems)
{
	const struct reader r = { file, arena, problems };

	return read_value(&r, value, f, out, path);
}
