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
	F_STR,	    /* const char *; never NULL: "" where absent without a default */
	F_BOOL,	    /* bool */
	F_U32,	    /* uint32_t; min..max */
	F_S32,	    /* int32_t; min..max */
	F_F64,	    /* double */
	F_ASN,	    /* uint32_t; "64512" or "1.10" (RFC 5396 asdot); 1..4294967295 */
	F_DURATION, /* uint32_t, milliseconds; "9s", "100ms", "1m", "1h", "1m30s", 0; min..max in ms
		     */
	F_ADDR,	    /* struct addr */
	F_PREFIX,   /* struct prefix; host bits are an error that names the network meant */
	F_IFADDR,   /* struct prefix with host bits; the length is required */
	F_ENUM,	    /* int: index into words */
	F_MAP,	    /* a struct in place; sub = its fields */
	F_LIST,	    /* struct field_list; items of `item` type, or of sub for F_MAP items */
	F_KV,	    /* struct field_kvs: a mapping of text to text (labels, annotations) */
	F_RAW,	    /* const struct node *: kept as it stands */
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
	const char *def;	  /* the default, as it would be written; NULL: zero */
	int64_t min, max;	  /* both 0: no range beyond the C type's */
	const char *const *words; /* F_ENUM, NULL-terminated; F_U32: words for numbers, "auto=0" */
	const struct field *sub;  /* F_MAP, and F_LIST of F_MAP; ends with key NULL */
	enum field_type item;	  /* F_LIST */
	size_t item_size;	  /* F_LIST of F_MAP: sizeof the item's struct */
	const char *help;	  /* one sentence, for the man page */
};

/* Rows that need no more than a place, keys that are known but not kept, and the table's end. */
#define FIELD(name, kind, at)                                                                      \
	{                                                                                          \
		.key = (name), .type = (kind), .offset = (at)                                      \
	}
#define FIELD_IGNORE(name)                                                                         \
	{                                                                                          \
		.key = (name), .type = F_IGNORE                                                    \
	}
#define FIELDS_END                                                                                 \
	{                                                                                          \
		.key = NULL                                                                        \
	}

/* Errors found in a document, in order. */
struct problems {
	struct arena *arena; /* set by the caller; the rest begins as zero */
	unsigned n, cap;
	const char **text; /* each "file:line:column: path: what, expected what" */
};

/* at NULL: about the file as a whole. */
void problem_add(struct problems *p, const char *file, const struct node *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A finished line, such as yaml_parse()'s error; copied. */
void problem_line(struct problems *p, const char *text);

/* Fills out (zeroed here, size bytes) from a mapping; defaults where a key is absent; strings
 * and lists live in the arena. Returns 0, or -1 when problems were added. path names the mapping in
 * messages ("bgp", "" for the root). */
int schema_read(const struct node *map, const struct field *fields, void *out, size_t size,
		const char *file, const char *path, struct arena *arena, struct problems *problems);

/* Reads one value of a table's row as it would be written; out is the row's place (not its struct).
 * For texts that come from elsewhere, such as annotations. path names it in messages. */
int schema_read_value(const struct node *value, const struct field *f, void *out, const char *file,
		      const char *path, struct arena *arena, struct problems *problems);
/* How many bytes a value of this row takes in its struct; 0 for F_MAP and F_IGNORE. */
size_t field_size(const struct field *f);

/* One duration ("9s", "1m30s", "100ms", "0") to milliseconds; -1 where it is none. */
int64_t duration_parse(const char *text);
/* An AS number, plain or asdot (RFC 5396); -1 where it is none. 0 is parsed. */
int64_t asn_parse(const char *text);
/* Of a NULL-terminated list, the word that was probably meant, by edit distance; NULL: none is
 * near. */
const char *nearest_word(const char *text, const char *const *words);

#endif
