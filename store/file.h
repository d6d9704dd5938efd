/* The documents of one file of the directory store, with what was wrong in them. Pure: text in,
 * objects out.
 */
#ifndef SELVAGE_STORE_FILE_H
#define SELVAGE_STORE_FILE_H

#include "store/table.h"

struct file_docs {
	struct object **v; /* references */
	unsigned n, cap;
	const char **errors;
	unsigned nerrors;
	struct arena arena; /* owns the errors */
};

enum { FILE_MAX_ERRORS = 20 };

/* Takes a file's text apart. Each document stands for itself: one that is broken is named in the
 * errors, and where `before` (the file's objects until now) or `known` (all objects) have its last
 * good version, that stays. A document too broken to say which object it is keeps every object of
 * `before` that the rest of the file does not name. */
void file_read(struct file_docs *out, const char *name, const char *text, size_t len,
	       const struct file_docs *before, const struct table *known);
/* The file cannot be read: everything stays, with one error. */
void file_unreadable(struct file_docs *out, const char *name, const char *why,
		     const struct file_docs *before);
void file_free(struct file_docs *f);

#endif
