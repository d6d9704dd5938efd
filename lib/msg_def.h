/* What the codec (lib/msg.c) needs to know of a message: the rows of lib/msg_table.c.
 */
#ifndef SELVAGE_LIB_MSG_DEF_H
#define SELVAGE_LIB_MSG_DEF_H

#include "lib/msg.h"

enum mfield_kind {
	MF_BOOL,
	MF_U8,
	MF_U16,
	MF_U32,
	MF_U64,
	MF_STR,
	MF_ADDR,
	MF_PREFIX,
	MF_PREFIXES, /* msg_prefix_list: the one list that is long, on a path of its own */
	MF_LIST,
};

struct mrow;
typedef const struct mrow *mrow_fn(void);

struct mfield {
	const char *name;
	mrow_fn *item; /* MF_LIST */
	uint16_t offset;
	uint8_t kind;
	uint8_t max; /* MF_U8: the highest value that is valid */
};

/* One struct. */
struct mrow {
	const char *name;
	const struct mfield *fields;
	uint16_t size, align;
	uint8_t nfields;
};

struct msg_def {
	const char *name;
	mrow_fn *row; /* NULL: the message has no body */
	uint8_t min_fds, max_fds;
};

/* How every MSG_LIST(T) is laid out. */
struct mlist {
	uint32_t n;
	void *v;
};

#endif
