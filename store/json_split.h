/* Where one object ends and the next begins, in JSON that arrives in pieces of any size: the items
 * of a list's answer, or the lines of a watch. It only looks at brackets and quotes; whether an
 * object is right is judged when it is parsed. What lies whole in one piece is not copied. Pure.
 */
#ifndef SELVAGE_STORE_JSON_SPLIT_H
#define SELVAGE_STORE_JSON_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

/* etcd takes requests of 1.5 MiB; a watch event has some words around its object. */
enum { JSON_SPLIT_OBJECT_MAX = 3 << 20, JSON_SPLIT_KEY_MAX = 64 };

enum json_split_mode {
	JSON_SPLIT_LIST, /* one object; each element of its array "items" is told */
	JSON_SPLIT_LINES,
};

enum json_split_event {
	JSON_SPLIT_MORE,   /* everything was read; another piece is wanted */
	JSON_SPLIT_ITEM,   /* an element of "items", or a line */
	JSON_SPLIT_MEMBER, /* LIST: another member of the outermost object; key is set */
	JSON_SPLIT_END,	   /* LIST: the outermost object has ended */
	JSON_SPLIT_BAD,	   /* no JSON, or an object over the limit; why is set. It stays so. */
};

struct json_split {
	enum json_split_mode mode;
	const char *text; /* ITEM, MEMBER: valid until the next call */
	size_t len;
	char key[JSON_SPLIT_KEY_MAX]; /* cut where it is longer */
	const char *why;
	/* the rest is its own */
	int state;
	unsigned depth;
	bool in_string, escaped, in_items;
	char *held; /* the part of an object that came in earlier pieces */
	size_t nheld, cap, nkey;
};

void json_split_init(struct json_split *s, enum json_split_mode mode);
void json_split_free(struct json_split *s);
/* Goes on from *p up to the first thing to tell, and moves *p behind it. Borrows the piece until
 * the next call. */
enum json_split_event json_split_next(struct json_split *s, const char **p, const char *end);
/* The stream ended here: true where nothing is half. */
bool json_split_whole(const struct json_split *s);

#endif
