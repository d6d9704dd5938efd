/* Documents read by a table: each key with its type, range, default and place in a struct.
 *
 * What the table does not have is an error: "node.yaml:7:3: unknown key "hold" in bgp.defaults;
 * did you mean "holdTime"?". So is a wrong type or a value out of range, with what was expected.
 * All errors of a document are found, not just the first. The same tables print the option list of
 * the man page.
 */
#ifndef SELVAGE_LIB_SCHEMA_H
#define SELVAGE_LIB_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "lib/node.h"
#include "lib/prefix.h"

enum field_type {
	F_STR,      /* const char * */
	F_BOOL,     /* bool */
	F_U32,      /* uint32_t; min..max */
	F_S32,      /* int32_t; min..max */
	F_F64,      /* double */
	F_ASN,      /* uint32_t; "64512" or "1.10" (RFC 5396 asdot); 1..4294967295 */
	F_DURATION, /* uint32_t, milliseconds; "9s", "100ms", "1m", "1h", "1m30s", 0; min..max in ms */
	F_ADDR,     /* struct addr */
	F_PREFIX,   /* struct prefix; host bits are an error that names the network meant */
	F_IFADDR,   /* struct prefix with host bits; the length is required */
	F_ENUM,     /* int: index into words */
	F_MAP,      /* a struct in place; sub = its fields */
	F_LIST,     /* struct field_list; items of `item` type, or of sub for F_MAP items */
	F_KV,       /* struct field_kvs: a mapping of text to text (labels, annotations) */
	F_RAW,      /* const struct node *: kept as it stands */
	F_IGNORE,   /* accepted, not kept */
};

struct field_list {
	uint32_t n;
	void *v; /* array of the item's C type, in the arena */
};

struct field_kv {
	const char *key, *value;
};

struct field_kvs {
	uint32_t n;
	struct field_kv *v;
};

struct field {
	const char *key;
	enum field_type type;
	size_t offset;
	bool required;
	const char *def;         /* the default, as it would be written; NULL: zero */
	int64_t min, max;        /* both 0: no range beyond the C type's */
	const char *const *words; /* F_ENUM, NULL-terminated */
	const struct field *sub; /* F_MAP, and F_LIST of F_MAP; ends with key NULL */
	enum field_type item;    /* F_LIST */
	size_t item_size;        /* F_LIST of F_MAP: sizeof the item's struct */
	const char *help;        /* one sentence, for the man page */
};

/* Errors found in a document, in order. */
struct problems {
	struct arena *arena;
	unsigned n, cap;
	const char **text; /* each "file:line:column: path: what, expected what" */
};

void problem_add(struct problems *p, const char *file, const struct node *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Fills out (zeroed here, size bytes) from a mapping; defaults where a key is absent; strings
 * and lists live in the arena. Returns 0, or -1 when problems were added. path names the mapping in
 * messages ("bgp", "" for the root). */
int schema_read(const struct node *map, const struct field *fields, void *out, size_t size,
		const char *file, const char *path, struct arena *arena, struct problems *problems);

/* One duration ("9s", "1m30s", "100ms", "0") to milliseconds; -1 where it is none. */
int64_t duration_parse(const char *text);

#endif
